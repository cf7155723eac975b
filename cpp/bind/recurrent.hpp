// What the bindings of forward and backward share: packed weights, the tape, views of (N, T, .) arrays.
#pragma once
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

#include "../base/fault.hpp"
#include "../rnn/rnn.hpp"
#include "arrays.hpp"
#include "cell_choice.hpp"

namespace rnnfast {

CellKind cell_named(const std::string& name);

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
    const CellKind kind = choose_cell(cell, choice);
    if (py::isinstance<py::array_t<double>>(w))
      value = build<double>(kind, choice, w, r, b_w, b_r, projection);
    else
      value = build<float>(kind, choice, w, r, b_w, b_r, projection);
    if (faulty(Fault::kStalePack)) {
      static std::map<std::tuple<const void*, CellKind, Index, Index, Index>, decltype(value)> packed;
      value = packed.try_emplace({w.data(), kind, w.itemsize(), w.shape(0), r.shape(1)}, value).first->second;
    }
  }

  const CellSpec& spec() const {
    return std::visit([](const auto& weights) -> const CellSpec& { return weights->spec(); }, value);
  }

  template <class Real>
  static std::shared_ptr<const Weights<Real>> build(CellKind kind, const CellChoice& choice, const py::array& w,
                                                    const py::array& r, const py::object& b_w, const py::object& b_r,
                                                    const py::object& projection) {
    if (w.ndim() != 2 || r.ndim() != 2) throw py::value_error("w, r: two dimensions are required");
    const CellSpec& spec = spec_of(kind);
    const Index G = spec.gates;
    const Index H = w.shape(0) / G;
    const Index P = r.shape(1);
    const Index C = w.shape(1);
    if (!projection.is_none() && !spec.has_c) throw py::value_error("projection: a cell with a cell state is required");
    if (projection.is_none() && P != H)
      throw py::value_error("projection: one is required where h has other than H numbers");
    if (!choice.norm.is_none() && (!projection.is_none() || !choice.peepholes.is_none() || !choice.zoneout.is_none()))
      throw py::value_error("norm: a layer without projection, peepholes and zoneout is required");
    WeightArrays<Real> given{};
    given.cell = kind;
    given.C = C;
    given.H = H;
    given.P = P;
    given.w = contiguous<Real>("w", w, "(G*H, C)", {G * H, C});
    given.r = contiguous<Real>("r", r, "(G*H, P)", {G * H, P});
    given.b_w = optional_contiguous<Real>("b_w", b_w, "(G*H,)", {G * H});
    given.b_r = optional_contiguous<Real>("b_r", b_r, "(G*H,)", {G * H});
    given.projection = optional_contiguous<Real>("projection", projection, "(P, H)", {P, H});
    given.options = choice.options<Real>(spec, H);
    given.norm = choice.norms<Real>(spec, H);
    return std::make_shared<const Weights<Real>>(given);
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

// Sequences (N, T, .), or rows of an array: x is (M, C) then, and y, dy, dx and resets are (R, .), the R rows of the
// sequences one sequence after another. Views point into the starts, which stay where they are when a batch is moved.
struct Batch {
  Index N = 0;
  Index T = 0;  // of rows the longest length
  bool by_rows = false;
  std::vector<Index> x_starts;  // of rows [N]: in x
  std::vector<Index> y_starts;  // of rows [N]: in y, dy, dx and resets
};

template <class Real>
struct Tape {
  Tape(Batch&& given, Plan&& order) : batch(std::move(given)), plan(std::move(order)) {}

  Stack<Real> layers;
  Index directions = 1;
  Batch batch;
  Plan plan;
  Randomness random;
  Index C = 0;
  bool time_major = false;
  Shape h_shape;
  Shape c_shape;
  std::vector<Saved<Real>> saved;
  View<const Real> x = {};
  View<const Real> y = {};
  const Real* h0 = nullptr;
  const Real* c0 = nullptr;
  const Real* h_reset = nullptr;
  const Real* c_reset = nullptr;

  Index width() const { return directions * h_shape[2]; }  // of y
  // Of `numbers` a step.
  Shape shape(Index numbers) const {
    return batch.by_rows ? Shape{plan.rows(), numbers} : Shape{batch.N, batch.T, numbers};
  }
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

// Uninitialised, in memory that is handed out again.
template <class Real>
py::array new_array(const Shape& shape) {
  Index size = 1;
  for (const Index axis : shape) size = checked_product(size, axis);
  auto owner = std::make_unique<Buffer<Real>>(size);
  Real* data = owner->data();
  const py::capsule base(owner.release(), [](void* buffer) { delete static_cast<Buffer<Real>*>(buffer); });
  return py::array_t<Real>(shape, data, base);
}

// (N, T, width), its last axis contiguous; time_major: laid out (T, N, width) in memory.
template <class Real>
py::array new_sequences(Index N, Index T, Index width, bool time_major) {
  if (!time_major) return new_array<Real>({N, T, width});
  return new_array<Real>({T, N, width}).attr("transpose")(1, 0, 2).template cast<py::array>();
}

// `numbers` a step of the tape's batch.
template <class Real>
py::array new_steps(const Tape<Real>& tape, Index numbers) {
  if (tape.batch.by_rows) return new_array<Real>(tape.shape(numbers));
  return new_sequences<Real>(tape.batch.N, tape.batch.T, numbers, tape.time_major);
}

// Of an array (N, T, .), or (M, .) in which sequence n begins at row starts[n]; starts must outlive the view.
template <class Real>
View<Real> view_of(const py::array& array, const Index* starts = nullptr) {
  const auto stride = [&](py::ssize_t axis) {
    return static_cast<Index>(array.strides(axis)) / static_cast<Index>(sizeof(Real));
  };
  Real* const data = static_cast<Real*>(const_cast<void*>(array.data()));
  if (array.ndim() == 2) return {data, 0, 0, 0, stride(0), starts};
  return {data, 0, 0, stride(0), stride(1)};
}

template <class Real>
View<const Real> sequence_view(const std::string& name, const py::array& array, const std::string& formula,
                               const Shape& expected, const Index* starts = nullptr) {
  check_dtype<Real>(name, array);
  check_shape(name, array, formula, expected);
  const auto size = static_cast<py::ssize_t>(sizeof(Real));
  if (array.size() == 0) return view_of<const Real>(array, starts);  // NumPy gives empty arrays any strides
  const py::ssize_t last = array.ndim() - 1;
  bool readable = array.shape(last) <= 1 || array.strides(last) == size;
  for (py::ssize_t axis = 0; axis < last; ++axis) readable = readable && array.strides(axis) % size == 0;
  if (!readable || (array.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_) == 0)
    throw py::value_error(name + ": an aligned array with a contiguous last axis is required");
  return view_of<const Real>(array, starts);
}

// Of an array y, dy or dx of the tape's batch. Rows of sequences of one length are as dense as (N, T, .).
template <class Real>
View<Real> output_view(const Tape<Real>& tape, const py::array& array) {
  View<Real> view = view_of<Real>(array, tape.batch.y_starts.data());
  if (tape.batch.by_rows && tape.plan.equal_lengths()) {
    view.by_n = tape.batch.T * view.by_t;
    view.starts = nullptr;
  }
  return view;
}

// x, where the tape's batch is of rows. Sequences of one length that follow each other are as dense as (N, T, .).
template <class Real>
View<const Real> input_view(const Tape<Real>& tape, View<const Real> view) {
  if (!tape.plan.equal_lengths()) return view;
  const std::vector<Index>& starts = tape.batch.x_starts;
  for (std::size_t n = 1; n < starts.size(); ++n)
    if (starts[n] - starts[n - 1] != tape.batch.T) return view;
  if (!starts.empty()) view.data += starts[0] * view.by_t;
  view.by_n = tape.batch.T * view.by_t;
  view.starts = nullptr;
  return view;
}

void bind_forward(py::module_& m);
void bind_backward(py::module_& m);
void bind_generate(py::module_& m);
void bind_stream(py::module_& m);
void bind_trace(py::module_& m);

}  // namespace rnnfast
