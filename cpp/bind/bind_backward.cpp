#include <pybind11/stl.h>

#include <optional>

#include "recurrent.hpp"

namespace rnnfast {

namespace {

// Of a state that a layer may not have.
template <class Real>
struct StateGradient {
  std::optional<py::array_t<Real>> array;

  Real* data() { return array ? array->mutable_data() : nullptr; }
  py::object object() const { return array ? py::object(*array) : py::none(); }
};

// A fresh array: a copy of the given gradient, or zeros.
template <class Real>
StateGradient<Real> state_gradient(const std::string& name, const py::object& given, const std::string& formula,
                                   const Shape& shape) {
  const Real* from = optional_contiguous<Real>(name, given, formula, shape);
  py::array_t<Real> result(shape);
  const auto size = static_cast<std::size_t>(result.size());
  if (from != nullptr)
    std::copy_n(from, size, result.mutable_data());
  else
    std::fill_n(result.mutable_data(), size, Real(0));
  return {result};
}

template <class Real>
std::vector<LayerGradients<Real>> gradients_of(const Stack<Real>& layers,
                                               const std::vector<std::vector<py::object>>& arrays) {
  std::vector<LayerGradients<Real>> gradients;
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const auto& a = layers[l]->arrays;
    const Index rows = layers[l]->spec().gates * a.H;
    const auto writable = [&](std::size_t i, const std::string& name, const std::string& formula,
                              const Shape& shape) -> Real* {
      const py::object& given = arrays.at(l).at(i);
      return given.is_none() ? nullptr : contiguous_writable<Real>(name, given.cast<py::array>(), formula, shape);
    };
    gradients.push_back({writable(0, "dW", "(G*H, C)", {rows, a.C}), writable(1, "dR", "(G*H, P)", {rows, a.P}),
                         writable(2, "db_w", "(G*H,)", {rows}), writable(3, "db_r", "(G*H,)", {rows}),
                         writable(4, "dpeepholes", "(peepholes, H)", {layers[l]->spec().peepholes, a.H}),
                         writable(5, "dprojection", "(P, H)", {a.P, a.H}), writable(6, "dgamma_ih", "(G*H,)", {rows}),
                         writable(7, "dgamma_hh", "(G*H,)", {rows}), writable(8, "dgamma_c", "(H,)", {a.H}),
                         writable(9, "dbeta_c", "(H,)", {a.H})});
    if (gradients.back().dW == nullptr || gradients.back().dR == nullptr)
      throw py::value_error("gradients: dW and dR are required");
    if (layers[l]->projected() != (gradients.back().dprojection != nullptr))
      throw py::value_error("gradients: dprojection is required of layers with a projection, and of no other");
    if (layers[l]->normed() && (gradients.back().dgamma_ih == nullptr || gradients.back().dgamma_hh == nullptr))
      throw py::value_error("gradients: dgamma_ih and dgamma_hh are required of a normalised layer");
  }
  return gradients;
}

// dL/dy as a view; zeros [D*P], which must outlive it, stand for every row of what is not given.
template <class Real>
View<const Real> dy_given(const Tape<Real>& tape, const py::object& dy, const std::vector<Real>& zeros) {
  if (dy.is_none()) return {zeros.data(), 0, 0, 0, 0};
  const std::string formula = tape.batch.by_rows ? "(R, D*P)" : "(N, T, D*P)";
  const py::array array = dy.cast<py::array>();
  sequence_view<Real>("dy", array, formula, tape.shape(tape.width()));
  return read_only(output_view<Real>(tape, array));
}

// Where the norms of dL/dh go, or null.
template <class Real>
double* norms_given(const Tape<Real>& tape, const py::object& norms) {
  if (norms.is_none()) return nullptr;
  const Shape expected{tape.h_shape[0], tape.batch.N, tape.batch.T};
  return contiguous_writable<double>("norms", norms.cast<py::array>(), "(L*D, N, T)", expected);
}

// Sets `used` when the work begins, which overwrites the saved gates; a failed check leaves the tape usable.
template <class Real>
py::tuple backward_typed(Tape<Real>& tape, bool& used, const py::object& dy, const py::object& dh, const py::object& dc,
                         const std::vector<std::vector<py::object>>& arrays, bool need_dx, const py::object& norms) {
  StateGradient<Real> dh0 = state_gradient<Real>("dh", dh, "(L*D, N, P)", tape.h_shape);
  StateGradient<Real> dc0;
  StateGradient<Real> dh_reset;
  StateGradient<Real> dc_reset;
  if (tape.layers[0]->spec().has_c) dc0 = state_gradient<Real>("dc", dc, "(L*D, N, H)", tape.c_shape);
  if (tape.h_reset != nullptr) dh_reset = state_gradient<Real>("dh_reset", py::none(), "(L*D, N, P)", tape.h_shape);
  if (tape.c_reset != nullptr) dc_reset = state_gradient<Real>("dc_reset", py::none(), "(L*D, N, H)", tape.c_shape);
  const std::vector<Real> zeros(static_cast<std::size_t>(tape.width()), Real(0));
  const View<const Real> dy_view = dy_given(tape, dy, zeros);
  double* const norms_data = norms_given(tape, norms);
  const auto gradients = gradients_of<Real>(tape.layers, arrays);
  py::object dx = py::none();
  View<Real> dx_view{};
  if (need_dx) {
    dx = new_steps(tape, tape.C);
    dx_view = output_view<Real>(tape, dx.cast<py::array>());
  }
  BackwardCall<Real> call(tape.layers, tape.plan, tape.saved, gradients);
  call.directions = tape.directions;
  call.T = tape.batch.T;
  call.x = tape.x;
  call.y = tape.y;
  call.dy = dy_view;
  call.h0 = tape.h0;
  call.c0 = tape.c0;
  call.h_reset = tape.h_reset;
  call.c_reset = tape.c_reset;
  call.dx = dx_view;
  call.dh = dh0.data();
  call.dc = dc0.data();
  call.dh_reset = dh_reset.data();
  call.dc_reset = dc_reset.data();
  call.random = tape.random;
  call.threads = num_threads();
  call.norms = norms_data;
  bool finished = false;
  used = true;
  {
    const GilRelease nogil;
    Interrupt interrupt([&nogil] { return nogil.signals(); });
    finished = backward(call, interrupt);
  }
  if (!finished) throw py::error_already_set();
  tape.saved.clear();
  return py::make_tuple(dx, dh0.object(), dc0.object(), dh_reset.object(), dc_reset.object());
}

py::tuple backward_bound(BoundTape& tape, const py::object& dy, const py::object& dh, const py::object& dc,
                         const std::vector<std::vector<py::object>>& gradients, bool need_dx, const py::object& norms) {
  if (tape.used)
    throw std::runtime_error(
        "tape: an unused one is required (backward turns the saved gates into gradients), got a used one");
  return std::visit(
      [&](auto& typed) { return backward_typed(typed, tape.used, dy, dh, dc, gradients, need_dx, norms); }, tape.value);
}

}  // namespace

void bind_backward(py::module_& m) {
  m.def("backward", &backward_bound, py::arg("tape"), py::arg("dy"), py::arg("dh"), py::arg("dc"), py::arg("gradients"),
        py::arg("need_dx"), py::arg("norms"));
}

}  // namespace rnnfast
