// What the bindings of forward and backward share: packed weights, the tape, views of (N, T, .) arrays.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

#include "../base/fault.hpp"
#include "../rnn/rnn.hpp"
#include "../rnn/views.hpp"
#include "arrays.hpp"

namespace rnnfast {

CellKind cell_named(const std::string& name);
Activation activation_named(const std::string& name);

// What a layer chooses of its cell's options. activations: name, alpha, beta of f, g and h, as many as the cell reads.
struct CellChoice {
  std::vector<std::tuple<std::string, double, double>> activations;
  double clip, leak;
  py::object peepholes, zoneout;
  py::object norm;  // (gamma_ih, gamma_hh, gamma_c, beta_c), or none
  double eps;

  // Refuses what the cell would ignore.
  void check(const CellSpec& spec) const {
    const OptionSpec& reads = spec.options;
    const std::string cell = " is required by cell '" + std::string(spec.name) + "'";
    if (static_cast<int>(activations.size()) != reads.activations)
      throw py::value_error("activations: a tuple of " + std::to_string(reads.activations) + cell + ", got " +
                            std::to_string(activations.size()));
    for (const auto& [name, alpha, beta] : activations)
      if (activation_named(name) > Activation::kIdentity && !reads.any_activation)
        throw py::value_error("activations: tanh, relu or identity" + cell + ", got '" + name + "'");
    if (!(clip > 0)) throw py::value_error("clip: a number above zero is required, got " + std::to_string(clip));
    if (!reads.clip && !std::isinf(clip))
      throw py::value_error("clip: infinity" + cell + ", got " + std::to_string(clip));
    if (!reads.leak && leak != 1) throw py::value_error("leak: 1" + cell + ", got " + std::to_string(leak));
    if (spec.peepholes == 0 && !peepholes.is_none()) throw py::value_error("peepholes: None" + cell + ", got an array");
    if (!reads.zoneout && !zoneout.is_none()) throw py::value_error("zoneout: None" + cell + ", got an array");
    if (!reads.norm && !norm.is_none()) throw py::value_error("norm: None" + cell + ", got arrays");
  }

  template <class Real>
  CellOptions<Real> options(const CellSpec& spec, Index H) const {
    const double unbounded = std::numeric_limits<double>::infinity();
    CellOptions<Real> options{};
    ActivationFn<Real>* const functions[] = {&options.f, &options.g, &options.h};
    for (std::size_t i = 0; i < std::size(functions); ++i) {
      functions[i]->clip = static_cast<Real>(i < 2 ? clip : unbounded);
      functions[i]->kind = spec.activation[i];
      if (i >= activations.size()) continue;
      const auto& [name, alpha, beta] = activations[i];
      functions[i]->kind = activation_named(name);
      functions[i]->alpha = static_cast<Real>(alpha);
      functions[i]->beta = static_cast<Real>(beta);
    }
    options.leak = static_cast<Real>(leak);
    options.peepholes = optional_contiguous<Real>("peepholes", peepholes, "(peepholes, H)", {spec.peepholes, H});
    options.zoneout = optional_contiguous<Real>("zoneout", zoneout, "(states, H)", {spec.states, H});
    return options;
  }

  template <class Real>
  NormArrays<Real> norms(const CellSpec& spec, Index H) const {
    if (norm.is_none()) return {};
    const auto given = norm.cast<std::array<py::object, 4>>();
    const Index rows = spec.gates * H;
    const NormArrays<Real> norms = {optional_contiguous<Real>("gamma_ih", given[0], "(G*H,)", {rows}),
                                    optional_contiguous<Real>("gamma_hh", given[1], "(G*H,)", {rows}),
                                    optional_contiguous<Real>("gamma_c", given[2], "(H,)", {H}),
                                    optional_contiguous<Real>("beta_c", given[3], "(H,)", {H}), static_cast<Real>(eps)};
    if (norms.gamma_ih == nullptr || norms.gamma_hh == nullptr || (spec.output_gate >= 0) != (norms.gamma_c != nullptr))
      throw py::value_error("norm: gammas of W x and R h and, of a cell with a cell state, of c are required");
    if (!(eps > 0)) throw py::value_error("eps: a number above zero is required, got " + std::to_string(eps));
    return norms;
  }
};

// The number of ids, V, where they are given instead of a table: their inputs are unit vectors.
inline Index unit_vectors(const py::object& count, Index C) {
  const auto V = count.cast<Index>();
  if (V != C)
    throw py::value_error("table: V = C = " + std::to_string(C) + " unit vectors are required, got " +
                          std::to_string(V));
  return V;
}

// A layer's packed weights and the arrays they were packed from.
struct BoundWeights {
  std::variant<std::shared_ptr<const Weights<float>>, std::shared_ptr<const Weights<double>>> value;
  std::vector<py::object> arrays;

  BoundWeights(const std::string& cell, const CellChoice& choice, const py::array& w, const py::array& r,
               const py::object& b_w, const py::object& b_r, const py::object& projection)
      : arrays{w, r, b_w, b_r, projection} {
    if (py::isinstance<py::array_t<double>>(w))
      value = build<double>(cell, choice, w, r, b_w, b_r, projection);
    else
      value = build<float>(cell, choice, w, r, b_w, b_r, projection);
    if (faulty(Fault::kStalePack)) {
      static std::map<std::tuple<const void*, std::string, Index, Index, Index>, decltype(value)> packed;
      value = packed.try_emplace({w.data(), cell, w.itemsize(), w.shape(0), r.shape(1)}, value).first->second;
    }
  }

