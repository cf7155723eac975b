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
#include <vector>

#include "denormals.hpp"
#include "own_threads.hpp"
#include "processors.hpp"
#include "stand_back.hpp"
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
    if (stand_back_.alone(start)) return false;
    if (!barrier_ || barrier_->members() != threads || failure_) barrier_.emplace(threads);
    const std::int64_t slept = barrier_->slept_ns();
    const bool awake = std::chrono::nanoseconds(start - last_end_).count() < kStillAwakeNs;
    callers_processor_ = processor_now();
    processors_.assign(static_cast<std::size_t>(threads), kUnknownProcessor);
    fn_ = &fn;
    failure_ = nullptr;
    const TeamWork work{[](void* team, int rank, int size) { static_cast<Team*>(team)->work(rank, size); }, this};
    if (!shared_ || !run_on_openmp(*openmp_, threads, work)) own_.run(threads, work);
    last_end_ = Clock::now();
    if (size_ <= available_processors())
      stand_back_.judge({start, own_end_, last_end_, barrier_->slept_ns() - slept, size_, awake, shared_a_processor()});
    if (failure_) std::rethrow_exception(failure_);
    return true;
  }

  bool awake(int threads) {
    const std::unique_lock<std::mutex> lock(busy_, std::try_to_lock);
    return lock.owns_lock() && !stand_back_.pausing() && size_ >= threads &&
           nanoseconds_since(last_end_) < kStillAwakeNs;
  }

  bool stands_back() {
    if (!stand_back_.pausing()) return false;
    const std::unique_lock<std::mutex> lock(busy_, std::try_to_lock);
    return lock.owns_lock() && stand_back_.alone(Clock::now());
  }

  bool restless() {
    const std::unique_lock<std::mutex> lock(busy_, std::try_to_lock);
    return lock.owns_lock() && stand_back_.restless();
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
    if (shared != shared_) stand_back_.forgive();
    shared_ = shared;
  }

  bool shared_a_processor() const {
    return processors_.front() != kUnknownProcessor &&
           std::count(processors_.begin(), processors_.end(), processors_.front()) > 1;
  }

  // The size is known in the team only, and all of its members know the same: OpenMP may give fewer threads than asked
  // for, the system too.
  void work(int rank, int size) {
    const FlushDenormals flush;
    barrier_->narrow(size);
    // The system wakes threads beside the one that calls them, and takes milliseconds to part them.
    if (rank > 0 && processor_now() == callers_processor_) leave_processor(callers_processor_);
    if (rank == 0) size_ = size;
    try {
      (*fn_)({rank, size, size > 1 ? &*barrier_ : nullptr});
    } catch (...) {
      const std::lock_guard<std::mutex> lock(failing_);
      failure_ = std::current_exception();
    }
    processors_[static_cast<std::size_t>(rank)] = processor_now();
    if (rank == 0) own_end_ = Clock::now();
  }

  std::mutex busy_;
  std::mutex failing_;
  OwnThreads own_;
  StandBack stand_back_;
  const OpenMP* openmp_ = nullptr;  // null: all threads are our own
  bool shared_ = false;             // with other OpenMP code
  ThreadSource looked_for_ = ThreadSource::kBest;
  Clock::time_point next_look_;
  const std::function<void(const Member&)>* fn_ = nullptr;
  std::optional<Barrier> barrier_;  // kept between calls; after a failure its members may have parted
  int size_ = 1;
  int callers_processor_ = kUnknownProcessor;  // at the beginning
  std::vector<int> processors_;                // on which each member ended
  Clock::time_point own_end_;                  // of the caller's share
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

int team_threads(int wanted) { return wanted > 1 && !forked && Team::instance().stands_back() ? 1 : wanted; }

bool team_restless() { return !forked && Team::instance().restless(); }

}  // namespace rnnfast
