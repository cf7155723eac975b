#include "buffer.hpp"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <vector>
#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace rnnfast {

namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kHugePage = std::size_t{1} << 21;

#if defined(__SANITIZE_ADDRESS__)
constexpr std::size_t kKeptFrom = ~std::size_t{0};  // keep nothing: a reused block would hide a use after free
#else
constexpr std::size_t kKeptFrom = std::size_t{1} << 16;
#endif
constexpr std::size_t kKeptBytes = std::size_t{1} << 30;
constexpr std::uint64_t kKeptTakes = 32;  // a block that so many requests passed over is returned to the system

// A lock that is not free at once is passed by: a child forked while it was held could never take it.
class Pool {
 public:
  Block take(std::size_t bytes) {
    const std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
    if (!lock) return {};
    ++takes_;
    for (auto kept = kept_.begin(); kept != kept_.end(); ++kept) {
      if (kept->block.bytes < bytes || kept->block.bytes > bytes + bytes / 4) continue;
      const Block block = kept->block;
      total_ -= block.bytes;
      kept_.erase(kept);
      return block;
    }
    drop_idle();
    return {};
  }

  bool give(Block block) {
    const std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
    if (!lock || block.bytes > kKeptBytes - total_) return false;
    try {
      kept_.push_back({block, takes_});
    } catch (const std::bad_alloc&) {
      return false;
    }
    total_ += block.bytes;
    return true;
  }

  void clear() {
    const std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
    if (!lock) return;
    for (const Kept& kept : kept_) std::free(kept.block.data);
    kept_.clear();
    total_ = 0;
  }

 private:
  struct Kept {
    Block block;
    std::uint64_t since;
  };

  void drop_idle() {
    for (std::size_t i = kept_.size(); i-- > 0;) {
      if (takes_ - kept_[i].since <= kKeptTakes) continue;
      total_ -= kept_[i].block.bytes;
      std::free(kept_[i].block.data);
      kept_[i] = kept_.back();
      kept_.pop_back();
    }
  }

  std::mutex mutex_;
  std::vector<Kept> kept_;
  std::size_t total_ = 0;
  std::uint64_t takes_ = 0;
};

// Never destroyed: arrays may be freed after static objects are.
Pool& pool() {
  static Pool* const instance = new Pool;
  return *instance;
}

void* allocate(std::size_t bytes, std::size_t alignment) {
  void* data = std::aligned_alloc(alignment, bytes);
  if (data == nullptr) {
    pool().clear();
    data = std::aligned_alloc(alignment, bytes);
  }
  if (data == nullptr) throw std::bad_alloc();
  return data;
}

// aligned_alloc splits blocks and takes several times as long as malloc: small ones come from malloc, at whose
// pointer's next line they begin; the pointer lies before it.
void* allocate_small(std::size_t bytes) {
  char* const start = static_cast<char*>(std::malloc(bytes + kAlignment));
  if (start == nullptr) throw std::bad_alloc();
  char* const data = start + kAlignment - reinterpret_cast<std::uintptr_t>(start) % kAlignment;
  std::memcpy(data - sizeof(start), &start, sizeof(start));
  return data;
}

void free_small(void* data) {
  char* start;
  std::memcpy(&start, static_cast<char*>(data) - sizeof(start), sizeof(start));
  std::free(start);
}

}  // namespace

Block take_block(std::size_t bytes) {
  const std::size_t alignment = bytes >= kHugePage ? kHugePage : kAlignment;
  const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  if (rounded < kKeptFrom) return {allocate_small(rounded), rounded};
  const Block kept = pool().take(rounded);
  if (kept.data != nullptr) return kept;
  const Block block{allocate(rounded, alignment), rounded};
#if defined(__linux__)
  if (alignment == kHugePage) madvise(block.data, rounded, MADV_HUGEPAGE);
#endif
  return block;
}

void give_block(Block block) noexcept {
  if (block.data == nullptr) return;
  if (block.bytes < kKeptFrom) return free_small(block.data);
  if (!pool().give(block)) std::free(block.data);
}

}  // namespace rnnfast
