#include "team.hpp"

#include <omp.h>
#include <pthread.h>
#include <sched.h>

#include <chrono>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace rnnfast {

namespace {

// The OpenMP pool does not survive fork(): a child works on its own thread only.
std::atomic<bool> forked{false};

constexpr int kMaxThreads = 1024;

int initial_threads() {
  pthread_atfork(nullptr, nullptr, [] { forked = true; });
  if (const char* value = std::getenv("RNNFAST_NUM_THREADS"); value != nullptr && *value != '\0') {
    char* end = nullptr;
    const long n = std::strtol(value, &end, 10);
    if (*end != '\0' || n < 1 || n > kMaxThreads)
      throw std::invalid_argument("RNNFAST_NUM_THREADS: a number from 1 to 1024 is required, got '" +
                                  std::string(value) + "'");
    return static_cast<int>(n);
  }
  const char* openmp = std::getenv("OMP_NUM_THREADS");
  const long n = openmp != nullptr ? std::strtol(openmp, nullptr, 10) : 0;
  return n > 0 && n <= kMaxThreads ? static_cast<int>(n) : omp_get_num_procs();
}

// Threads that the system was able to start at once. OpenMP ends the process where it cannot start one, so a larger
// team is tried out with threads of our own first.
int startable(int threads) {
  static std::atomic<int> proven{1};
  if (threads <= proven) return threads;
  std::vector<std::thread> trial;
  std::atomic<bool> go{false};
  try {
    for (int i = 1; i < threads; ++i)
      trial.emplace_back([&go] {
        while (!go) sched_yield();
      });
  } catch (const std::exception&) {
    threads = static_cast<int>(trial.size()) + 1;
  }
  go = true;
  for (std::thread& thread : trial) thread.join();
  int before = proven;
  while (before < threads && !proven.compare_exchange_weak(before, threads)) {
  }
  return threads;
}

std::atomic<int>& thread_setting() {
  static std::atomic<int> setting{initial_threads()};
  return setting;
}

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("yield");
#endif
}

// Denormal inputs and results become zero: decaying states would otherwise slow down a hundredfold.
class FlushDenormals {
 public:
#if defined(__x86_64__)
  FlushDenormals() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ | 0x8040U); }
  ~FlushDenormals() { _mm_setcsr(saved_); }

 private:
  const unsigned saved_;
#elif defined(__aarch64__)
  FlushDenormals() {
    __asm__ __volatile__("mrs %0, fpcr" : "=r"(saved_));
    __asm__ __volatile__("msr fpcr, %0" ::"r"(saved_ | (std::uint64_t{1} << 24)));
  }
  ~FlushDenormals() { __asm__ __volatile__("msr fpcr, %0" ::"r"(saved_)); }

 private:
  std::uint64_t saved_;
#endif
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;
};

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

constexpr std::int64_t kPollEveryMs = 50;
constexpr int kSpins = 4000;  // some 50 us

}  // namespace

int num_threads() { return forked ? 1 : thread_setting().load(); }
void set_num_threads(int n) { thread_setting() = n; }

void Barrier::wait() {
  const int phase = phase_.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == members_) {
    arrived_.store(0, std::memory_order_relaxed);
    phase_.store(phase + 1, std::memory_order_release);
    return;
  }
  for (int spins = 0; phase_.load(std::memory_order_acquire) == phase; ++spins) {
    if (spins < kSpins)
      relax();
    else
      sched_yield();
  }
}

Interrupt::Interrupt(std::function<bool()> poll) : poll_(std::move(poll)), next_(now_ms() + kPollEveryMs) {}

void Interrupt::check() {
  if (!poll_ || stopped()) return;
  const std::int64_t now = now_ms();
  if (now < next_) return;
  next_ = now + kPollEveryMs;
  if (poll_()) stopped_.store(true, std::memory_order_relaxed);
}

Range share(Index n, Index parts, Index part, Index grain) {
  const Index grains = ceil_div(n, grain);
  return {smaller(n, grains * part / parts * grain), smaller(n, grains * (part + 1) / parts * grain)};
}

void run_team(int threads, const std::function<void(const Member&)>& fn) {
  if (threads > 1 && !forked) threads = startable(threads);
  if (threads <= 1 || forked) {
    const FlushDenormals flush;
    fn({0, 1, nullptr});
    return;
  }
  // omp_get_num_threads is known inside only; the barrier is made by the first to arrive behind OpenMP's own.
  Barrier* barrier = nullptr;
  std::exception_ptr failure;
  alignas(64) unsigned char storage[sizeof(Barrier)];
#pragma omp parallel num_threads(threads) default(none) shared(fn, barrier, storage, failure)
  {
#pragma omp single
    barrier = new (storage) Barrier(omp_get_num_threads());
    const FlushDenormals flush;
    try {
      fn({omp_get_thread_num(), omp_get_num_threads(), omp_get_num_threads() > 1 ? barrier : nullptr});
    } catch (...) {
#pragma omp critical
      failure = std::current_exception();
    }
  }
  barrier->~Barrier();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace rnnfast
