// Waiting for each other.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace rnnfast {

using Clock = std::chrono::steady_clock;

inline std::int64_t nanoseconds_since(Clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count();
}

// Longer than what lies between two steps, or between two calls of a training loop; short against a time slice.
constexpr int kSpinUs = 100;

// A count that others wait on: spinning for a moment, asleep from then on, so that a core taken away costs a wake-up
// and the scheduler sees threads that sleep, not ones that burn their share.
class Phase {
 public:
  unsigned value() const { return value_.load(std::memory_order_acquire); }
  void advance(unsigned count = 1);
  // Spins for so long at most; false: it had to sleep.
  bool wait_past(unsigned seen, int spin_us);

 private:
  alignas(64) std::atomic<unsigned> value_{0};
  std::atomic<int> sleepers_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
};

class Barrier {
 public:
  explicit Barrier(int members) : members_(members) {}
  void wait();
  // Sum over the members of what they waited where spinning was not enough.
  std::int64_t slept_ns() const { return slept_ns_.load(std::memory_order_relaxed); }

 private:
  const int members_;
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<int> vain_{0};  // waits in a row
  std::atomic<std::int64_t> slept_ns_{0};
  Phase phase_;
};

}  // namespace rnnfast
