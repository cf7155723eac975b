#include "../nn/attention.hpp"
#include "arrays.hpp"
#include "bind.hpp"

namespace rnnfast {

namespace {

template <class Real>
AttentionArgs<Real> args_of(const py::array& query, const py::array& keys, const py::array& memory, const py::object& v,
                            const py::object& lengths, const py::object& source_lengths) {
  if (query.ndim() != 3 || keys.ndim() != 3 || memory.ndim() != 3)
    throw py::value_error("query (N, T, A), keys (N, S, A), memory (N, S, M): three axes each are required, got " +
                          to_text(shape_of(query)) + ", " + to_text(shape_of(keys)) + ", " + to_text(shape_of(memory)));
  AttentionArgs<Real> args{};
  args.N = query.shape(0);
  args.T = query.shape(1);
  args.A = query.shape(2);
  args.S = memory.shape(1);
  args.M = memory.shape(2);
  args.query = contiguous<Real>("query", query, "(N, T, A)", {args.N, args.T, args.A});
  args.keys = contiguous<Real>("keys", keys, "(N, S, A)", {args.N, args.S, args.A});
  args.memory = contiguous<Real>("memory", memory, "(N, S, M)", {args.N, args.S, args.M});
  args.v = optional_contiguous<Real>("v", v, "(A,)", {args.A});
  args.lengths = lengths_within("lengths", lengths, args.N, args.T);
  args.source_lengths = lengths_within("source_lengths", source_lengths, args.N, args.S);
  return args;
}

template <class Real>
py::tuple attend_typed(const py::array& query, const py::array& keys, const py::array& memory, const py::object& v,
                       const py::object& lengths, const py::object& source_lengths) {
  const AttentionArgs<Real> args = args_of<Real>(query, keys, memory, v, lengths, source_lengths);
  py::array_t<Real> context({args.N, args.T, args.M});
  py::array_t<Real> weights({args.N, args.T, args.S});
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
                                const py::object& lengths, const py::object& source_lengths, const py::object& dv) {
  const AttentionArgs<Real> args = args_of<Real>(query, keys, memory, v, lengths, source_lengths);
  py::array_t<Real> dquery({args.N, args.T, args.A});
  py::array_t<Real> dkeys({args.N, args.S, args.A});
  py::array_t<Real> dmemory({args.N, args.S, args.M});
  AttentionGradients<Real> gradients{};
  gradients.weights = contiguous<Real>("weights", weights, "(N, T, S)", {args.N, args.T, args.S});
  gradients.dcontext = contiguous<Real>("dcontext", dcontext, "(N, T, M)", {args.N, args.T, args.M});
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
         const py::object& lengths, const py::object& source_lengths) {
        return for_type("query", query, &attend_typed<float>, &attend_typed<double>, query, keys, memory, v, lengths,
                        source_lengths);
      },
      py::arg("query"), py::arg("keys"), py::arg("memory"), py::arg("v"), py::arg("lengths"),
      py::arg("source_lengths"));
  m.def(
      "attend_backward",
      [](const py::array& dcontext, const py::array& weights, const py::array& query, const py::array& keys,
         const py::array& memory, const py::object& v, const py::object& lengths, const py::object& source_lengths,
         const py::object& dv) {
        return for_type("dcontext", dcontext, &attend_backward_typed<float>, &attend_backward_typed<double>, dcontext,
                        weights, query, keys, memory, v, lengths, source_lengths, dv);
      },
      py::arg("dcontext"), py::arg("weights"), py::arg("query"), py::arg("keys"), py::arg("memory"), py::arg("v"),
      py::arg("lengths"), py::arg("source_lengths"), py::arg("dv"));
}

}  // namespace rnnfast
