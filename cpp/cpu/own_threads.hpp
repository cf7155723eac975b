// Our own threads, which spin for a short while after a call and then sleep. own_threads.cpp is the only file that
// starts threads.
#pragma once
#include <atomic>
#include <deque>

#include "team.hpp"

namespace rnnfast {

class OwnThreads {
 public:
  // Runs the work on as many of `threads` members as the system gives, the caller first. One call at a time.
  void run(int threads, const TeamWork& work);

 private:
  int hire(int wanted);
  void serve(int rank, Phase& start);

  std::deque<Phase> workers_;  // what starts each of them
  Phase done_;
  std::atomic<int> remaining_{0};
  TeamWork work_{};
  int size_ = 1;
};

}  // namespace rnnfast
