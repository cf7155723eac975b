// Tells when a processor has become free, on Linux. The system runs threads of its idle policy only where nothing else
// wants to run, so that one that has run has found such a processor.
#pragma once
#include <atomic>

#include "barrier.hpp"

namespace rnnfast {

class Lookout {
 public:
  // Begins to look among the processors of this process, but for the calling thread's own. False where there is no
  // such thread: on other systems, or where the system refuses one.
  bool look();
  // Whether a processor was free since look() was called.
  bool found() const { return found_.load(std::memory_order_relaxed) == asked_.value(); }

 private:
  bool hire();
  static bool undisturbed();
  void serve();

  Phase asked_;
  std::atomic<unsigned> found_{0};
  unsigned long thread_ = 0;
  bool hired_ = false;
};

}  // namespace rnnfast
