#include "bind.hpp"
#include "recurrent.hpp"

namespace rnnfast {

CellKind cell_named(const std::string& name) {
  for (int i = 0; i < kCellKinds; ++i)
    if (name == kCells[i].name) return static_cast<CellKind>(i);
  throw py::value_error("cell: one of rnn, lstm, gru, gru_before is required, got '" + name + "'");
}

Activation activation_named(const std::string& name) {
  if (name == "tanh") return Activation::kTanh;
  if (name == "relu") return Activation::kRelu;
  if (name == "identity") return Activation::kIdentity;
  throw py::value_error("activation: one of tanh, relu, identity is required, got '" + name + "'");
}

void bind_rnn(py::module_& m) {
  py::class_<BoundWeights>(m, "Weights")
      .def(py::init<const std::string&, const std::string&, const py::array&, const py::array&, const py::object&,
                    const py::object&>(),
           py::arg("cell"), py::arg("activation"), py::arg("w"), py::arg("r"), py::arg("b_w"), py::arg("b_r"));
  py::class_<BoundTape>(m, "Tape")
      .def_property_readonly("nbytes", &BoundTape::nbytes)
      .def_readonly("used", &BoundTape::used);
  bind_forward(m);
  bind_backward(m);
  bind_generate(m);
  bind_stream(m);
}

}  // namespace rnnfast
