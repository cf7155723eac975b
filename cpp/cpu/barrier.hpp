// How threads wait for each other.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>

namespace rnnfast {

using Clock = std::chrono::steady_clock;

inline std::int64_t nanoseconds_since(Clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count();
}

// Longer than the time between two steps, or between two calls of a training loop; shorter than a time slice.
constexpr int kSpinUs = 100;
// Half of it, in nanoseconds: for that long a team is sure to spin.
constexpr std::int64_t kStillAwakeNs = 500 * kSpinUs;

// A count that others wait on. They spin for a moment and sleep from then on, so that a missing core costs one wake-up,
// and the scheduler sees threads that sleep, not threads that use up their share of time.
class Phase {
 public:
  unsigned value() const { return value_.load(std::memory_order_acquire); }
  void advance(unsigned count = 1);
  // Waits until the count differs from `seen`, spinning for at most spin_us; returns the nanoseconds waited if it
  // slept, else 0.
  std::int64_t wait_past(unsigned seen, int spin_us);
  bool has_sleepers() const { return sleepers_.load() > 0; }

 private:
  alignas(64) std::atomic<unsigned> value_{0};
  std::atomic<int> sleepers_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
};

// Every member has a phase of its own, which the others watch. Between the last arrival and the next step one cache
// line travels; a common count and a common phase would take two journeys, one after the other.
class Barrier {
 public:
  explicit Barrier(int members) : members_(members), phases_(std::make_unique<Phase[]>(at(members))) {}
  bool wait(int rank);  // whether it slept
  int members() const { return members_.load(std::memory_order_relaxed); }
  // Sets a smaller number of members than planned; each of them calls it before it first waits.
  void narrow(int members) {
    if (members != this->members()) members_.store(members, std::memory_order_relaxed);
  }
  // Whether there is one other member, which has arrived and sleeps. It sleeps until this one has arrived, too.
  bool other_sleeps(int rank) const;
  // Leaves a number to the member that sleeps; it takes it away when it has woken up.
  void leave(std::int64_t number) {
    left_.store(number, std::memory_order_relaxed);
    times_left.fetch_add(1, std::memory_order_relaxed);
  }
  std::int64_t take() { return left_.exchange(0, std::memory_order_relaxed); }
  static std::atomic<std::int64_t> times_left;  // for tests: by all barriers
  // Nanoseconds that members waited where spinning was not enough, summed over them.
  std::int64_t slept_ns() const { return slept_ns_.load(std::memory_order_relaxed); }

 private:
  static std::size_t at(int i) { return static_cast<std::size_t>(i); }

  std::atomic<int> members_;
  const std::unique_ptr<Phase[]> phases_;
  alignas(64) std::atomic<int> vain_{0};  // waits in a row
  std::atomic<std::int64_t> slept_ns_{0};
  std::atomic<std::int64_t> left_{0};
};

}  // namespace rnnfast
