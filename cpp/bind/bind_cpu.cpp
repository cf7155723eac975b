#include <pybind11/stl.h>

#include "../cpu/isa.hpp"
#include "../cpu/processors.hpp"
#include "../cpu/team.hpp"
#include "bind.hpp"

namespace py = pybind11;

namespace rnnfast {

void bind_cpu(py::module_& m) {
  num_threads();  // reads the environment, counts processors and registers the fork handler now
  m.def("num_threads", &thread_setting);
  m.def("set_num_threads", &set_num_threads);
  m.def("processor_quota", &processor_quota);
  m.def("isa", [] { return std::string(isa_name()); });
  m.def("isas", &available_isas);
}

}  // namespace rnnfast
