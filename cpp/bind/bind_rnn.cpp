#include <pybind11/stl.h>

#include <map>

#include "bind.hpp"
#include "recurrent.hpp"

namespace rnnfast {

CellKind cell_named(const std::string& name) {
  for (int i = 0; i < kCellKinds; ++i)
    if (name == kCells[i].name) return static_cast<CellKind>(i);
  throw py::value_error("cell: one of cells() is required, got '" + name + "'");
}

Activation activation_named(const std::string& name) {
  static const std::map<std::string, Activation> kinds = {{"tanh", Activation::kTanh},
                                                          {"relu", Activation::kRelu},
                                                          {"identity", Activation::kIdentity},
                                                          {"sigmoid", Activation::kSigmoid},
                                                          {"hard_sigmoid", Activation::kHardSigmoid},
                                                          {"hard_tanh", Activation::kHardTanh},
                                                          {"softsign", Activation::kSoftsign},
                                                          {"softplus", Activation::kSoftplus},
                                                          {"elu", Activation::kElu},
                                                          {"leaky_relu", Activation::kLeakyRelu},
                                                          {"thresholded_relu", Activation::kThresholdedRelu},
                                                          {"scaled_tanh", Activation::kScaledTanh},
                                                          {"affine", Activation::kAffine}};
  const auto kind = kinds.find(name);
  if (kind == kinds.end()) throw py::value_error("activation: a known one is required, got '" + name + "'");
  return kind->second;
}

void bind_rnn(py::module_& m) {
  py::class_<BoundWeights>(m, "Weights")
      .def(py::init([](const std::string& cell, const std::vector<std::tuple<std::string, double, double>>& activations,
                       double clip, double leak, const py::array& w, const py::array& r, const py::object& b_w,
                       const py::object& b_r, const py::object& peepholes, const py::object& projection,
                       const py::object& zoneout, const py::object& norm, double eps) {
             return BoundWeights(cell, {activations, clip, leak, peepholes, zoneout, norm, eps}, w, r, b_w, b_r,
                                 projection);
           }),
           py::arg("cell"), py::arg("activations"), py::arg("clip"), py::arg("leak"), py::arg("w"), py::arg("r"),
           py::arg("b_w"), py::arg("b_r"), py::arg("peepholes"), py::arg("projection"), py::arg("zoneout"),
           py::arg("norm"), py::arg("eps"));
  py::class_<BoundTape>(m, "Tape")
      .def_property_readonly("nbytes", &BoundTape::nbytes)
      .def_readonly("used", &BoundTape::used);
  bind_forward(m);
  bind_backward(m);
  bind_generate(m);
  bind_stream(m);
  bind_trace(m);
}

}  // namespace rnnfast