  template <class Real>
  static std::shared_ptr<const Weights<Real>> build(const std::string& cell, const CellChoice& choice,
                                                    const py::array& w, const py::array& r, const py::object& b_w,
                                                    const py::object& b_r, const py::object& projection) {
    if (w.ndim() != 2 || r.ndim() != 2) throw py::value_error("w, r: two dimensions are required");
    const CellKind kind = cell_named(cell);
    choice.check(spec_of(kind));
    const Index G = spec_of(kind).gates, H = w.shape(0) / G, P = r.shape(1), C = w.shape(1);
    if (!projection.is_none() && !spec_of(kind).has_c)
      throw py::value_error("projection: a cell with a cell state is required");
    if (projection.is_none() && P != H)
      throw py::value_error("projection: one is required where h has other than H numbers");
    if (!choice.norm.is_none() && (!projection.is_none() || !choice.peepholes.is_none() || !choice.zoneout.is_none()))
      throw py::value_error("norm: a layer without projection, peepholes and zoneout is required");
    return std::make_shared<const Weights<Real>>(WeightArrays<Real>{
        kind, C, H, P, contiguous<Real>("w", w, "(G*H, C)", {G * H, C}),
        contiguous<Real>("r", r, "(G*H, P)", {G * H, P}), optional_contiguous<Real>("b_w", b_w, "(G*H,)", {G * H}),
        optional_contiguous<Real>("b_r", b_r, "(G*H,)", {G * H}),
        optional_contiguous<Real>("projection", projection, "(P, H)", {P, H}), choice.options<Real>(spec_of(kind), H),
        choice.norms<Real>(spec_of(kind), H)});
  }
};

template <class Real>
Stack<Real> stack_of(const std::vector<const BoundWeights*>& layers) {
  Stack<Real> stack;
  for (const BoundWeights* layer : layers) {
    const auto* weights = std::get_if<std::shared_ptr<const Weights<Real>>>(&layer->value);
    if (weights == nullptr)
      throw py::type_error(std::string("layers: weights of dtype ") + type_name<Real>() + " are required");
    stack.push_back(*weights);
  }
  return stack;
}

template <class Real>
struct Tape {
  explicit Tape(Plan batch) : plan(std::move(batch)) {}

  Stack<Real> layers;
  Index directions = 1;
  Plan plan;
  Randomness random;
  Index C = 0;
  bool time_major = false;
  Shape h_shape, c_shape, y_shape;
  std::vector<Saved<Real>> saved;
  View<const Real> x = {}, y = {};
  const Real *h0 = nullptr, *c0 = nullptr, *h_reset = nullptr, *c_reset = nullptr;
};

// Everything a backward call needs; single-use. Keeps the arrays it points into alive.
struct BoundTape {
  template <class Real>
  BoundTape(Tape<Real>&& tape, std::vector<py::object> kept) : value(std::move(tape)), arrays(std::move(kept)) {}
  BoundTape(const BoundTape&) = delete;
  BoundTape& operator=(const BoundTape&) = delete;

  std::variant<Tape<float>, Tape<double>> value;
  std::vector<py::object> arrays;
  bool used = false;

  Index nbytes() const {
    return std::visit(
        [](const auto& tape) {
          Index numbers = 0;
          for (const auto& saved : tape.saved)
            numbers += saved.gates.size() + saved.aux.size() + saved.out.size() + saved.raw.size() + saved.y.size() +
                       saved.starts.size();
          return numbers * static_cast<Index>(sizeof(*tape.h0));
        },
        value);
  }
};

// (N, T, width), its last axis contiguous; time_major: laid out (T, N, width) in memory.
template <class Real>
py::array new_sequences(Index N, Index T, Index width, bool time_major) {
  const Shape shape = time_major ? Shape{T, N, width} : Shape{N, T, width};
  auto owner = std::make_unique<Buffer<Real>>(checked_product(checked_product(N, T), width));
  Real* data = owner->data();
  const py::capsule base(owner.release(), [](void* buffer) { delete static_cast<Buffer<Real>*>(buffer); });
  const py::array array = py::array_t<Real>(shape, data, base);
  return time_major ? array.attr("transpose")(1, 0, 2).template cast<py::array>() : array;
}

template <class Real>
View<Real> view_of(const py::array& array) {
  const auto stride = [&](int axis) {
    return static_cast<Index>(array.strides(axis)) / static_cast<Index>(sizeof(Real));
  };
  return {static_cast<Real*>(const_cast<void*>(array.data())), 0, 0, stride(0), stride(1)};
}

template <class Real>
View<const Real> sequence_view(const std::string& name, const py::array& array, const std::string& formula,
                               const Shape& expected) {
  check_dtype<Real>(name, array);
  check_shape(name, array, formula, expected);
  const auto size = static_cast<py::ssize_t>(sizeof(Real));
  if (array.size() == 0) return view_of<const Real>(array);  // NumPy gives empty arrays any strides
  const bool contiguous_rows = array.shape(2) <= 1 || array.strides(2) == size;
  if (!contiguous_rows || array.strides(0) % size != 0 || array.strides(1) % size != 0 ||
      (array.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_) == 0)
    throw py::value_error(name + ": an aligned array with a contiguous last axis is required");
  return view_of<const Real>(array);
}

void bind_forward(py::module_& m);
void bind_backward(py::module_& m);
void bind_generate(py::module_& m);
void bind_stream(py::module_& m);
void bind_trace(py::module_& m);

}  // namespace rnnfast
