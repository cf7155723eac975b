// Aligned memory with one owner.
#pragma once
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

#include "dims.hpp"

namespace rnnfast {

// An Index that is not negative, as containers count.
inline std::size_t at(Index i) { return static_cast<std::size_t>(i); }

// a * b of two sizes; throws std::overflow_error where the product does not fit.
inline Index checked_product(Index a, Index b) {
  Index product = 0;
  if (__builtin_mul_overflow(a, b, &product))
    throw std::overflow_error("size: a product of sizes below 2^63 is required, got " + std::to_string(a) + " * " +
                              std::to_string(b));
  return product;
}

// 64-byte aligned, huge pages advised from 2 MB. Large blocks that were given back are handed out again while calls of
// their size keep coming: fresh pages cost more than the arithmetic of a small network. Throws std::bad_alloc.
struct Block {
  void* data = nullptr;
  std::size_t bytes = 0;
};
Block take_block(std::size_t bytes);
void give_block(Block block) noexcept;

// Numbers [size], uninitialised.
template <class Real>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(Index size) : size_(size) {
    if (size > 0) block_ = take_block(static_cast<std::size_t>(checked_product(size, sizeof(Real))));
  }
  Buffer(Buffer&& other) noexcept : block_(std::exchange(other.block_, {})), size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(block_, other.block_);
    std::swap(size_, other.size_);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { give_block(block_); }

  static Buffer zeros(Index size) {
    Buffer buffer(size);
    if (size > 0) std::memset(buffer.data(), 0, sizeof(Real) * static_cast<std::size_t>(size));
    return buffer;
  }

  Real* data() { return static_cast<Real*>(block_.data); }
  const Real* data() const { return static_cast<const Real*>(block_.data); }
  Index size() const { return size_; }

 private:
  Block block_;
  Index size_ = 0;
};

}  // namespace rnnfast
