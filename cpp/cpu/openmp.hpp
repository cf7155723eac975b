// The OpenMP runtime that another library has brought into this process, so that one pool of threads serves both. It is
// never linked: a runtime of our own in the wheel would be a second pool.
#pragma once
#include <chrono>
#include <string>

#include "team.hpp"

namespace rnnfast {

struct OpenMP {
  void (*parallel)(void (*function)(void*), void* data, unsigned threads, unsigned flags);
  int (*thread_num)();
  int (*num_threads)();
  int (*max_threads)();
  int (*in_parallel)();
  std::string path;
  std::chrono::milliseconds spins;  // how long its threads spin, by default, before they sleep
};

// Null where none is loaded. Searches the process's objects only when more were loaded since the last search; a runtime
// that was found stays loaded.
const OpenMP* loaded_openmp();

// Whether the runtime's threads sleep as soon as they wait, by the variables that it read when it was loaded.
bool openmp_waits_asleep();

// Whether other code has lately used the threads of the caller's pool, which then spin. Reads a thread's clock from
// time to time, for which it starts a pool of `threads` threads.
bool openmp_at_work(const OpenMP& runtime, int threads, Clock::time_point now);
// The answer that the calling thread got last.
bool openmp_was_at_work();

// Runs the work on up to `threads` members, the caller first. Returns false without running it if the caller has no
// pool and enough other threads have one.
bool run_on_openmp(const OpenMP& runtime, int threads, const TeamWork& work);

}  // namespace rnnfast
