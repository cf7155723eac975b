// When a call should do without the team. Where others take processors away, members come late or two of them share a
// processor, and one thread alone is faster.
#pragma once
#include "lookout.hpp"

namespace rnnfast {

// What a call of the team was like.
struct TeamCall {
  Clock::time_point begin;
  Clock::time_point own_end;  // of the caller's share of the work
  Clock::time_point end;
  std::int64_t slept_ns;  // that members waited at barriers where spinning was not enough, summed over them
  int members;
  bool awake;   // members still spun when the call came
  bool shared;  // the caller ended on the processor of another member: both waited for it by turns
};

class StandBack {
 public:
  // Whether the next call computes alone.
  bool alone(Clock::time_point now);
  bool pausing() const { return pausing_.load(std::memory_order_relaxed); }
  // Whether members come late again and again.
  bool restless() const { return restless_; }
  void judge(const TeamCall& call);
  // Ends a pause: its cause is gone.
  void forgive() { alone_until_ = {}; }

 private:
  void begin_pause(Clock::time_point now);

  Lookout lookout_;
  std::atomic<bool> pausing_{false};  // read without the team's lock
  bool asked_ = false;                // whether the lookout was asked in this pause
  Clock::time_point alone_until_;
  bool restless_ = false;
  std::chrono::milliseconds pause_{};  // the next one; 0: the first
  // Since the last pause:
  int calls_ = 0;
  double lasted_ = 0;  // nanoseconds
  // Weighted averages, of members and nanoseconds:
  double late_ = 0;
  double worked_ = 0;
};

}  // namespace rnnfast
