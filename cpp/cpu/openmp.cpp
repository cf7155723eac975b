#include "openmp.hpp"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace rnnfast {

namespace {

constexpr std::string_view kRuntimes[] = {"libgomp", "libiomp5", "libomp"};

// Threads of the user that have a pool at the same time. A runtime makes one for each thread that calls it, so that
// their number must be bounded; a thread that calls other OpenMP code as well has its pool anyway.
constexpr int kMostCallers = 4;
std::atomic<int> callers{0};

// Pools that work for others are looked for so often, found by so much processor time of one of their threads, and then
// shared for so long: to learn that nobody else uses them any more, we must have left them alone for a while.
constexpr std::chrono::milliseconds kLookEvery{5};
constexpr std::chrono::seconds kShareFor{5};
constexpr std::int64_t kIdleNs = 100000;
constexpr std::int64_t kUnknown = -1;
// By default GNU's threads spin 300,000 times, up to 14 ms; LLVM's and Intel's spin for 200 ms.
constexpr std::chrono::milliseconds kGnuSpins{20};
constexpr std::chrono::milliseconds kLlvmSpins{250};

// What the calling thread has had the runtime start, and whether others use it.
struct Caller {
  const OpenMP* runtime = nullptr;
  int threads = 0;
  std::optional<clockid_t> worker;  // the clock of one of its threads
  std::int64_t worked_ns = kUnknown;
  bool shares = false;
  Clock::time_point share_until;
  Clock::time_point next_look;

  ~Caller() {
    if (runtime != nullptr) callers.fetch_sub(1);
  }
};
thread_local Caller caller;

// The objects loaded so far, counted by the first of them.
unsigned long long objects_loaded() {
  unsigned long long count = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t size, void* data) {
        if (size >= offsetof(dl_phdr_info, dlpi_adds) + sizeof(info->dlpi_adds))
          *static_cast<unsigned long long*>(data) = info->dlpi_adds;
        return 1;
      },
      &count);
  return count;
}

bool is_runtime(std::string_view path) {
  const std::string_view name = path.substr(path.rfind('/') + 1);
  return std::any_of(std::begin(kRuntimes), std::end(kRuntimes),
                     [name](std::string_view known) { return name.substr(0, known.size()) == known; });
}

// In the order in which they were loaded, but PyTorch's first: of several runtimes in a process, each brought by its
// own package, it is the one whose operations a network stands between.
std::vector<std::string> runtime_paths() {
  std::vector<std::string> paths;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* data) {
        try {
          if (is_runtime(info->dlpi_name)) static_cast<std::vector<std::string>*>(data)->emplace_back(info->dlpi_name);
          return 0;
        } catch (...) {
          return 1;  // no memory; an exception must not pass through the C library
        }
      },
      &paths);
  std::stable_partition(paths.begin(), paths.end(),
                        [](const std::string& path) { return path.find("/torch/") != std::string::npos; });
  return paths;
}

template <class Function>
bool find(void* library, const char* name, Function*& function) {
  function = reinterpret_cast<Function*>(dlsym(library, name));
  return function != nullptr;
}

// Null where the library lacks a function.
std::unique_ptr<OpenMP> open_runtime(const std::string& path) {
  void* const library = dlopen(path.c_str(), RTLD_LAZY | RTLD_NOLOAD);
  if (library == nullptr) return nullptr;
  auto runtime = std::make_unique<OpenMP>();
  runtime->path = path;
  runtime->spins = path.find("gomp") != std::string::npos ? kGnuSpins : kLlvmSpins;
  const bool complete = find(library, "GOMP_parallel", runtime->parallel) &&
                        find(library, "omp_get_thread_num", runtime->thread_num) &&
                        find(library, "omp_get_num_threads", runtime->num_threads) &&
                        find(library, "omp_get_max_threads", runtime->max_threads) &&
                        find(library, "omp_in_parallel", runtime->in_parallel);
  if (complete) return runtime;
  dlclose(library);
  return nullptr;
}

const OpenMP* search(const OpenMP* known) {
  for (const std::string& path : runtime_paths()) {
    if (known != nullptr && known->path == path) return known;
    // Never freed: another thread may be about to call the runtime that was found before.
    if (std::unique_ptr<OpenMP> runtime = open_runtime(path)) return runtime.release();
  }
  return known;
}

