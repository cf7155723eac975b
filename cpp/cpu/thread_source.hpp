// Who brings the threads of a team: we ourselves, or the OpenMP runtime of the process.
#pragma once
#include <string>

#include "openmp.hpp"

namespace rnnfast {

enum class ThreadSource { kBest, kOwn, kOpenMP };

// As RNNFAST_THREADS names it: "", "own" or "openmp".
ThreadSource thread_source_named(const std::string& name);
const char* name_of(ThreadSource source);

// What the user asked for.
ThreadSource thread_source();
void set_thread_source(ThreadSource source);

// The runtime that may bring the threads: asked for by the user, or else where other code has its threads work and
// spin; null where the threads are our own whatever others do.
const OpenMP* wanted_openmp();

// The source of the calling thread's teams and why.
std::string describe_thread_source();

}  // namespace rnnfast
