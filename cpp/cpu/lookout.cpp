#include "lookout.hpp"

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>

#include <system_error>
#include <thread>

#include "team.hpp"

namespace rnnfast {

namespace {

// Who only gives way for a moment is back before this time has passed.
constexpr std::chrono::microseconds kLongEnough{400};
constexpr std::chrono::microseconds kBreak{20};

}  // namespace

bool Lookout::look() {
  if (!hire() || !look_beside(processor_now())) return false;
  asked_.advance();
  return true;
}

void Lookout::follow() {
  const int now = processor_now();
  if (now != beside_) look_beside(now);
}

bool Lookout::look_beside(int processor) {
  cpu_set_t processors;
  if (processor < 0 || sched_getaffinity(0, sizeof(processors), &processors) != 0) return false;
  CPU_CLR(processor, &processors);
  beside_ = processor;
  return CPU_COUNT(&processors) > 0 && pthread_setaffinity_np(thread_, sizeof(processors), &processors) == 0;
}

bool Lookout::hire() {
  if (hired_ || refused_) return hired_;
  const BlockSignals block;
  try {
    std::thread thread(&Lookout::serve, this);
    const sched_param lowest{};
    hired_ = pthread_setschedparam(thread.native_handle(), SCHED_IDLE, &lowest) == 0;
    refused_ = !hired_;
    thread_ = thread.native_handle();
    thread.detach();
  } catch (const std::system_error&) {
  }
  return hired_;
}

// Whether this thread ran for kLongEnough without a break.
bool Lookout::undisturbed() {
  const auto begin = Clock::now();
  for (auto before = begin, now = begin; now - begin < kLongEnough; before = now) {
    now = Clock::now();
    if (now - before > kBreak) return false;
  }
  return true;
}

void Lookout::serve() {
  for (unsigned seen = 0;;) {
    asked_.wait_past(seen, 0);
    seen = asked_.value();
    while (!undisturbed()) continue;
    found_.store(seen, std::memory_order_relaxed);
  }
}

}  // namespace rnnfast

#else

namespace rnnfast {

bool Lookout::look() { return false; }
void Lookout::follow() {}

}  // namespace rnnfast

#endif
