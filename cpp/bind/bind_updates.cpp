#include <pybind11/stl.h>

#include <algorithm>
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
std::vector<Tensor<Real>> tensors_of(const Arrays& values, const Arrays& grads, const std::vector<Named>& kept) {
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
    for (std::size_t k = 0; k < kept.size(); ++k) {
      tensor.kept[k] = contiguous_writable<Real>(element(kept[k].name, i), kept[k].arrays[i], formula, shape);
      written.push_back({tensor.size, tensor.kept[k]});
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

void check_number(const char* name, double value) {
  if (!std::isfinite(value) || value < 0)
    throw py::value_error(std::string(name) + ": a finite number >= 0 is required, got " + to_text(value));
}

void check_fraction(const char* name, double value) {
  if (!(value >= 0 && value < 1))
    throw py::value_error(std::string(name) + ": a number in [0, 1) is required, got " + to_text(value));
}

bool all_double(const char* name, const Arrays& arrays) {
  if (arrays.empty()) return false;
  if (py::isinstance<py::array_t<double>>(arrays[0])) return true;
  if (py::isinstance<py::array_t<float>>(arrays[0])) return false;
  throw py::type_error(element(name, 0) + ": dtype float32 or float64 is required, got " +
                       py::str(arrays[0].dtype()).cast<std::string>());
}

// run(tensors, step) with everything checked; `step` is increased by the update itself.
template <class Run>
void update(const Arrays& values, const Arrays& grads, const std::vector<Named>& kept, const py::array& step,
            const Run& run) {
  check_lengths(values, {{"grads", grads}});
  check_lengths(values, kept);
  Index& count = *contiguous_writable<Index>("step", step, "(1,)", {1});
  if (count < 0) throw py::value_error("step: at least 0 is required, got " + std::to_string(count));
  if (all_double("values", values)) {
    const auto tensors = tensors_of<double>(values, grads, kept);
    const GilRelease nogil;
    run(tensors, count);
  } else {
    const auto tensors = tensors_of<float>(values, grads, kept);
    const GilRelease nogil;
    run(tensors, count);
  }
}

void sgd(const Arrays& values, const Arrays& grads, const Arrays& buffers, double lr, double momentum, double dampening,
         double weight_decay, bool nesterov, const py::array& step) {
  check_number("lr", lr);
  check_number("momentum", momentum);
  check_number("weight_decay", weight_decay);
  if (!std::isfinite(dampening))
    throw py::value_error("dampening: a finite number is required, got " + to_text(dampening));
  update(values, grads, {{"buffers", buffers}}, step, [&](const auto& tensors, Index& count) {
    sgd_step(tensors, {lr, momentum, dampening, weight_decay, nesterov}, count);
  });
}

void adam(const Arrays& values, const Arrays& grads, const Arrays& m, const Arrays& v, const py::array& step, double lr,
          double beta1, double beta2, double eps, double weight_decay, bool decoupled) {
  check_number("lr", lr);
  check_fraction("beta1", beta1);
  check_fraction("beta2", beta2);
  check_number("eps", eps);
  check_number("weight_decay", weight_decay);
  update(values, grads, {{"m", m}, {"v", v}}, step, [&](const auto& tensors, Index& count) {
    adam_step(tensors, {lr, beta1, beta2, eps, weight_decay, decoupled}, count);
  });
}

void rmsprop(const Arrays& values, const Arrays& grads, const Arrays& square_avgs, const Arrays& buffers,
             const Arrays& grad_avgs, const py::array& step, double lr, double alpha, double eps, double weight_decay,
             double momentum, bool centered) {
  check_number("lr", lr);
  check_number("alpha", alpha);
  check_number("eps", eps);
  check_number("weight_decay", weight_decay);
  check_number("momentum", momentum);
  const std::vector<Named> kept = {{"square_avgs", square_avgs}, {"buffers", buffers}, {"grad_avgs", grad_avgs}};
  update(values, grads, kept, step, [&](const auto& tensors, Index& count) {
    rmsprop_step(tensors, {lr, alpha, eps, weight_decay, momentum, centered}, count);
  });
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
  m.def("sgd_step", &sgd, py::arg("values"), py::arg("grads"), py::arg("buffers"), py::arg("lr"), py::arg("momentum"),
        py::arg("dampening"), py::arg("weight_decay"), py::arg("nesterov"), py::arg("step"));
  m.def("adam_step", &adam, py::arg("values"), py::arg("grads"), py::arg("m"), py::arg("v"), py::arg("step"),
        py::arg("lr"), py::arg("beta1"), py::arg("beta2"), py::arg("eps"), py::arg("weight_decay"),
        py::arg("decoupled"));
  m.def("rmsprop_step", &rmsprop, py::arg("values"), py::arg("grads"), py::arg("square_avgs"), py::arg("buffers"),
        py::arg("grad_avgs"), py::arg("step"), py::arg("lr"), py::arg("alpha"), py::arg("eps"), py::arg("weight_decay"),
        py::arg("momentum"), py::arg("centered"));
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
