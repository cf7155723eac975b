// Threads. team.cpp is the only file that starts any.
#pragma once
#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>

#include "../base/dims.hpp"

namespace rnnfast {

int num_threads();
void set_num_threads(int n);

// A count that others wait on: spinning for a moment, asleep from then on, so that a core taken away costs a wake-up
// and the scheduler sees threads that sleep, not ones that burn their share.
class Phase {
 public:
  unsigned value() const { return value_.load(std::memory_order_acquire); }
  void advance();
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

// Lets a long call be stopped: `poll` runs on the calling thread only, at most every 50 ms, and answers whether to
// stop.
class Interrupt {
 public:
  explicit Interrupt(std::function<bool()> poll);
  void check();  // calling thread only
  bool stopped() const { return stopped_.load(std::memory_order_relaxed); }

 private:
  std::function<bool()> poll_;
  std::int64_t next_;
  std::atomic<bool> stopped_{false};
};

struct Member {
  int rank, size;
  Barrier* barrier;  // null when alone

  void wait() const {
    if (barrier != nullptr) barrier->wait();
  }
};

// Share `part` of `parts` of [0, n), in multiples of `grain`.
struct Range {
  Index begin, end;
};
Range share(Index n, Index parts, Index part, Index grain = 1);

// Runs fn on up to `threads` members at once, with denormals flushed to zero. fn may throw only where it
// does not wait for others. The team may turn out smaller than asked for (a forked child always computes alone, and so
// does a call beside another one): work is dealt out by member.size.
void run_team(int threads, const std::function<void(const Member&)>& fn);

}  // namespace rnnfast
