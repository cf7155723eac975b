#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <variant>

#include "../rnn/rnn.hpp"
#include "arrays.hpp"
#include "bind.hpp"

namespace rnnfast {

namespace {

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

// A layer's packed weights and the arrays they were packed from.
struct BoundWeights {
  std::variant<std::shared_ptr<const Weights<float>>, std::shared_ptr<const Weights<double>>> value;
  std::vector<py::object> arrays;

  BoundWeights(const std::string& cell, const std::string& activation, const py::array& w, const py::array& r, const py::object& b_w,
               const py::object& b_r)
      : arrays{w, r, b_w, b_r} {
    if (py::isinstance<py::array_t<double>>(w))
      value = build<double>(cell, activation, w, r, b_w, b_r);
    else
      value = build<float>(cell, activation, w, r, b_w, b_r);
  }

  template <class Real>
  static std::shared_ptr<const Weights<Real>> build(const std::string& cell, const std::string& activation, const py::array& w,
                                                    const py::array& r, const py::object& b_w, const py::object& b_r) {
    if (w.ndim() != 2 || r.ndim() != 2) throw py::value_error("w, r: two dimensions are required");
    const CellKind kind = cell_named(cell);
    const Index G = spec_of(kind).gates, H = r.shape(1), C = w.shape(1);
    return std::make_shared<const Weights<Real>>(WeightArrays<Real>{
        kind, activation_named(activation), C, H, contiguous<Real>("w", w, "(G*H, C)", {G * H, C}),
        contiguous<Real>("r", r, "(G*H, H)", {G * H, H}), optional_contiguous<Real>("b_w", b_w, "(G*H,)", {G * H}),
        optional_contiguous<Real>("b_r", b_r, "(G*H,)", {G * H})});
  }
};

template <class Real>
struct Tape {
  Stack<Real> layers;
  Plan plan;
  std::vector<Saved<Real>> saved;
  Dropout dropout;
  View<const Real> x, y;
  const Real *h0, *c0;
  Index C;
  bool time_major;
  Shape state, y_shape;
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
          for (const auto& saved : tape.saved) numbers += saved.gates.size() + saved.aux.size() + saved.y.size();
          return numbers * static_cast<Index>(sizeof(*tape.h0));
        },
        value);
  }
};

// (N, T, width), its last axis contiguous; time_major: laid out (T, N, width) in memory.
template <class Real>
py::array new_sequences(Index N, Index T, Index width, bool time_major) {
  if (!time_major) return py::array_t<Real>({N, T, width});
  return py::array_t<Real>({T, N, width}).attr("transpose")(1, 0, 2).template cast<py::array>();
}

template <class Real>
View<Real> view_of(const py::array& array) {
  const auto stride = [&](int axis) { return static_cast<Index>(array.strides(axis)) / static_cast<Index>(sizeof(Real)); };
  return {static_cast<Real*>(const_cast<void*>(array.data())), 0, 0, stride(0), stride(1)};
}

template <class Real>
View<const Real> sequence_view(const std::string& name, const py::array& array, const std::string& formula, const Shape& expected) {
  check_dtype<Real>(name, array);
  check_shape(name, array, formula, expected);
  const auto size = static_cast<py::ssize_t>(sizeof(Real));
  const bool contiguous_rows = array.shape(2) <= 1 || array.strides(2) == size;
  if (!contiguous_rows || array.strides(0) % size != 0 || array.strides(1) % size != 0 ||
      (array.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_) == 0)
    throw py::value_error(name + ": an aligned array with a contiguous last axis is required");
  return view_of<const Real>(array);
}

struct BatchArrays {
  const py::object &lengths, &resets;
  bool reverse;
};

Plan make_plan(Index N, Index T, const BatchArrays& batch) {
  const Index* lengths = optional_contiguous<Index>("lengths", batch.lengths, "(N,)", {N});
  for (Index n = 0; lengths != nullptr && n < N; ++n)
    if (lengths[n] < 0 || lengths[n] > T)
      throw py::value_error("lengths: each within 0..T is required (T = " + std::to_string(T) + "), got " + std::to_string(lengths[n]) +
                            " at index " + std::to_string(n));
  const std::uint8_t* resets = optional_contiguous<std::uint8_t>("resets", batch.resets, "(N, T)", {N, T});
  return Plan({N, T, lengths, resets, batch.reverse});
}

