#include "team.hpp"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

#include "denormals.hpp"
#include "own_threads.hpp"
#include "processors.hpp"
#include "thread_source.hpp"

namespace rnnfast {

namespace {

// Threads do not survive fork(): a child works on its own thread only.
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
  return n > 0 && n <= kMaxThreads ? static_cast<int>(n) : available_processors();
}

std::atomic<int>& setting() {
  static std::atomic<int> threads{initial_threads()};
  return threads;
}

std::atomic<bool> oversubscribed{false};

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

constexpr std::int64_t kPollEveryMs = 50;
// Calls that slept for this share of their time at barriers lacked a core: the next ones do without a team for a while.
// The share is an exponentially weighted average over at least kFewestCalls calls.
constexpr double kContention = 0.3;
constexpr double kNsToWake = 200000;  // a member that was asleep when the call came is not one without a core
constexpr int kFewestCalls = 3;
constexpr int kManyCalls = 50;
constexpr double kMemory = 0.9;
constexpr std::chrono::milliseconds kFirstPause{10};
constexpr std::chrono::milliseconds kLongestPause{100};
constexpr std::chrono::milliseconds kLookEvery{10};

}  // namespace

int thread_setting() { return forked ? 1 : setting().load(); }
void set_num_threads(int n) { setting() = n; }

int num_threads() {
  const int threads = thread_setting();
  return oversubscribed ? threads : std::min(threads, available_processors());
}

void oversubscribe(bool value) { oversubscribed = value; }

Interrupt::Interrupt(std::function<bool()> poll) : poll_(std::move(poll)), next_(now_ms() + kPollEveryMs) {}

void Interrupt::check() {
  if (!poll_ || stopped() || std::this_thread::get_id() != caller_) return;
  const std::int64_t now = now_ms();
  if (now < next_) return;
  next_ = now + kPollEveryMs;
  if (poll_()) stopped_.store(true, std::memory_order_relaxed);
}

Range share(Index n, Index parts, Index part, Index grain) {
  const Index grains = ceil_div(n, grain);
  return {smaller(n, grains * part / parts * grain), smaller(n, grains * (part + 1) / parts * grain)};
}

namespace {

// The process's one team. One call at a time has it; the others compute alone.
class Team {
 public:
  // Never destroyed: its threads may outlive every static object.
  static Team& instance() {
    static Team* team = new Team;
    return *team;
  }

  // False: another thread's call has the team, a core was missing lately, or the caller is in a parallel region.
  bool run(int threads, const std::function<void(const Member&)>& fn) {
    const std::unique_lock<std::mutex> lock(busy_, std::try_to_lock);
    if (!lock.owns_lock()) return false;
    const auto start = Clock::now();
    choose_source(start);
    if (openmp_ != nullptr && openmp_->in_parallel() != 0) return false;
    const bool asked_for = looked_for_ == ThreadSource::kOpenMP;
    share_threads(openmp_ != nullptr && (asked_for || openmp_at_work(*openmp_, threads, start)));
    if (pausing_ && start < alone_until_) return false;
    if (!barrier_ || barrier_->members() != threads || failure_) barrier_.emplace(threads);
    const std::int64_t slept = barrier_->slept_ns();
    fn_ = &fn;
    failure_ = nullptr;
    const TeamWork work{[](void* team, int rank, int size) { static_cast<Team*>(team)->work(rank, size); }, this};
    if (!shared_ || !run_on_openmp(*openmp_, threads, work)) own_.run(threads, work);
    last_end_ = Clock::now();
    look_back(barrier_->slept_ns() - slept, std::chrono::nanoseconds(last_end_ - start).count());
    if (failure_) std::rethrow_exception(failure_);
    return true;
  }

  bool awake(int threads) {
    const std::unique_lock<std::mutex> lock(busy_, std::try_to_lock);
    return lock.owns_lock() && !pausing_ && size_ >= threads && nanoseconds_since(last_end_) < kStillAwakeNs;
  }

 private:
  // A library that brings OpenMP may be loaded at any time, and teams of a few microseconds should not look for it.
  void choose_source(Clock::time_point now) {
    const ThreadSource source = thread_source();
    if (now < next_look_ && source == looked_for_) return;
    looked_for_ = source;
    next_look_ = now + kLookEvery;
    openmp_ = wanted_openmp();
  }

  // Our threads lacked a core because those of the OpenMP runtime spin; once they are the same threads, none is
  // lacking.
  void share_threads(bool shared) {
    if (shared != shared_) alone_until_ = {};
    shared_ = shared;
  }

  void look_back(std::int64_t slept_ns, std::int64_t lasted_ns) {
    if (pausing_) {
      pausing_ = false;
      judged_ = 0;
      slept_ = 0;
      lasted_ = 0;
    }
    const double allowed = kNsToWake * (size_ - 1);
    slept_ = kMemory * slept_ + std::max(0.0, static_cast<double>(slept_ns) - allowed);
    lasted_ = kMemory * lasted_ + static_cast<double>(size_ - 1) * static_cast<double>(lasted_ns);
    if (++judged_ < kFewestCalls || size_ > available_processors()) return;
    if (slept_ > kContention * lasted_) {
      pausing_ = true;
      alone_until_ = Clock::now() + pause_;
      pause_ = std::min(2 * pause_, kLongestPause);
    } else if (judged_ > kManyCalls) {
      pause_ = kFirstPause;
    }
  }

  // The size is known in the team only, and all of its members know the same: OpenMP may give fewer threads than asked
  // for, the system too.
  void work(int rank, int size) {
    const FlushDenormals flush;
    barrier_->narrow(size);
    if (rank == 0) size_ = size;
    try {
      (*fn_)({rank, size, size > 1 ? &*barrier_ : nullptr});
    } catch (...) {
      const std::lock_guard<std::mutex> lock(failing_);
      failure_ = std::current_exception();
    }
  }

  std::mutex busy_;
  std::mutex failing_;
  OwnThreads own_;
  const OpenMP* openmp_ = nullptr;  // null: all threads are our own
  bool shared_ = false;             // with other OpenMP code
  ThreadSource looked_for_ = ThreadSource::kBest;
  Clock::time_point next_look_;
  const std::function<void(const Member&)>* fn_ = nullptr;
  std::optional<Barrier> barrier_;  // kept between calls; after a failure its members may have parted
  int size_ = 1;
  bool pausing_ = false;
  int judged_ = 0;  // calls since the last pause
  double slept_ = 0;
  double lasted_ = 0;
  std::chrono::milliseconds pause_ = kFirstPause;
  Clock::time_point alone_until_;
  Clock::time_point last_end_;
  std::exception_ptr failure_;
};

}  // namespace

void run_team(int threads, const std::function<void(const Member&)>& fn) {
  if (threads > 1 && !forked && Team::instance().run(threads, fn)) return;
  const FlushDenormals flush;
  fn({0, 1, nullptr});
}

bool team_awake(int threads) { return threads > 1 && !forked && Team::instance().awake(threads); }

}  // namespace rnnfast
