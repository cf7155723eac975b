// The threads that work together on one call: our own (own_threads), or those of an OpenMP runtime (openmp).
#pragma once
#include <signal.h>

#include <atomic>
#include <functional>
#include <thread>

#include "../base/dims.hpp"
#include "../base/fault.hpp"
#include "barrier.hpp"

namespace rnnfast {

// The number that the user asked for; 1 in a forked child.
int thread_setting();
void set_num_threads(int n);

// The most threads that a call uses: at most one for each processor. A member without a processor of its own would make
// the others wait at every barrier. Results do not depend on the number.
int num_threads();
// For tests: lets teams have as many members as the user asked for, so that barriers of larger teams run on any
// machine.
void oversubscribe(bool value);

// Stops a long call: `poll` runs on the thread that made this object, at most every 50 ms, and returns whether to stop.
class Interrupt {
 public:
  explicit Interrupt(std::function<bool()> poll);
  void check();  // does nothing on other threads
  bool stopped() const { return stopped_.load(std::memory_order_relaxed); }

 private:
  std::function<bool()> poll_;
  std::thread::id caller_ = std::this_thread::get_id();
  std::int64_t next_;
  std::atomic<bool> stopped_{false};
};

struct Member {
  int rank;
  int size;
  Barrier* barrier;  // null when alone

  void wait() const {
    if (barrier != nullptr) barrier->wait(rank);
  }
  // Calls step(i, member) for i in 0..count-1, each after all members have done the one before, and waits for them at
  // the end. `member` is this one; or one that is alone, for some steps that this one takes while the other one sleeps.
  template <class Step>
  void share_steps(Index count, const Step& step) const;
};

// A pair whose one member came so late that the other one fell asleep has lost a processor to somebody else. The member
// that is there then works alone for a while, longer than the system takes to wake the other one.
constexpr std::chrono::microseconds kAloneFor{250};

template <class Step>
void Member::share_steps(Index count, const Step& step) const {
  const Member alone{0, 1, nullptr};
  for (Index i = 0; i < count;) {
    step(i++, *this);
    if (barrier == nullptr || faulty(Fault::kDroppedBarrier)) continue;
    if (i < count && barrier->other_sleeps(rank)) {
      const Index first = i;
      const auto end = Clock::now() + kAloneFor;
      do {
        step(i++, alone);
      } while (i < count && Clock::now() < end);
      barrier->leave(i - first);
    }
    if (barrier->wait(rank)) i += barrier->take();
  }
}

// Share number `part` of `parts` of [0, n), in multiples of `grain`.
struct Range {
  Index begin;
  Index end;
};
Range share(Index n, Index parts, Index part, Index grain = 1);
// A member's share; without a division where it is alone.
inline Range share(Index n, const Member& member) {
  return member.size == 1 ? Range{0, n} : share(n, member.size, member.rank);
}

// Runs fn on up to `threads` members at once, with denormals flushed to zero. fn may throw only where it does not wait
// for others. The team may be smaller than asked for, and a forked child or a call beside another one computes alone,
// so that fn must share its work by member.size.
void run_team(int threads, const std::function<void(const Member&)>& fn);

// Whether a team of `threads` members still spins after its last call.
bool team_awake(int threads);
// How many members a call that may have `wanted` will have: one where calls do without the team. Work that is cut for
// one thread costs less than work for two that one thread does.
int team_threads(int wanted);
// Whether members came late just now, because others take processors away.
bool team_restless();

// What each member of a team runs, for those who bring the threads (own_threads, openmp). It must not throw.
struct TeamWork {
  void (*run)(void* context, int rank, int size);
  void* context;

  void operator()(int rank, int size) const { run(context, rank, size); }
};

// Threads started in this block leave all signals to the threads of the user.
class BlockSignals {
 public:
  BlockSignals() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~BlockSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  BlockSignals(const BlockSignals&) = delete;
  BlockSignals& operator=(const BlockSignals&) = delete;

 private:
  sigset_t before_;
};

}  // namespace rnnfast