template <class Real>
Stack<Real> stack_of(const std::vector<const BoundWeights*>& layers) {
  Stack<Real> stack;
  for (const BoundWeights* layer : layers) {
    const auto* weights = std::get_if<std::shared_ptr<const Weights<Real>>>(&layer->value);
    if (weights == nullptr) throw py::type_error(std::string("layers: weights of dtype ") + type_name<Real>() + " are required");
    stack.push_back(*weights);
  }
  return stack;
}

// y is zero past each sequence's length.
template <class Real>
void zero_padding(const Plan& plan, const View<Real>& view, Index T, Index width) {
  for (Index n = 0; n < plan.sequences(); ++n)
    for (Index t = plan.length(n); t < T; ++t) std::fill_n(view.data + n * view.by_n + t * view.by_t, width, Real(0));
}

template <class Real>
py::tuple forward_typed(const std::vector<const BoundWeights*>& bound, const py::array& x, const py::object& h0, const py::object& c0,
                        const BatchArrays& batch, bool time_major, bool save, const Dropout& dropout) {
  Stack<Real> layers = stack_of<Real>(bound);
  const Index L = static_cast<Index>(layers.size()), C = layers[0]->arrays.C, H = layers[0]->arrays.H;
  if (x.ndim() != 3) throw py::value_error("x: three axes (N, T, C) are required, got shape " + to_text(shape_of(x)));
  const Index N = x.shape(0), T = x.shape(1);
  const bool has_c = layers[0]->spec().states > 1;
  Tape<Real> tape{std::move(layers), make_plan(N, T, batch), {}, dropout, {}, {}, nullptr, nullptr, C, time_major, {L, N, H}, {N, T, H}};
  tape.x = sequence_view<Real>("x", x, "(N, T, C)", {N, T, C});
  tape.h0 = optional_contiguous<Real>("h0", h0, "(L*D, N, H)", tape.state);
  tape.c0 = optional_contiguous<Real>("c0", c0, "(L*D, N, H)", tape.state);
  py::array y = new_sequences<Real>(N, T, H, time_major);
  py::array hn = py::array_t<Real>(tape.state);
  py::object cn = has_c ? py::object(py::array_t<Real>(tape.state)) : py::none();
  const View<Real> y_view = view_of<Real>(y);
  tape.y = {y_view.data, 0, 0, y_view.by_n, y_view.by_t};
  if (save) tape.saved.resize(static_cast<std::size_t>(L));
  const ForwardCall<Real> call{tape.layers,
                               tape.plan,
                               tape.x,
                               y_view,
                               tape.h0,
                               tape.c0,
                               static_cast<Real*>(hn.mutable_data()),
                               has_c ? static_cast<Real*>(cn.cast<py::array>().mutable_data()) : nullptr,
                               save ? &tape.saved : nullptr,
                               dropout,
                               num_threads()};
  bool finished = false;
  {
    const py::gil_scoped_release nogil;
    Interrupt interrupt(python_signals);
    zero_padding(tape.plan, y_view, T, H);
    finished = forward(call, interrupt);
  }
  if (!finished) throw py::error_already_set();
  py::object kept = py::none();
  if (save) kept = py::cast(std::make_unique<BoundTape>(std::move(tape), std::vector<py::object>{x, y, h0, c0}));
  return py::make_tuple(y, hn, cn, kept);
}

py::tuple forward_bound(const std::vector<const BoundWeights*>& layers, const py::array& x, const py::object& h0, const py::object& c0,
                        const py::object& lengths, const py::object& resets, bool reverse, bool time_major, bool save, double p,
                        std::uint64_t seed, std::uint64_t call) {
  if (layers.empty()) throw py::value_error("layers: at least one is required");
  const BatchArrays batch{lengths, resets, reverse};
  const auto run = layers[0]->value.index() == 0 ? &forward_typed<float> : &forward_typed<double>;
  return run(layers, x, h0, c0, batch, time_major, save, {p, seed, call});
}

// A fresh [L, N, H]: a copy of the given gradient, or zeros.
template <class Real>
py::array_t<Real> state_gradient(const std::string& name, const py::object& given, const Shape& shape) {
  const Real* from = optional_contiguous<Real>(name, given, "(L*D, N, H)", shape);
  py::array_t<Real> result(shape);
  const auto size = static_cast<std::size_t>(result.size());
  if (from != nullptr)
    std::copy_n(from, size, result.mutable_data());
  else
    std::fill_n(result.mutable_data(), size, Real(0));
  return result;
}

