// Tells when a processor has become free, on Linux. The system runs threads of its idle policy only where nothing else
// wants to run, so that one that has run has found such a processor.
#pragma once
#include <atomic>

#include "barrier.hpp"
#include "processors.hpp"

namespace rnnfast {

class Lookout {
 public:
  // Begins to look among the processors of the calling thread, but for the one it runs on. False where there is no such
  // thread: on other systems, or where the system refuses one.
  bool look();
  // The calling thread may have moved to another processor, where the lookout would wait for it in vain.
  void follow();
  // Whether a processor was free since look() was called.
  bool found() const { return found_.load(std::memory_order_relaxed) == asked_.value(); }

 private:
  bool hire();
  bool look_beside(int processor);
  static bool undisturbed();
  void serve();

  Phase asked_;
  std::atomic<unsigned> found_{0};
  unsigned long thread_ = 0;
  bool hired_ = false;
  bool refused_ = false;
  int beside_ = kUnknownProcessor;
};

}  // namespace rnnfast