bool reads(const char* name, std::string_view value) {
  const char* const found = std::getenv(name);
  if (found == nullptr) return false;
  const std::string_view text(found);
  return std::equal(text.begin(), text.end(), value.begin(), value.end(),
                    [](char a, char b) { return a == b || (a >= 'A' && a <= 'Z' && a - 'A' + 'a' == b); });
}

struct Region {
  const OpenMP& runtime;
  int wanted;
  const TeamWork& work;
};

void enter(void* data) {
  const Region& region = *static_cast<const Region*>(data);
  const int size = std::min(region.wanted, region.runtime.num_threads());
  const int rank = region.runtime.thread_num();
  if (rank < size) region.work(rank, size);
}

// A pool that is asked for fewer threads than before ends the others, and the next caller has to start them again: all
// are asked for, and those beyond the team return at once.
int whole_pool(const OpenMP& runtime, int threads) { return std::max(threads, runtime.max_threads()); }

// From now on the pool's threads work for nobody that we know of.
void leave_alone(Clock::time_point now) {
  caller.shares = false;
  caller.worked_ns = kUnknown;
  caller.next_look = now + caller.runtime->spins;
}

// Has the runtime start the caller's pool, where it has none of so many threads.
bool hire(const OpenMP& runtime, int threads) {
  if (caller.runtime == &runtime && caller.threads >= threads) return true;
  if (caller.runtime == nullptr && callers.fetch_add(1) >= kMostCallers) {
    callers.fetch_sub(1);
    return false;
  }
  caller.runtime = &runtime;
  caller.threads = threads;
  const BlockSignals block;
  struct Look {
    const OpenMP& runtime;
    std::optional<clockid_t> clock;
  } look{runtime, std::nullopt};
  const auto note_clock = [](void* data) {
    Look& seen = *static_cast<Look*>(data);
    clockid_t clock{};
    if (seen.runtime.thread_num() == 1 && pthread_getcpuclockid(pthread_self(), &clock) == 0) seen.clock = clock;
  };
  runtime.parallel(note_clock, &look, static_cast<unsigned>(threads), 0);
  caller.worker = look.clock;
  leave_alone(Clock::now());
  return true;
}

// Processor time of the pool's thread; unknown where it has ended.
std::int64_t worked_ns() {
  timespec time{};
  if (!caller.worker || clock_gettime(*caller.worker, &time) != 0) return kUnknown;
  return std::int64_t{1000000000} * time.tv_sec + time.tv_nsec;
}

}  // namespace

const OpenMP* loaded_openmp() {
  // Two threads may look at the same time; a lock could be held while a child is forked.
  static std::atomic<unsigned long long> seen{0};
  static std::atomic<const OpenMP*> found{nullptr};
  const unsigned long long loaded = objects_loaded();
  if (loaded != seen.load()) {
    found = search(found.load());
    seen = loaded;
  }
  return found;
}

bool openmp_waits_asleep() {
  static const bool asleep =
      reads("OMP_WAIT_POLICY", "passive") || reads("GOMP_SPINCOUNT", "0") || reads("KMP_BLOCKTIME", "0");
  return asleep;
}

bool openmp_at_work(const OpenMP& runtime, int threads, Clock::time_point now) {
  if (caller.shares) {
    if (now < caller.share_until) return true;
    leave_alone(now);
  }
  if (now < caller.next_look || !hire(runtime, whole_pool(runtime, threads)) || now < caller.next_look) return false;
  const std::int64_t before = caller.worked_ns;
  caller.worked_ns = worked_ns();
  caller.next_look = now + kLookEvery;
  if (caller.worked_ns == kUnknown) caller.threads = 0;
  if (before == kUnknown || caller.worked_ns - before < kIdleNs) return false;
  caller.shares = true;
  caller.share_until = now + kShareFor;
  return true;
}

bool openmp_was_at_work() { return caller.shares; }

bool run_on_openmp(const OpenMP& runtime, int threads, const TeamWork& work) {
  const int all = whole_pool(runtime, threads);
  if (!hire(runtime, all)) return false;
  caller.shares = true;
  Region region{runtime, threads, work};
  runtime.parallel(&enter, &region, static_cast<unsigned>(all), 0);
  return true;
}

}  // namespace rnnfast