template <class Real>
std::vector<LayerGradients<Real>> gradients_of(const Stack<Real>& layers, const std::vector<std::vector<py::object>>& arrays) {
  std::vector<LayerGradients<Real>> gradients;
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const auto& a = layers[l]->arrays;
    const Index rows = layers[l]->spec().gates * a.H;
    const auto writable = [&](std::size_t i, const std::string& name, const std::string& formula, const Shape& shape) -> Real* {
      const py::object& given = arrays.at(l).at(i);
      return given.is_none() ? nullptr : contiguous_writable<Real>(name, given.cast<py::array>(), formula, shape);
    };
    gradients.push_back({writable(0, "dW", "(G*H, C)", {rows, a.C}), writable(1, "dR", "(G*H, H)", {rows, a.H}),
                         writable(2, "db_w", "(G*H,)", {rows}), writable(3, "db_r", "(G*H,)", {rows})});
    if (gradients.back().dW == nullptr || gradients.back().dR == nullptr) throw py::value_error("gradients: dW and dR are required");
  }
  return gradients;
}

template <class Real>
py::tuple backward_typed(Tape<Real>& tape, const py::object& dy, const py::object& dh, const py::object& dc,
                         const std::vector<std::vector<py::object>>& arrays, bool need_dx) {
  const Index N = tape.y_shape[0], T = tape.y_shape[1], H = tape.y_shape[2];
  const bool has_c = tape.layers[0]->spec().states > 1;
  py::array_t<Real> dh0 = state_gradient<Real>("dh", dh, tape.state);
  std::optional<py::array_t<Real>> dc0;
  if (has_c) dc0 = state_gradient<Real>("dc", dc, tape.state);
  const std::vector<Real> zeros(static_cast<std::size_t>(H), Real(0));
  View<const Real> dy_view{zeros.data(), 0, 0, 0, 0};
  if (!dy.is_none()) dy_view = sequence_view<Real>("dy", dy.cast<py::array>(), "(N, T, D*H)", tape.y_shape);
  const auto gradients = gradients_of<Real>(tape.layers, arrays);
  py::object dx = py::none();
  View<Real> dx_view{};
  if (need_dx) {
    dx = new_sequences<Real>(N, T, tape.C, tape.time_major);
    dx_view = view_of<Real>(dx.cast<py::array>());
  }
  const BackwardCall<Real> call{tape.layers, tape.plan, tape.x, tape.y, dy_view, tape.h0, tape.c0, tape.saved, dx_view,
                                dh0.mutable_data(), has_c ? dc0->mutable_data() : nullptr, gradients, tape.dropout, num_threads()};
  bool finished = false;
  {
    const py::gil_scoped_release nogil;
    Interrupt interrupt(python_signals);
    if (need_dx) zero_padding(tape.plan, dx_view, T, tape.C);
    finished = backward(call, interrupt);
  }
  if (!finished) throw py::error_already_set();
  tape.saved.clear();
  return py::make_tuple(dx, dh0, has_c ? py::object(*dc0) : py::none());
}

py::tuple backward_bound(BoundTape& tape, const py::object& dy, const py::object& dh, const py::object& dc,
                         const std::vector<std::vector<py::object>>& gradients, bool need_dx) {
  if (tape.used) throw std::runtime_error("tape: an unused one is required (backward turns the saved gates into gradients), got a used one");
  return std::visit(
      [&](auto& typed) {
        // From here on the saved gates are overwritten; a failed check above leaves the tape usable.
        py::tuple result = backward_typed(typed, dy, dh, dc, gradients, need_dx);
        tape.used = true;
        return result;
      },
      tape.value);
}

}  // namespace

void bind_rnn(py::module_& m) {
  py::class_<BoundWeights>(m, "Weights")
      .def(py::init<const std::string&, const std::string&, const py::array&, const py::array&, const py::object&, const py::object&>(),
           py::arg("cell"), py::arg("activation"), py::arg("w"), py::arg("r"), py::arg("b_w"), py::arg("b_r"));
  py::class_<BoundTape>(m, "Tape").def_property_readonly("nbytes", &BoundTape::nbytes).def_readonly("used", &BoundTape::used);
  m.def("forward", &forward_bound, py::arg("layers"), py::arg("x"), py::arg("h0"), py::arg("c0"), py::arg("lengths"), py::arg("resets"),
        py::arg("reverse"), py::arg("time_major"), py::arg("save"), py::arg("dropout"), py::arg("seed"), py::arg("call"));
  m.def("backward", &backward_bound, py::arg("tape"), py::arg("dy"), py::arg("dh"), py::arg("dc"), py::arg("gradients"),
        py::arg("need_dx"));
}

}  // namespace rnnfast
