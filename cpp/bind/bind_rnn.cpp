#include <pybind11/stl.h>

#include <cmath>

#include "bind.hpp"
#include "recurrent.hpp"

namespace rnnfast {

CellKind cell_named(const std::string& name) {
  for (int i = 0; i < kCellKinds; ++i)
    if (name == kCells[i].name) return static_cast<CellKind>(i);
  throw py::value_error("cell: one of cells() is required, got '" + name + "'");
}

Activation activation_named(const std::string& name) {
  for (int i = 0; i < kActivations; ++i)
    if (name == kActivationSpecs[i].name) return static_cast<Activation>(i);
  throw py::value_error("activation: one of activations() is required, got '" + name + "'");
}

namespace {

bool has_activation(const CellSpec& spec, int place, Activation activation) {
  switch (spec.options.choice) {
    case Choice::kFixed:
      return activation == spec.activation[place];
    case Choice::kElman:
      return activation == Activation::kTanh || activation == Activation::kRelu || activation == Activation::kIdentity;
    case Choice::kAny:
      return true;
  }
  __builtin_unreachable();
}

// "" where the cell reads all that was chosen; else the error that names the first option it would ignore.
std::string refusal(const CellSpec& spec, const CellChoice& choice) {
  const OptionSpec& reads = spec.options;
  const std::string cell = " is required by cell '" + std::string(spec.name) + "', got ";
  const auto given = static_cast<int>(choice.activations.size());
  if (given > 0 && given != spec.activations)
    return "activations: a tuple of " + std::to_string(spec.activations) + cell + std::to_string(given);
  for (int i = 0; i < given; ++i) {
    const std::string& name = std::get<0>(choice.activations[static_cast<std::size_t>(i)]);
    if (!has_activation(spec, i, activation_named(name))) return "activations: another one" + cell + "'" + name + "'";
  }
  if (!reads.clip && !std::isinf(choice.clip)) return "clip: infinity" + cell + std::to_string(choice.clip);
  if (!reads.leak && choice.leak != 1) return "leak: 1" + cell + std::to_string(choice.leak);
  if (!reads.recurrent_dropout && choice.recurrent_dropout) return "recurrent_dropout: False" + cell + "True";
  if (spec.peepholes == 0 && !choice.peepholes.is_none()) return "peepholes: None" + cell + "an array";
  if (!reads.zoneout && !choice.zoneout.is_none()) return "zoneout: None" + cell + "an array";
  if (!reads.norm && !choice.norm.is_none()) return "norm: None" + cell + "arrays";
  return "";
}

}  // namespace

CellKind choose_cell(const std::string& name, const CellChoice& choice) {
  if (!(choice.clip > 0))
    throw py::value_error("clip: a number above zero is required, got " + std::to_string(choice.clip));
  std::string refused;
  for (int i = 0; i < kCellKinds; ++i) {
    if (name != kCells[i].family) continue;
    refused = refusal(kCells[i], choice);
    if (refused.empty()) return static_cast<CellKind>(i);
  }
  if (!refused.empty()) throw py::value_error(refused);
  const CellKind kind = cell_named(name);
  refused = refusal(spec_of(kind), choice);
  if (!refused.empty()) throw py::value_error(refused);
  return kind;
}

void bind_rnn(py::module_& m) {
  py::class_<BoundWeights>(m, "Weights")
      .def(py::init([](const std::string& cell, const std::vector<std::tuple<std::string, double, double>>& activations,
                       double clip, double leak, bool recurrent_dropout, const py::array& w, const py::array& r,
                       const py::object& b_w, const py::object& b_r, const py::object& peepholes,
                       const py::object& projection, const py::object& zoneout, const py::object& norm, double eps) {
             CellChoice choice;
             choice.activations = activations;
             choice.clip = clip;
             choice.leak = leak;
             choice.recurrent_dropout = recurrent_dropout;
             choice.peepholes = peepholes;
             choice.zoneout = zoneout;
             choice.norm = norm;
             choice.eps = eps;
             return BoundWeights(cell, choice, w, r, b_w, b_r, projection);
           }),
           py::arg("cell"), py::arg("activations"), py::arg("clip"), py::arg("leak"), py::arg("recurrent_dropout"),
           py::arg("w"), py::arg("r"), py::arg("b_w"), py::arg("b_r"), py::arg("peepholes"), py::arg("projection"),
           py::arg("zoneout"), py::arg("norm"), py::arg("eps"))
      .def_property_readonly("cell", [](const BoundWeights& weights) { return std::string(weights.spec().name); });
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
