#include <pybind11/stl.h>

#include "../rnn/plan.hpp"
#include "recurrent.hpp"

namespace rnnfast {

namespace {

// Columns of the rows of a tape, as they stand in an (N, T, D*H) array.
template <class Real>
struct Columns {
  const Buffer<Real>& rows;
  Index width;
  Index first;
  Index count;

  void copy(const Plan& plan, const View<Real>& to) const {
    for_rows(plan, {0, plan.rows()},
             [&](const Row& row) { std::copy_n(rows.data() + row.index * width + first, count, row_of(to, row)); });
  }
};

// Of every layer: h, None for the last one's, which is y; c or None; the gates, as many as the cell saves.
template <class Real>
py::list trace_typed(const Tape<Real>& tape) {
  const Index D = tape.directions;
  const Index P = tape.h_shape[2];
  const Index H = tape.layers[0]->arrays.H;
  const Index N = tape.batch.N;
  const Index T = tape.batch.T;
  const CellSpec& spec = tape.layers[0]->spec();
  const auto array_of = [&](std::size_t first_scan, bool both, const auto& columns_of) {
    const Index width = both ? D * P : D * H;
    const py::array array = new_sequences<Real>(N, T, width, tape.time_major);
    const View<Real> view = view_of<Real>(array);
    const GilRelease nogil;
    zero_padding(tape.plan, view, T, width, {0, N});
    for (Index d = 0; d < (both ? 1 : D); ++d)
      columns_of(tape.saved[first_scan + static_cast<std::size_t>(d)]).copy(tape.plan, columns(view, d * H));
    return array;
  };
  using Kept = Saved<Real>;
  py::list layers;
  for (std::size_t first = 0; first < tape.saved.size(); first += static_cast<std::size_t>(D)) {
    py::object h = py::none();
    py::object c = py::none();
    py::list gates;
    if (first + static_cast<std::size_t>(D) < tape.saved.size())
      h = array_of(first, true, [&](const Kept& kept) { return Columns<Real>{kept.y, D * P, 0, D * P}; });
    if (spec.has_c) c = array_of(first, false, [&](const Kept& kept) { return Columns<Real>{kept.aux, H, 0, H}; });
    for (Index g = 0; spec.saves_gates && g < spec.gates; ++g)
      gates.append(array_of(first, false,
                            [&](const Kept& kept) { return Columns<Real>{kept.gates, spec.gates * H, g * H, H}; }));
    layers.append(py::make_tuple(h, c, gates));
  }
  return layers;
}

py::list trace_bound(const BoundTape& tape) {
  if (tape.used) throw std::runtime_error("tape: an unused one is required, got a used one");
  return std::visit([](const auto& typed) { return trace_typed(typed); }, tape.value);
}

}  // namespace

void bind_trace(py::module_& m) { m.def("trace", &trace_bound, py::arg("tape")); }

}  // namespace rnnfast
