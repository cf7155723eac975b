#include "bind.hpp"

#include "../cpu/isa.hpp"

namespace {

constexpr const char* kMainOnly =
    "rnnfast: the main interpreter is required, got a sub-interpreter; use threads, which share one layer, or "
    "processes";

bool in_main_interpreter() { return PyInterpreterState_Get() == PyInterpreterState_Main(); }

}  // namespace

// The module's name is that of its file; this one only names the function that the next one calls.
PYBIND11_MODULE(engine, m) {
  if (!in_main_interpreter()) throw pybind11::import_error(kMainOnly);
  m.doc() = "The engine of rnnfast. Private: use the functions of the package.";
  m.attr("__version__") = RNNFAST_VERSION;
  rnnfast::choose_isa();
  rnnfast::bind_cpu(m);
  rnnfast::bind_registry(m);
  rnnfast::bind_rnn(m);
  rnnfast::bind_nn(m);
  rnnfast::bind_testing(m);
}

// Refuses a sub-interpreter before pybind11's first step, which would wait there for the GIL that its own thread holds.
// From Python 3.13 on this function runs in the main interpreter, and the body of the module refuses.
extern "C" PYBIND11_EXPORT PyObject* PyInit__core() {
  if (in_main_interpreter()) return PyInit_engine();
  PyErr_SetString(PyExc_ImportError, kMainOnly);
  return nullptr;
}
