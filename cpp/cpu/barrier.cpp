#include "barrier.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace rnnfast {

namespace {

constexpr int kSpinsPerLook = 32;
// Longer than the shares of a step differ: a member that is later has lost its processor.
constexpr int kBarrierSpinUs = 50;
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

std::int64_t Phase::wait_past(unsigned seen, int spin_us) {
  const auto spun = [&] {
    for (int i = 0; i < kSpinsPerLook; ++i) {
      if (value() != seen) return true;
      relax();
    }
    return false;
  };
  if (spun()) return 0;
  const auto start = Clock::now(), give_up = start + std::chrono::microseconds(spin_us);
  do {
    if (spun()) return 0;
  } while (Clock::now() < give_up);
  sleepers_.fetch_add(1);
  {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return value_.load() != seen; });
  }
  sleepers_.fetch_sub(1);
  return nanoseconds_since(start);
}

std::atomic<std::int64_t> Barrier::times_left{0};

bool Barrier::other_sleeps(int rank) const {
  const Phase& own = phases_[at(rank)];
  return members() == 2 && own.has_sleepers() && phases_[at(1 - rank)].value() == own.value() + 1;
}

bool Barrier::wait(int rank) {
  phases_[at(rank)].advance();
  const unsigned now = phases_[at(rank)].value(), before = now - 1;
  const int vain = vain_.load(std::memory_order_relaxed);
  const bool hopeful = vain < kVainWaits || now % kTrialEvery == 0;
  std::int64_t slept = 0;
  bool waited = false;
  const int members = members_.load(std::memory_order_relaxed);
  for (int other = 0; other < members; ++other) {
    // Nobody is further ahead than one phase.
    if (phases_[at(other)].value() != before) continue;
    slept += phases_[at(other)].wait_past(before, hopeful ? kBarrierSpinUs : kVainSpinUs);
    waited = true;
  }
  if (!waited) return false;
  if (slept == 0) {
    if (vain > 0) vain_.store(0, std::memory_order_relaxed);
    return false;
  }
  vain_.store(vain + 1, std::memory_order_relaxed);
  slept_ns_.fetch_add(slept, std::memory_order_relaxed);
  return true;
}

}  // namespace rnnfast
