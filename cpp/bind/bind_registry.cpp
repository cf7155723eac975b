// The registry as data, for Python and the tests.
#include "../base/cells.hpp"
#include "../base/training.hpp"
#include "bind.hpp"

namespace py = pybind11;

namespace rnnfast {

namespace {

// The options of a layer that the cell reads, by the names that _core.Weights and the layers give them.
py::tuple options_read(const CellSpec& cell) {
  py::list read;
  if (cell.options.choice != Choice::kFixed) read.append("activations");
  if (cell.options.clip) read.append("clip");
  if (cell.options.leak) read.append("leak");
  if (cell.options.zoneout) read.append("zoneout");
  if (cell.options.norm) read.append("norm");
  if (cell.options.recurrent_dropout) read.append("recurrent_dropout");
  if (cell.peepholes > 0) read.append("peepholes");
  return py::tuple(read);
}

py::list cells() {
  py::list all;
  for (const CellSpec& cell : kCells) {
    py::list activations;
    for (int i = 0; i < cell.activations; ++i)
      activations.append(kActivationSpecs[static_cast<int>(cell.activation[i])].name);
    py::dict entry;
    entry["name"] = cell.name;
    entry["family"] = cell.family;
    entry["gates"] = cell.gates;
    entry["gate_names"] = py::tuple(py::str(cell.gate_names));
    entry["states"] = cell.states;
    entry["peepholes"] = cell.peepholes;
    entry["activations"] = py::tuple(activations);
    entry["options"] = options_read(cell);
    all.append(entry);
  }
  return all;
}

const char* alphas_text(Alphas alphas) {
  switch (alphas) {
    case Alphas::kEveryAlpha:
      return "";
    case Alphas::kAtLeastZero:
      return "alpha >= 0";
    case Alphas::kOtherThanZero:
      return "alpha other than 0";
  }
  __builtin_unreachable();
}

py::list activations() {
  py::list all;
  for (const ActivationSpec& activation : kActivationSpecs) {
    py::list numbers;
    if (activation.numbers > 0) numbers.append(activation.alpha);
    if (activation.numbers > 1) numbers.append(activation.beta);
    py::dict entry;
    entry["name"] = activation.name;
    entry["numbers"] = py::tuple(numbers);
    entry["required"] = alphas_text(activation.alphas);
    all.append(entry);
  }
  return all;
}

const char* targets_text(Targets targets) {
  switch (targets) {
    case Targets::kClasses:
      return "classes";
    case Targets::kNumbers:
      return "numbers";
  }
  __builtin_unreachable();
}

py::list losses() {
  py::list all;
  for (const LossSpec& loss : kLosses) {
    py::dict entry;
    entry["name"] = loss.name;
    entry["targets"] = targets_text(loss.kind);
    all.append(entry);
  }
  return all;
}

py::list optimizers() {
  py::list all;
  for (const OptimizerSpec& optimizer : kOptimizers) {
    py::list options;
    for (int i = 0; i < optimizer.options; ++i) options.append(optimizer.option[i].name);
    py::list buffers;
    for (int i = 0; i < buffers_of(optimizer); ++i) buffers.append(optimizer.buffer[i]);
    py::dict entry;
    entry["name"] = optimizer.name;
    entry["options"] = py::tuple(options);
    entry["buffers"] = py::tuple(buffers);
    all.append(entry);
  }
  return all;
}

}  // namespace

void bind_registry(py::module_& m) {
  m.def("cells", &cells);
  m.def("activations", &activations);
  m.def("losses", &losses);
  m.def("optimizers", &optimizers);
}

}  // namespace rnnfast
