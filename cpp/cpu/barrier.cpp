#include "barrier.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace rnnfast {

namespace {

constexpr int kSpinsPerLook = 32;
// Members that share a core wait in vain: after a few such waits in a row the next ones give way at once, but for a
// trial now and then.
constexpr int kVainSpinUs = 4, kVainWaits = 3, kTrialEvery = 32;

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("yield");
#endif
}

}  // namespace

void Phase::advance(unsigned count) {
  value_.fetch_add(count);
  if (sleepers_.load() == 0) return;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
  }
  changed_.notify_all();
}

bool Phase::wait_past(unsigned seen, int spin_us) {
  const auto give_up = Clock::now() + std::chrono::microseconds(spin_us);
  do {
    for (int i = 0; i < kSpinsPerLook; ++i) {
      if (value() != seen) return true;
      relax();
    }
  } while (Clock::now() < give_up);
  sleepers_.fetch_add(1);
  {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return value_.load() != seen; });
  }
  sleepers_.fetch_sub(1);
  return false;
}

void Barrier::wait() {
  const unsigned seen = phase_.value();
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == members_) {
    arrived_.store(0, std::memory_order_relaxed);
    phase_.advance();
    return;
  }
  const int vain = vain_.load(std::memory_order_relaxed);
  const bool hopeful = vain < kVainWaits || seen % kTrialEvery == 0;
  const auto start = Clock::now();
  if (phase_.wait_past(seen, hopeful ? kSpinUs : kVainSpinUs)) {
    if (vain > 0) vain_.store(0, std::memory_order_relaxed);
    return;
  }
  vain_.store(vain + 1, std::memory_order_relaxed);
  slept_ns_.fetch_add(nanoseconds_since(start), std::memory_order_relaxed);
}

}  // namespace rnnfast
