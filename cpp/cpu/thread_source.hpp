// Where the threads of a team come from: our own, or the OpenMP runtime of the process.
#pragma once
#include <string>

#include "openmp.hpp"

namespace rnnfast {

enum class ThreadSource { kBest, kOwn, kOpenMP };

// As RNNFAST_THREADS names it: "", "own" or "openmp".
ThreadSource thread_source_named(const std::string& name);
const char* name_of(ThreadSource source);

// The user's choice.
ThreadSource thread_source();
void set_thread_source(ThreadSource source);

// The runtime whose threads a team may use: the user's choice, or else a runtime whose threads other code uses and that
// spin afterwards. Null where a team always uses our own threads.
const OpenMP* wanted_openmp();

// The source of the calling thread's teams and why.
std::string describe_thread_source();

}  // namespace rnnfast
