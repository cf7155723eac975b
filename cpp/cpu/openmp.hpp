// The OpenMP runtime that another library has brought into this process, so that one pool of threads serves both. It is
// never linked: a wheel that brought a runtime of its own would add the second pool that this one is there to spare.
#pragma once
#include <string>

#include "team_work.hpp"

namespace rnnfast {

struct OpenMP {
  void (*parallel)(void (*function)(void*), void* data, unsigned threads, unsigned flags);
  int (*thread_num)();
  int (*num_threads)();
  int (*max_threads)();
  int (*in_parallel)();
  std::string path;
};

// Null where none is loaded. The process's objects are gone through only when more of them were loaded since the last
// look; what was found stays loaded.
const OpenMP* loaded_openmp();

// Whether the runtime's threads sleep as soon as they wait, by the variables that it read when it was loaded.
bool openmp_waits_asleep();

// Runs the work on up to `threads` members, the caller first. False, and nothing done: the caller has no pool and
// enough other threads have one.
bool run_on_openmp(const OpenMP& runtime, int threads, const TeamWork& work);

}  // namespace rnnfast
