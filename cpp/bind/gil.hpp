// Releasing Python's lock, and taking it back where the interpreter may have ended meanwhile.
#pragma once
#include <Python.h>
#include <unistd.h>

namespace rnnfast {

// Calls f, which takes the GIL or runs Python code and throws no exception of C++. After the interpreter has ended,
// Python before 3.14 ends a thread that asks for the GIL, a daemon thread in a call, by pthread_exit. That unwinds the
// stack: destructors would release references without the GIL, and the first noexcept frame aborts the process. The
// thread sleeps instead until the process is gone, as from Python 3.14 on.
template <class F>
auto outlive_interpreter(const F& f) {
  try {
    return f();
  } catch (...) {
    for (;;) pause();
  }
}

// Releases the GIL for a scope.
class GilRelease {
 public:
  GilRelease() : state_(PyEval_SaveThread()) {}
  ~GilRelease() {
    outlive_interpreter([this] { PyEval_RestoreThread(state_); });
  }
  GilRelease(const GilRelease&) = delete;
  GilRelease& operator=(const GilRelease&) = delete;

  // Polls Python's signals on the thread that made this; where it returns true, the exception is set. The state is the
  // saved one: once the interpreter ends, PyGILState_GetThisThreadState has none, and Python aborts without one.
  bool signals() const {
    return outlive_interpreter([this] {
      PyEval_RestoreThread(state_);
      const bool raised = PyErr_CheckSignals() != 0;
      PyEval_SaveThread();
      return raised;
    });
  }

 private:
  PyThreadState* const state_;
};

}  // namespace rnnfast
