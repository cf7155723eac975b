#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

#include "../nn/nn.hpp"
#include "arrays.hpp"
#include "bind.hpp"

namespace rnnfast {

namespace {

using Arrays = std::vector<py::array>;

struct Named {
  const char* name;
  const Arrays& arrays;
};

std::string element(const char* name, std::size_t i) { return std::string(name) + "[" + std::to_string(i) + "]"; }

// Threads write these arrays at once: memory in two of them would make the result a matter of chance.
template <class Real>
void check_apart(std::vector<Numbers<Real>> arrays) {
  const auto before = [](const Numbers<Real>& a, const Numbers<Real>& b) { return std::less<>()(a.data, b.data); };
  std::sort(arrays.begin(), arrays.end(), before);
  for (std::size_t i = 1; i < arrays.size(); ++i)
    if (arrays[i].size > 0 && std::less<>()(arrays[i].data, arrays[i - 1].data + arrays[i - 1].size))
      throw py::value_error("arrays: each in memory of its own is required, got two that share some");
}

template <class Real>
std::vector<Tensor<Real>> tensors_of(const Arrays& values, const Arrays& grads, const std::vector<Named>& buffers) {
  std::vector<Tensor<Real>> tensors;
  std::vector<Numbers<Real>> written;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const Shape shape = shape_of(values[i]);
    const std::string formula = "of " + element("values", i);
    Tensor<Real> tensor{};
    tensor.size = values[i].size();
    tensor.value = contiguous_writable<Real>(element("values", i), values[i], formula, shape);
    tensor.grad = contiguous<Real>(element("grads", i), grads[i], formula, shape);
    written.push_back({tensor.size, tensor.value});
    for (std::size_t k = 0; k < buffers.size(); ++k) {
      tensor.buffer[k] = contiguous_writable<Real>(element(buffers[k].name, i), buffers[k].arrays[i], formula, shape);
      written.push_back({tensor.size, tensor.buffer[k]});
    }
    tensors.push_back(tensor);
  }
  check_apart(std::move(written));
  return tensors;
}

void check_lengths(const Arrays& values, const std::vector<Named>& lists) {
  for (const Named& list : lists)
    if (list.arrays.size() != values.size())
      throw py::value_error(std::string(list.name) + ": as many arrays as values (" + std::to_string(values.size()) +
                            ") are required, got " + std::to_string(list.arrays.size()));
}

std::string to_text(double value) { return py::repr(py::float_(value)).cast<std::string>(); }

// Throws py::value_error where the number is not within the range.
void check_number(const NumberSpec& spec, double value) {
  const auto require = [&](bool good, const char* required) {
    if (!good) throw py::value_error(std::string(spec.name) + ": " + required + " is required, got " + to_text(value));
  };
  switch (spec.range) {
    case OptionRange::kFinite:
      return require(std::isfinite(value), "a finite number");
    case OptionRange::kAtLeastZero:
      return require(std::isfinite(value) && value >= 0, "a finite number >= 0");
    case OptionRange::kFraction:
      return require(value >= 0 && value < 1, "a number in [0, 1)");
    case OptionRange::kFlag:
      return require(value == 0 || value == 1, "0 or 1");
  }
}

bool all_double(const char* name, const Arrays& arrays) {
  if (arrays.empty()) return false;
  if (py::isinstance<py::array_t<double>>(arrays[0])) return true;
  if (py::isinstance<py::array_t<float>>(arrays[0])) return false;
  throw py::type_error(element(name, 0) + ": dtype float32 or float64 is required, got " +
                       py::str(arrays[0].dtype()).cast<std::string>());
}

OptimizerKind optimizer_named(const std::string& name) {
  for (int i = 0; i < kOptimizerKinds; ++i)
    if (name == kOptimizers[i].name) return static_cast<OptimizerKind>(i);
  throw py::value_error("optimizer: one of optimizers() is required, got '" + name + "'");
}

// The numbers in the order of the optimiser's list.
std::array<double, kMaxOptions> options_given(const OptimizerSpec& spec, const py::dict& given) {
  std::array<double, kMaxOptions> numbers{};
  for (int i = 0; i < spec.options; ++i) {
    if (!given.contains(spec.option[i].name))
      throw py::value_error(std::string("options: one called '") + spec.option[i].name + "' is required, got none");
    const double number = given[spec.option[i].name].cast<double>();
    check_number(spec.option[i], number);
    numbers[static_cast<std::size_t>(i)] = number;
  }
  if (static_cast<int>(given.size()) != spec.options)
    throw py::value_error("options: " + std::to_string(spec.options) + " of optimizer '" + spec.name +
                          "' are required, got " + std::to_string(given.size()));
  return numbers;
}

template <class Real>
void update_typed(OptimizerKind kind, const Arrays& values, const Arrays& grads, const std::vector<Named>& buffers,
                  const double* options, Index& step) {
  const std::vector<Tensor<Real>> tensors = tensors_of<Real>(values, grads, buffers);
  const GilRelease nogil;
  update(kind, tensors, options, step);
}

// `step` is increased by the update itself, once everything was checked.
void update_named(const std::string& optimizer, const Arrays& values, const Arrays& grads,
                  const std::vector<Arrays>& buffers, const py::dict& options, const py::array& step) {
  const OptimizerKind kind = optimizer_named(optimizer);
  const OptimizerSpec& spec = kOptimizers[static_cast<int>(kind)];
  const auto numbers = options_given(spec, options);
  if (static_cast<int>(buffers.size()) != buffers_of(spec))
    throw py::value_error("buffers: " + std::to_string(buffers_of(spec)) + " lists of arrays are required, got " +
                          std::to_string(buffers.size()));
  std::vector<Named> named;
  for (std::size_t k = 0; k < buffers.size(); ++k) named.push_back({spec.buffer[k], buffers[k]});
  check_lengths(values, {{"grads", grads}});
  check_lengths(values, named);
  Index& count = *contiguous_writable<Index>("step", step, "(1,)", {1});
  if (count < 0) throw py::value_error("step: at least 0 is required, got " + std::to_string(count));
  if (all_double("values", values))
    update_typed<double>(kind, values, grads, named, numbers.data(), count);
  else
    update_typed<float>(kind, values, grads, named, numbers.data(), count);
}

template <class Real>
double norm_typed(const Arrays& arrays) {
  std::vector<Numbers<const Real>> numbers;
  for (std::size_t i = 0; i < arrays.size(); ++i)
    numbers.push_back(
        {arrays[i].size(), contiguous<Real>(element("arrays", i), arrays[i], "any", shape_of(arrays[i]))});
  const GilRelease nogil;
  return squared_norm<Real>(numbers);
}

template <class Real>
void scale_typed(const Arrays& arrays, double factor) {
  std::vector<Numbers<Real>> numbers;
  for (std::size_t i = 0; i < arrays.size(); ++i)
    numbers.push_back(
        {arrays[i].size(), contiguous_writable<Real>(element("arrays", i), arrays[i], "any", shape_of(arrays[i]))});
  check_apart(numbers);
  const GilRelease nogil;
  scale(numbers, factor);
}

}  // namespace

void bind_updates(py::module_& m) {
  m.def("update", &update_named, py::arg("optimizer"), py::arg("values"), py::arg("grads"), py::arg("buffers"),
        py::arg("options"), py::arg("step"));
  m.def(
      "squared_norm",
      [](const Arrays& arrays) {
        return all_double("arrays", arrays) ? norm_typed<double>(arrays) : norm_typed<float>(arrays);
      },
      py::arg("arrays"));
  m.def(
      "scale_",
      [](const Arrays& arrays, double factor) {
        return all_double("arrays", arrays) ? scale_typed<double>(arrays, factor) : scale_typed<float>(arrays, factor);
      },
      py::arg("arrays"), py::arg("factor"));
}

}  // namespace rnnfast
