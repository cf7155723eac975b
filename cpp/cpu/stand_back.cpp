#include "stand_back.hpp"

#include <algorithm>

namespace rnnfast {

namespace {

// Calls that wait for this share of their time lack a processor: one thread alone is faster. The share is an
// exponentially weighted average over at least kFewestCalls calls, unless one waits for longer than kLongNs.
constexpr double kContention = 0.3;
constexpr double kUnrest = 0.05;  // from this share on it is worth while to hand out work in smaller parts
constexpr double kMemory = 0.9;
constexpr int kFewestCalls = 3;
constexpr double kLongNs = 1e6;
// A member that was asleep when the call came is not late, nor is one that had slightly more to do.
constexpr double kNsToWake = 2e5;
constexpr double kUnevenNs = 5e4;
// Bursts of a load come again: pauses double, until calls have lasted for kCalmNs without one.
constexpr std::chrono::milliseconds kFirstPause{1};
constexpr std::chrono::milliseconds kLongestPause{50};
constexpr double kCalmNs = 2e7;
// A pause lasts on until a processor is free. A system may never run a thread of its idle policy.
constexpr std::chrono::seconds kTrialAfter{1};

double between(Clock::time_point begin, Clock::time_point end) {
  return std::chrono::duration<double, std::nano>(end - begin).count();
}

}  // namespace

bool StandBack::alone(Clock::time_point now) {
  if (!pausing_) return false;
  if (now < alone_until_) return true;
  // The caller has computed alone for a while and has a processor of its own by now; the lookout asks for another one.
  if (!asked_) {
    asked_ = true;
    return lookout_.look();
  }
  if (lookout_.found() || now > alone_until_ + kTrialAfter) return false;
  lookout_.follow();
  return true;
}

void StandBack::judge(const TeamCall& call) {
  if (pausing_) {
    pausing_ = false;
    calls_ = 0;
    lasted_ = late_ = worked_ = 0;
  }
  const double lasted = between(call.begin, call.end);
  const double waited = between(call.own_end, call.end);
  const double slept = static_cast<double>(call.slept_ns) + (waited > kUnevenNs ? waited : 0);
  const double to_wake = call.awake ? 0 : kNsToWake * (call.members - 1);
  const double late = std::max(slept - to_wake, call.shared ? 0.5 * lasted : 0.0);
  ++calls_;
  lasted_ += lasted;
  late_ = kMemory * late_ + std::max(late, 0.0);
  worked_ = kMemory * worked_ + (call.members - 1) * lasted;
  restless_ = late_ > kUnrest * worked_;
  if (calls_ < kFewestCalls && late < kLongNs) return;
  if (late_ > kContention * worked_)
    begin_pause(call.end);
  else if (lasted_ > kCalmNs)
    pause_ = {};
}

void StandBack::begin_pause(Clock::time_point now) {
  pause_ = std::clamp(2 * pause_, kFirstPause, kLongestPause);
  pausing_ = true;
  asked_ = false;
  alone_until_ = now + pause_;
}

}  // namespace rnnfast
