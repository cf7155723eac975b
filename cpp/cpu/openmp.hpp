// The OpenMP runtime that another library has brought into this process, so that one pool of threads serves both. It is
// never linked: a wheel that brought a runtime of its own would add the second pool that this one is there to spare.
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

// Null where none is loaded. The process's objects are gone through only when more of them were loaded since the last
// look; what was found stays loaded.
const OpenMP* loaded_openmp();

// Whether the runtime's threads sleep as soon as they wait, by the variables that it read when it was loaded.
bool openmp_waits_asleep();

// Whether other code has the threads of the caller's pool work, and then spin, lately. Looks at a thread's clock now
// and then, and starts a pool of so many threads in order to look.
bool openmp_at_work(const OpenMP& runtime, int threads, Clock::time_point now);
// The answer that the calling thread got last.
bool openmp_was_at_work();

// Runs the work on up to `threads` members, the caller first. False, and nothing done: the caller has no pool and
// enough other threads have one.
bool run_on_openmp(const OpenMP& runtime, int threads, const TeamWork& work);

}  // namespace rnnfast
