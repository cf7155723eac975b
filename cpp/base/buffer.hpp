// Aligned memory with one owner.
#pragma once
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "dims.hpp"

namespace rnnfast {

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kHugePage = std::size_t{1} << 21;

// a * b of two sizes; throws std::overflow_error where the product does not fit.
inline Index checked_product(Index a, Index b) {
  Index product = 0;
  if (__builtin_mul_overflow(a, b, &product))
    throw std::overflow_error("size: a product of sizes below 2^63 is required, got " + std::to_string(a) + " * " +
                              std::to_string(b));
  return product;
}

// Numbers [size], uninitialised, 64-byte aligned; huge pages are advised from 2 MB.
template <class Real>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(Index size) : size_(size) {
    if (size == 0) return;
    const auto bytes =
        static_cast<std::size_t>(checked_product(size, sizeof(Real)));  // below 2^63: rounding up cannot wrap
    const std::size_t alignment = bytes >= kHugePage ? kHugePage : kAlignment;
    const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
    data_.reset(static_cast<Real*>(std::aligned_alloc(alignment, rounded)));
    if (data_ == nullptr) throw std::bad_alloc();
#if defined(__linux__)
    if (alignment == kHugePage) madvise(data_.get(), rounded, MADV_HUGEPAGE);
#endif
  }

  static Buffer zeros(Index size) {
    Buffer buffer(size);
    if (size > 0) std::memset(buffer.data(), 0, sizeof(Real) * static_cast<std::size_t>(size));
    return buffer;
  }

  Real* data() { return data_.get(); }
  const Real* data() const { return data_.get(); }
  Index size() const { return size_; }

 private:
  struct Free {
    void operator()(Real* p) const { std::free(p); }
  };
  std::unique_ptr<Real, Free> data_;
  Index size_ = 0;
};

}  // namespace rnnfast
