#include "own_threads.hpp"

#include <algorithm>
#include <functional>
#include <system_error>
#include <thread>

namespace rnnfast {

void OwnThreads::run(int threads, const TeamWork& work) {
  const int helpers = hire(threads - 1);
  const unsigned seen = done_.value();
  work_ = work;
  size_ = helpers + 1;
  remaining_.store(helpers);
  for (int i = 0; i < helpers; ++i) workers_[static_cast<std::size_t>(i)].advance();
  work(0, size_);
  if (helpers > 0) done_.wait_past(seen, kSpinUs);
}

int OwnThreads::hire(int wanted) {
  if (static_cast<int>(workers_.size()) >= wanted) return wanted;
  const BlockSignals block;
  while (static_cast<int>(workers_.size()) < wanted) {
    Phase& start = workers_.emplace_back();
    try {
      std::thread(&OwnThreads::serve, this, static_cast<int>(workers_.size()), std::ref(start)).detach();
    } catch (const std::system_error&) {
      workers_.pop_back();
      break;
    }
  }
  return std::min(wanted, static_cast<int>(workers_.size()));
}

void OwnThreads::serve(int rank, Phase& start) {
  for (unsigned seen = 0;; ++seen) {
    start.wait_past(seen, kSpinUs);
    work_(rank, size_);
    if (remaining_.fetch_sub(1) == 1) done_.advance();
  }
}

}  // namespace rnnfast
