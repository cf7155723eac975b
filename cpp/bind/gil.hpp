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

 private:
  PyThreadState* const state_;
};

// Polls Python's signals in a scope without the GIL; where it returns true, the exception is set.
inline bool python_signals() {
  return outlive_interpreter([] {
    PyEval_RestoreThread(PyGILState_GetThisThreadState());
    const bool raised = PyErr_CheckSignals() != 0;
    PyEval_SaveThread();
    return raised;
  });
}

}  // namespace rnnfast
