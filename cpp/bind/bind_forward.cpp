#include <pybind11/stl.h>

#include <numeric>
#include <optional>

#include "recurrent.hpp"

namespace rnnfast {

namespace {

struct BatchArrays {
  const py::object& lengths;
  const py::object& resets;
  const py::object& offsets;
};

// Given states, and (h, c) that resets begin with, or none.
struct StateArrays {
  const py::object& h0;
  const py::object& c0;
  const py::object& reset_state;
};

// The rows of x (M, C) from offsets[n] on, lengths[n] of them. The offsets are copied: they may change before the
// backward pass, which must stay within x.
Batch batch_of_rows(const py::array& x, const BatchArrays& arrays) {
  if (x.ndim() != 2)
    throw py::value_error("x: two axes (M, C) are required beside offsets, got shape " + to_text(shape_of(x)));
  if (arrays.lengths.is_none()) throw py::value_error("lengths: an array is required beside offsets, got None");
  const auto given = arrays.offsets.cast<py::array>();
  const Index M = x.shape(0);
  Batch batch;
  batch.by_rows = true;
  batch.N = given.size();
  const Index* offsets = contiguous<Index>("offsets", given, "(N,)", {batch.N});
  const Index* lengths = lengths_within("lengths", arrays.lengths, batch.N, M);
  for (Index n = 0; n < batch.N; ++n) {
    if (offsets[n] < 0 || offsets[n] > M - lengths[n])
      throw py::value_error("offsets: each within 0..M - lengths[n] is required (M = " + std::to_string(M) +
                            ", lengths[n] = " + std::to_string(lengths[n]) + "), got " + std::to_string(offsets[n]) +
                            " at index " + std::to_string(n));
    batch.T = std::max(batch.T, lengths[n]);
  }
  checked_product(batch.N, batch.T);  // so that the sums below fit
  batch.x_starts.assign(offsets, offsets + batch.N);
  Index rows = 0;
  for (Index n = 0; n < batch.N; rows += lengths[n++]) batch.y_starts.push_back(rows);
  return batch;
}

Batch batch_of(const py::array& x, const BatchArrays& arrays) {
  if (!arrays.offsets.is_none()) return batch_of_rows(x, arrays);
  if (x.ndim() != 3) throw py::value_error("x: three axes (N, T, C) are required, got shape " + to_text(shape_of(x)));
  Batch batch;
  batch.N = x.shape(0);
  batch.T = x.shape(1);
  return batch;
}

Plan make_plan(const Batch& batch, const BatchArrays& arrays) {
  const Index N = batch.N;
  const Index T = batch.T;
  const Index* lengths = optional_contiguous<Index>("lengths", arrays.lengths, "(N,)", {N});
  for (Index n = 0; lengths != nullptr && n < N; ++n)
    if (lengths[n] < 0 || lengths[n] > T)
      throw py::value_error("lengths: each within 0..T is required (T = " + std::to_string(T) + "), got " +
                            std::to_string(lengths[n]) + " at index " + std::to_string(n));
  if (!batch.by_rows)
    return Plan({N, T, lengths, optional_contiguous<std::uint8_t>("resets", arrays.resets, "(N, T)", {N, T})});
  const Index R = std::accumulate(lengths, lengths + N, Index{0});
  const std::uint8_t* resets = optional_contiguous<std::uint8_t>("resets", arrays.resets, "(R,)", {R});
  return Plan({N, T, lengths, resets, batch.y_starts.data()});
}

// Refuses random masks that the layers' cells would ignore.
void check_random(const CellSpec& spec, const Randomness& random) {
  const auto refuse = [&](const char* name, double given) {
    throw py::value_error(std::string(name) + ": 0 is required by cell '" + spec.name + "', got " +
                          std::to_string(given));
  };
  if (random.recurrent > 0 && !spec.options.recurrent_dropout) refuse("recurrent_dropout", random.recurrent);
  for (const double zoneout : random.zoneout)
    if (zoneout > 0 && !spec.options.zoneout) refuse("zoneout", zoneout);
}

template <class Real>
void read_states(Tape<Real>& tape, const StateArrays& states) {
  const Shape& h = tape.h_shape;
  const Shape& c = tape.c_shape;
  tape.h0 = optional_contiguous<Real>("h0", states.h0, "(L*D, N, P)", h);
  tape.c0 = optional_contiguous<Real>("c0", states.c0, "(L*D, N, H)", c);
  if (states.reset_state.is_none()) return;
  const auto [h_reset, c_reset] = states.reset_state.cast<std::pair<py::object, py::object>>();
  tape.h_reset = optional_contiguous<Real>("h_reset", h_reset, "(L*D, 1, P)", {h[0], 1, h[2]});
  tape.c_reset = optional_contiguous<Real>("c_reset", c_reset, "(L*D, 1, H)", {c[0], 1, c[2]});
}

// The layers and the batch of a call, and what its backward call needs of them; dropped where there will be none.
template <class Real>
Tape<Real> make_tape(Stack<Real> layers, Index directions, const py::array& x, const StateArrays& states,
                     const BatchArrays& arrays, const Randomness& random) {
  Batch batch = batch_of(x, arrays);
  for (const auto& layer : layers) check_random(layer->spec(), random);
  const WeightArrays<Real>& sizes = layers[0]->arrays;
  const Index LD = static_cast<Index>(layers.size());
  Plan plan = make_plan(batch, arrays);
  Tape<Real> tape(std::move(batch), std::move(plan));
  tape.layers = std::move(layers);
  tape.directions = directions;
  tape.random = random;
  tape.C = sizes.C;
  tape.h_shape = {LD, tape.batch.N, sizes.P};
  tape.c_shape = {LD, tape.batch.N, sizes.H};
  if (tape.batch.by_rows)
    tape.x = input_view(tape, sequence_view<Real>("x", x, "(M, C)", {x.shape(0), sizes.C}, tape.batch.x_starts.data()));
  else
    tape.x = sequence_view<Real>("x", x, "(N, T, C)", {tape.batch.N, tape.batch.T, sizes.C});
  read_states(tape, states);
  return tape;
}

template <class Real>
py::tuple forward_typed(const std::vector<const BoundWeights*>& bound, Index directions, const py::array& x,
                        const StateArrays& states, const BatchArrays& batch, bool time_major, Keep keep,
                        const Randomness& random) {
  Tape<Real> tape = make_tape<Real>(stack_of<Real>(bound), directions, x, states, batch, random);
  tape.time_major = time_major;
  py::array y = new_steps(tape, tape.width());
  py::array_t<Real> hn(tape.h_shape);
  std::optional<py::array_t<Real>> cn;
  if (tape.layers[0]->spec().has_c) cn.emplace(tape.c_shape);
  const View<Real> y_view = output_view<Real>(tape, y);
  tape.y = read_only(y_view);
  const bool save = keep != Keep::kNothing;
  if (save) tape.saved.resize(tape.layers.size());
  ForwardCall<Real> call(tape.layers, tape.plan);
  call.directions = directions;
  call.T = tape.batch.T;
  call.x = tape.x;
  call.y = y_view;
  call.h0 = tape.h0;
  call.c0 = tape.c0;
  call.h_reset = tape.h_reset;
  call.c_reset = tape.c_reset;
  call.hn = hn.mutable_data();
  call.cn = cn ? cn->mutable_data() : nullptr;
  call.keep = keep;
  call.saved = save ? &tape.saved : nullptr;
  call.random = random;
  call.threads = num_threads();
  bool finished = false;
  {
    const GilRelease nogil;
    Interrupt interrupt([&nogil] { return nogil.signals(); });
    finished = forward(call, interrupt);
  }
  if (!finished) throw py::error_already_set();
  py::object kept = py::none();
  if (save) {
    std::vector<py::object> held{x, y, states.h0, states.c0, states.reset_state};
    // Their arrays are read when panels for the backward pass are packed.
    for (const BoundWeights* weights : bound) held.push_back(py::cast(weights));
    kept = py::cast(std::make_unique<BoundTape>(std::move(tape), std::move(held)));
  }
  return py::make_tuple(y, hn, cn ? py::object(*cn) : py::none(), kept);
}

Keep keep_named(const std::string& name) {
  if (name == "all") return Keep::kAll;
  if (name == "recompute") return Keep::kStarts;
  if (name == "nothing") return Keep::kNothing;
  throw py::value_error("save: one of nothing, all, recompute is required, got '" + name + "'");
}

// None, or ((dropout, input and recurrent dropout, noise, zoneout of h, of c), seed, call).
Randomness random_given(const py::object& given) {
  Randomness random;
  if (given.is_none()) return random;
  const auto [numbers, seed, call] = given.cast<std::tuple<std::array<double, 6>, std::uint64_t, std::uint64_t>>();
  random.dropout = numbers[0];
  random.input = numbers[1];
  random.recurrent = numbers[2];
  random.noise = numbers[3];
  random.zoneout = {numbers[4], numbers[5]};
  random.seed = seed;
  random.call = call;
  return random;
}

py::tuple forward_bound(const std::vector<const BoundWeights*>& layers, Index directions, const py::array& x,
                        const py::object& h0, const py::object& c0, const py::object& reset_state,
                        const py::object& lengths, const py::object& resets, bool time_major, const std::string& save,
                        const py::object& random, const py::object& offsets) {
  if (layers.empty() || directions < 1 || directions > 2 || static_cast<Index>(layers.size()) % directions != 0)
    throw py::value_error("layers: one or two directions of at least one are required");
  const StateArrays states{h0, c0, reset_state};
  const BatchArrays batch{lengths, resets, offsets};
  const auto run = layers[0]->value.index() == 0 ? &forward_typed<float> : &forward_typed<double>;
  return run(layers, directions, x, states, batch, time_major, keep_named(save), random_given(random));
}

}  // namespace

void bind_forward(py::module_& m) {
  m.def("forward", &forward_bound, py::arg("layers"), py::arg("directions"), py::arg("x"), py::arg("h0"), py::arg("c0"),
        py::arg("reset_state"), py::arg("lengths"), py::arg("resets"), py::arg("time_major"), py::arg("save"),
        py::arg("random"), py::arg("offsets") = py::none());
}

}  // namespace rnnfast
