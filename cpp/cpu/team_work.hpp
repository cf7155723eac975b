// What the members of a team do, whoever brings their threads. It must not throw.
#pragma once
#include <signal.h>

namespace rnnfast {

struct TeamWork {
  void (*run)(void* context, int rank, int size);
  void* context;

  void operator()(int rank, int size) const { run(context, rank, size); }
};

// Threads started in this block leave all signals to the threads of the user.
class BlockSignals {
 public:
  BlockSignals() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~BlockSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  BlockSignals(const BlockSignals&) = delete;
  BlockSignals& operator=(const BlockSignals&) = delete;

 private:
  sigset_t before_;
};

}  // namespace rnnfast
