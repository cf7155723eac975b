#include "thread_source.hpp"

#include <atomic>
#include <cstdlib>
#include <stdexcept>

namespace rnnfast {

namespace {

ThreadSource initial_source() {
  openmp_waits_asleep();  // reads the environment, which another thread may change later
  const char* const name = std::getenv("RNNFAST_THREADS");
  return thread_source_named(name != nullptr ? name : "");
}

std::atomic<ThreadSource>& setting() {
  static std::atomic<ThreadSource> source{initial_source()};
  return source;
}

}  // namespace

ThreadSource thread_source_named(const std::string& name) {
  for (const ThreadSource source : {ThreadSource::kBest, ThreadSource::kOwn, ThreadSource::kOpenMP})
    if (name == name_of(source)) return source;
  throw std::invalid_argument("RNNFAST_THREADS: own or openmp is required (RNNFAST_NUM_THREADS is the number), got '" +
                              name + "'");
}

const char* name_of(ThreadSource source) {
  switch (source) {
    case ThreadSource::kOwn:
      return "own";
    case ThreadSource::kOpenMP:
      return "openmp";
    case ThreadSource::kBest:
      break;
  }
  return "";
}

ThreadSource thread_source() { return setting(); }
void set_thread_source(ThreadSource source) { setting() = source; }

const OpenMP* wanted_openmp() {
  switch (thread_source()) {
    case ThreadSource::kOwn:
      return nullptr;
    case ThreadSource::kOpenMP:
      return loaded_openmp();
    case ThreadSource::kBest:
      break;
  }
  // Threads that sleep as soon as they wait disturb nobody.
  return openmp_waits_asleep() ? nullptr : loaded_openmp();
}

std::string describe_thread_source() {
  const ThreadSource source = thread_source();
  if (source == ThreadSource::kOwn) return "own (RNNFAST_THREADS)";
  const OpenMP* const runtime = loaded_openmp();
  if (runtime == nullptr) return "own (no OpenMP runtime is loaded)";
  if (source == ThreadSource::kOpenMP) return "openmp (RNNFAST_THREADS; " + runtime->path + ")";
  if (openmp_waits_asleep()) return "own (the threads of " + runtime->path + " sleep when they wait)";
  if (openmp_was_at_work()) return "openmp (other code uses the threads of " + runtime->path + ")";
  return "own (no other code was seen to use the threads of " + runtime->path + ")";
}

}  // namespace rnnfast
