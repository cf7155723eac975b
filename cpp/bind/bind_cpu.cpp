#include <pybind11/stl.h>

#include "../cpu/isa.hpp"
#include "../cpu/processors.hpp"
#include "../cpu/team.hpp"
#include "../cpu/thread_source.hpp"
#include "bind.hpp"

namespace py = pybind11;

namespace rnnfast {

void bind_cpu(py::module_& m) {
  // Both read the environment now; the first counts processors and registers the fork handler.
  num_threads();
  thread_source();
  m.def("num_threads", &thread_setting);
  m.def("set_num_threads", &set_num_threads);
  m.def("thread_source", [] { return std::string(name_of(thread_source())); });
  m.def("set_thread_source", [](const std::string& name) { set_thread_source(thread_source_named(name)); });
  m.def("describe_thread_source", &describe_thread_source);
  m.def("processor_quota", &processor_quota);
  m.def("isa", [] { return std::string(isa_name()); });
  m.def("isas", &available_isas);
}

}  // namespace rnnfast
