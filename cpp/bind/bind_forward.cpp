#include <pybind11/stl.h>

#include "recurrent.hpp"

namespace rnnfast {

namespace {

struct BatchArrays {
  const py::object& lengths;
  const py::object& resets;
};

// Given states, and (h, c) that resets begin with, or none.
struct StateArrays {
  const py::object& h0;
  const py::object& c0;
  const py::object& anew;
};

Plan make_plan(Index N, Index T, const BatchArrays& batch) {
  const Index* lengths = optional_contiguous<Index>("lengths", batch.lengths, "(N,)", {N});
  for (Index n = 0; lengths != nullptr && n < N; ++n)
    if (lengths[n] < 0 || lengths[n] > T)
      throw py::value_error("lengths: each within 0..T is required (T = " + std::to_string(T) + "), got " +
                            std::to_string(lengths[n]) + " at index " + std::to_string(n));
  const std::uint8_t* resets = optional_contiguous<std::uint8_t>("resets", batch.resets, "(N, T)", {N, T});
  return Plan({N, T, lengths, resets});
}

// Refuses random masks that the layers' cells would ignore.
void check_random(const CellSpec& spec, const Dropout& dropout) {
  const auto refuse = [&](const char* name, double given) {
    throw py::value_error(std::string(name) + ": 0 is required by cell '" + spec.name + "', got " +
                          std::to_string(given));
  };
  if (dropout.recurrent > 0 && !spec.options.recurrent_dropout) refuse("recurrent_dropout", dropout.recurrent);
  for (const double zoneout : dropout.zoneout)
    if (zoneout > 0 && !spec.options.zoneout) refuse("zoneout", zoneout);
}

template <class Real>
void read_states(Tape<Real>& tape, const StateArrays& states) {
  const Shape& h = tape.h_shape;
  const Shape& c = tape.c_shape;
  tape.h0 = optional_contiguous<Real>("h0", states.h0, "(L*D, N, P)", h);
  tape.c0 = optional_contiguous<Real>("c0", states.c0, "(L*D, N, H)", c);
  if (states.anew.is_none()) return;
  const auto [h_reset, c_reset] = states.anew.cast<std::pair<py::object, py::object>>();
  tape.h_reset = optional_contiguous<Real>("h_reset", h_reset, "(L*D, 1, P)", {h[0], 1, h[2]});
  tape.c_reset = optional_contiguous<Real>("c_reset", c_reset, "(L*D, 1, H)", {c[0], 1, c[2]});
}

// A tape of a call on x, before anything was computed.
template <class Real>
Tape<Real> new_tape(Stack<Real> layers, Index D, const py::array& x, const StateArrays& states,
                    const BatchArrays& batch, bool time_major, const Dropout& dropout) {
  if (x.ndim() != 3) throw py::value_error("x: three axes (N, T, C) are required, got shape " + to_text(shape_of(x)));
  for (const auto& layer : layers) check_random(layer->spec(), dropout);
  const WeightArrays<Real>& first = layers[0]->arrays;
  const Index LD = static_cast<Index>(layers.size());
  const Index N = x.shape(0);
  const Index T = x.shape(1);
  Tape<Real> tape(make_plan(N, T, batch));
  tape.directions = D;
  tape.dropout = dropout;
  tape.C = first.C;
  tape.time_major = time_major;
  tape.h_shape = {LD, N, first.P};
  tape.c_shape = {LD, N, first.H};
  tape.y_shape = {N, T, D * first.P};
  tape.x = sequence_view<Real>("x", x, "(N, T, C)", {N, T, first.C});
  tape.layers = std::move(layers);
  read_states(tape, states);
  return tape;
}

template <class Real>
py::tuple forward_typed(const std::vector<const BoundWeights*>& bound, Index D, const py::array& x,
                        const StateArrays& states, const BatchArrays& batch, bool time_major, Keep keep,
                        const Dropout& dropout) {
  Tape<Real> tape = new_tape(stack_of<Real>(bound), D, x, states, batch, time_major, dropout);
  const bool has_c = tape.layers[0]->spec().has_c;
  const Shape& shape = tape.y_shape;
  py::array y = new_sequences<Real>(shape[0], shape[1], shape[2], time_major);
  py::array hn = py::array_t<Real>(tape.h_shape);
  py::object cn = has_c ? py::object(py::array_t<Real>(tape.c_shape)) : py::none();
  const View<Real> y_view = view_of<Real>(y);
  tape.y = read_only(y_view);
  const bool save = keep != Keep::kNothing;
  if (save) tape.saved.resize(tape.layers.size());
  ForwardCall<Real> call(tape.layers, tape.plan);
  call.directions = D;
  call.T = shape[1];
  call.x = tape.x;
  call.y = y_view;
  call.h0 = tape.h0;
  call.c0 = tape.c0;
  call.h_reset = tape.h_reset;
  call.c_reset = tape.c_reset;
  call.hn = static_cast<Real*>(hn.mutable_data());
  call.cn = has_c ? static_cast<Real*>(cn.cast<py::array>().mutable_data()) : nullptr;
  call.keep = keep;
  call.saved = save ? &tape.saved : nullptr;
  call.dropout = dropout;
  call.threads = num_threads();
  bool finished = false;
  {
    const GilRelease nogil;
    Interrupt interrupt(python_signals);
    finished = forward(call, interrupt);
  }
  if (!finished) throw py::error_already_set();
  py::object kept = py::none();
  if (save)
    kept = py::cast(
        std::make_unique<BoundTape>(std::move(tape), std::vector<py::object>{x, y, states.h0, states.c0, states.anew}));
  return py::make_tuple(y, hn, cn, kept);
}

Keep keep_named(const std::string& name) {
  if (name == "all") return Keep::kAll;
  if (name == "recompute") return Keep::kStarts;
  if (name == "nothing") return Keep::kNothing;
  throw py::value_error("save: one of nothing, all, recompute is required, got '" + name + "'");
}

// None, or ((dropout, recurrent dropout, noise, zoneout of h, of c), seed, call).
Dropout dropout_given(const py::object& random) {
  Dropout dropout;
  if (random.is_none()) return dropout;
  const auto [numbers, seed, call] = random.cast<std::tuple<std::array<double, 5>, std::uint64_t, std::uint64_t>>();
  dropout.p = numbers[0];
  dropout.recurrent = numbers[1];
  dropout.noise = numbers[2];
  dropout.zoneout = {numbers[3], numbers[4]};
  dropout.seed = seed;
  dropout.call = call;
  return dropout;
}

py::tuple forward_bound(const std::vector<const BoundWeights*>& layers, Index directions, const py::array& x,
                        const py::object& h0, const py::object& c0, const py::object& anew, const py::object& lengths,
                        const py::object& resets, bool time_major, const std::string& save, const py::object& random) {
  if (layers.empty() || directions < 1 || directions > 2 || static_cast<Index>(layers.size()) % directions != 0)
    throw py::value_error("layers: one or two directions of at least one are required");
  const StateArrays states{h0, c0, anew};
  const BatchArrays batch{lengths, resets};
  const auto run = layers[0]->value.index() == 0 ? &forward_typed<float> : &forward_typed<double>;
  return run(layers, directions, x, states, batch, time_major, keep_named(save), dropout_given(random));
}

}  // namespace

void bind_forward(py::module_& m) {
  m.def("forward", &forward_bound, py::arg("layers"), py::arg("directions"), py::arg("x"), py::arg("h0"), py::arg("c0"),
        py::arg("anew"), py::arg("lengths"), py::arg("resets"), py::arg("time_major"), py::arg("save"),
        py::arg("random"));
}

}  // namespace rnnfast
