#include "../nn/attention.hpp"
#include "arrays.hpp"
#include "bind.hpp"

namespace rnnfast {

namespace {

// Where the sequences of `lengths` (N,) begin, and the count of all rows, which must be `rows`.
std::vector<Index> starts_of(const std::string& name, const py::array& lengths, Index N, Index rows) {
  const Index* of = lengths_within(name, lengths, N, rows);
  std::vector<Index> starts(at(N + 1), 0);
  for (Index n = 0; n < N; ++n) starts[at(n + 1)] = starts[at(n)] + of[n];
  if (starts.back() != rows)
    throw py::value_error(name + ": a sum of " + std::to_string(rows) + " rows is required, got " +
                          std::to_string(starts.back()));
  return starts;
}

Index largest(const std::vector<Index>& starts) {
  Index most = 0;
  for (std::size_t n = 1; n < starts.size(); ++n) most = std::max(most, starts[n] - starts[n - 1]);
  return most;
}

template <class Real>
AttentionArgs<Real> args_of(const py::array& query, const py::array& keys, const py::array& memory, const py::object& v,
                            const py::array& lengths, const py::array& source_lengths) {
  if (query.ndim() != 2 || keys.ndim() != 2 || memory.ndim() != 2)
    throw py::value_error("query (Q, A), keys (R, A), memory (R, M): two axes each are required, got " +
                          to_text(shape_of(query)) + ", " + to_text(shape_of(keys)) + ", " + to_text(shape_of(memory)));
  const Index Q = query.shape(0);
  const Index R = memory.shape(0);
  AttentionArgs<Real> args{};
  args.N = lengths.size();
  args.A = query.shape(1);
  args.M = memory.shape(1);
  args.query = contiguous<Real>("query", query, "(Q, A)", {Q, args.A});
  args.keys = contiguous<Real>("keys", keys, "(R, A)", {R, args.A});
  args.memory = contiguous<Real>("memory", memory, "(R, M)", {R, args.M});
  args.v = optional_contiguous<Real>("v", v, "(A,)", {args.A});
  args.query_starts = starts_of("lengths", lengths, args.N, Q);
  args.source_starts = starts_of("source_lengths", source_lengths, args.N, R);
  args.S = largest(args.source_starts);
  return args;
}

template <class Real>
py::tuple attend_typed(const py::array& query, const py::array& keys, const py::array& memory, const py::object& v,
                       const py::array& lengths, const py::array& source_lengths) {
  const AttentionArgs<Real> args = args_of<Real>(query, keys, memory, v, lengths, source_lengths);
  const Index Q = args.query_starts.back();
  py::array_t<Real> context({Q, args.M});
  py::array_t<Real> weights({Q, args.S});
  Real* to_context = context.mutable_data();
  Real* to_weights = weights.mutable_data();
  bool finished = false;
  {
    const GilRelease nogil;
    Interrupt interrupt([&nogil] { return nogil.signals(); });
    finished = attend(args, to_context, to_weights, interrupt);
  }
  if (!finished) throw py::error_already_set();
  return py::make_tuple(context, weights);
}

template <class Real>
py::tuple attend_backward_typed(const py::array& dcontext, const py::array& weights, const py::array& query,
                                const py::array& keys, const py::array& memory, const py::object& v,
                                const py::array& lengths, const py::array& source_lengths, const py::object& dv) {
  const AttentionArgs<Real> args = args_of<Real>(query, keys, memory, v, lengths, source_lengths);
  const Index Q = args.query_starts.back();
  const Index R = args.source_starts.back();
  py::array_t<Real> dquery({Q, args.A});
  py::array_t<Real> dkeys({R, args.A});
  py::array_t<Real> dmemory({R, args.M});
  AttentionGradients<Real> gradients{};
  gradients.weights = contiguous<Real>("weights", weights, "(Q, S)", {Q, args.S});
  gradients.dcontext = contiguous<Real>("dcontext", dcontext, "(Q, M)", {Q, args.M});
  gradients.dquery = dquery.mutable_data();
  gradients.dkeys = dkeys.mutable_data();
  gradients.dmemory = dmemory.mutable_data();
  if (args.v != nullptr) gradients.dv = contiguous_writable<Real>("dv", dv.cast<py::array>(), "(A,)", {args.A});
  bool finished = false;
  {
    const GilRelease nogil;
    Interrupt interrupt([&nogil] { return nogil.signals(); });
    finished = attend_backward(args, gradients, interrupt);
  }
  if (!finished) throw py::error_already_set();
  return py::make_tuple(dquery, dkeys, dmemory);
}

template <class Real>
py::array tanh_typed(const py::array& x) {
  const Real* from = contiguous<Real>("x", x, "", shape_of(x));
  py::array_t<Real> y(shape_of(x));
  Real* to = y.mutable_data();
  const Index size = x.size();
  {
    const GilRelease nogil;
    tanh(size, from, to);
  }
  return std::move(y);
}

}  // namespace

void bind_attention(py::module_& m) {
  m.def(
      "tanh", [](const py::array& x) { return for_type("x", x, &tanh_typed<float>, &tanh_typed<double>, x); },
      py::arg("x"));
  m.def(
      "attend",
      [](const py::array& query, const py::array& keys, const py::array& memory, const py::object& v,
         const py::array& lengths, const py::array& source_lengths) {
        return for_type("query", query, &attend_typed<float>, &attend_typed<double>, query, keys, memory, v, lengths,
                        source_lengths);
      },
      py::arg("query"), py::arg("keys"), py::arg("memory"), py::arg("v"), py::arg("lengths"),
      py::arg("source_lengths"));
  m.def(
      "attend_backward",
      [](const py::array& dcontext, const py::array& weights, const py::array& query, const py::array& keys,
         const py::array& memory, const py::object& v, const py::array& lengths, const py::array& source_lengths,
         const py::object& dv) {
        return for_type("dcontext", dcontext, &attend_backward_typed<float>, &attend_backward_typed<double>, dcontext,
                        weights, query, keys, memory, v, lengths, source_lengths, dv);
      },
      py::arg("dcontext"), py::arg("weights"), py::arg("query"), py::arg("keys"), py::arg("memory"), py::arg("v"),
      py::arg("lengths"), py::arg("source_lengths"), py::arg("dv"));
}

}  // namespace rnnfast
