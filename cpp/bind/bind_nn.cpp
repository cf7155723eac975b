#include <cmath>

#include "../nn/nn.hpp"
#include "arrays.hpp"
#include "bind.hpp"

namespace rnnfast {

namespace {

// (rows, columns) of a matrix.
Shape matrix(const std::string& name, const py::array& array, const std::string& formula) {
  if (array.ndim() != 2)
    throw py::value_error(name + ": two axes " + formula + " are required, got shape " + to_text(shape_of(array)));
  return shape_of(array);
}

const Index* ids_within(const std::string& name, const py::array& ids, Index M, Index count, const std::string& limit) {
  const Index* data = contiguous<Index>(name, ids, "(M,)", {M});
  for (Index m = 0; m < M; ++m)
    if (data[m] < 0 || data[m] >= count)
      throw py::value_error(name + ": each within 0.." + limit + "-1 is required (" + limit + " = " +
                            std::to_string(count) + "), got " + std::to_string(data[m]) + " at index " +
                            std::to_string(m));
  return data;
}

template <class Real>
const Real* weights_of(const py::object& weight, Index M) {
  const Real* data = optional_contiguous<Real>("weight", weight, "(M,)", {M});
  for (Index m = 0; data != nullptr && m < M; ++m)
    if (!std::isfinite(data[m]) || data[m] < 0)
      throw py::value_error("weight: finite numbers >= 0 are required, got " +
                            py::repr(py::float_(static_cast<double>(data[m]))).cast<std::string>() + " at index " +
                            std::to_string(m));
  return data;
}

template <class Real>
py::array linear_typed(const py::array& x, const py::array& W, const py::object& b) {
  const Index M = matrix("x", x, "(M, K)")[0];
  const Index K = x.shape(1);
  const Index N = matrix("W", W, "(N, K)")[0];
  py::array_t<Real> y({M, N});
  LinearArgs<Real> args{};
  args.M = M;
  args.N = N;
  args.K = K;
  args.x = contiguous<Real>("x", x, "(M, K)", {M, K});
  args.W = contiguous<Real>("W", W, "(N, K)", {N, K});
  args.b = optional_contiguous<Real>("b", b, "(N,)", {N});
  args.y = y.mutable_data();
  bool finished = false;
  {
    const GilRelease nogil;
    Interrupt interrupt([&nogil] { return nogil.signals(); });
    finished = linear(args, interrupt);
  }
  if (!finished) throw py::error_already_set();
  return std::move(y);
}

template <class Real>
py::object linear_backward_typed(const py::array& dy, const py::array& x, const py::array& W, const py::array& dW,
                                 const py::object& db, bool need_dx) {
  const Index M = matrix("x", x, "(M, K)")[0];
  const Index K = x.shape(1);
  const Index N = matrix("W", W, "(N, K)")[0];
  LinearBackwardArgs<Real> args{};
  args.M = M;
  args.N = N;
  args.K = K;
  args.dy = contiguous<Real>("dy", dy, "(M, N)", {M, N});
  args.x = contiguous<Real>("x", x, "(M, K)", {M, K});
  args.W = contiguous<Real>("W", W, "(N, K)", {N, K});
  args.dW = contiguous_writable<Real>("dW", dW, "(N, K)", {N, K});
  if (!db.is_none()) args.db = contiguous_writable<Real>("db", db.cast<py::array>(), "(N,)", {N});
  py::object dx = py::none();
  if (need_dx) {
    py::array_t<Real> result({M, K});
    args.dx = result.mutable_data();
    dx = std::move(result);
  }
  bool finished = false;
  {
    const GilRelease nogil;
    Interrupt interrupt([&nogil] { return nogil.signals(); });
    finished = linear_backward(args, interrupt);
  }
  if (!finished) throw py::error_already_set();
  return dx;
}

template <class Real>
py::array embedding_typed(const py::array& E, const py::array& ids) {
  const Index V = matrix("E", E, "(V, D)")[0];
  const Index D = E.shape(1);
  const Index M = ids.size();
  const Real* rows = contiguous<Real>("E", E, "(V, D)", {V, D});
  const Index* chosen = ids_within("ids", ids, M, V, "V");
  py::array_t<Real> y({M, D});
  Real* to = y.mutable_data();
  {
    const GilRelease nogil;
    embedding(M, D, chosen, rows, to);
  }
  return std::move(y);
}

template <class Real>
void embedding_backward_typed(const py::array& dE, const py::array& ids, const py::array& dy) {
  const Index V = matrix("dE", dE, "(V, D)")[0];
  const Index D = dE.shape(1);
  const Index M = ids.size();
  Real* sums = contiguous_writable<Real>("dE", dE, "(V, D)", {V, D});
  const Index* chosen = ids_within("ids", ids, M, V, "V");
  const Real* from = contiguous<Real>("dy", dy, "(M, D)", {M, D});
  const GilRelease nogil;
  embedding_backward(M, V, D, chosen, from, sums);
}

template <class Real>
py::array dropout_typed(const py::array& x, double p, std::uint64_t seed, std::uint64_t call) {
  DropoutArgs<Real> args{};
  args.M = matrix("x", x, "(M, K)")[0];
  args.K = x.shape(1);
  args.x = contiguous<Real>("x", x, "(M, K)", {args.M, args.K});
  args.p = p;
  args.seed = seed;
  args.call = call;
  py::array_t<Real> y({args.M, args.K});
  args.y = y.mutable_data();
  {
    const GilRelease nogil;
    dropout(args);
  }
  return std::move(y);
}

template <class Real>
py::array softmax_typed(const py::array& x, bool log) {
  const Index M = matrix("x", x, "(M, K)")[0];
  const Index K = x.shape(1);
  const Real* from = contiguous<Real>("x", x, "(M, K)", {M, K});
  py::array_t<Real> y({M, K});
  Real* to = y.mutable_data();
  {
    const GilRelease nogil;
    softmax(log ? SoftmaxKind::kLog : SoftmaxKind::kPlain, M, K, from, to);
  }
  return std::move(y);
}

template <class Real>
py::tuple loss_typed(LossKind kind, const py::array& x, const py::array& target, const py::object& weight) {
  const LossSpec& spec = kLosses[static_cast<int>(kind)];
  const Index M = matrix(spec.outputs, x, "(M, K)")[0];
  const Index K = x.shape(1);
  LossArgs<Real> args{};
  args.rows = M;
  args.cols = K;
  args.x = contiguous<Real>(spec.outputs, x, "(M, K)", {M, K});
  switch (spec.kind) {
    case Targets::kClasses:
      args.ids = ids_within(spec.targets, target, M, K, "K");
      break;
    case Targets::kNumbers:
      args.target = contiguous<Real>(spec.targets, target, "(M, K)", {M, K});
      break;
  }
  args.weight = weights_of<Real>(weight, M);
  py::array_t<Real> dx({M, K});
  args.dx = dx.mutable_data();
  double loss = 0;
  {
    const GilRelease nogil;
    loss = mean_loss(kind, args);
  }
  return py::make_tuple(loss, dx);
}

py::tuple loss_named(const std::string& name, const py::array& outputs, const py::array& targets,
                     const py::object& weight) {
  for (int i = 0; i < kLossKinds; ++i)
    if (name == kLosses[i].name)
      return for_type(kLosses[i].outputs, outputs, &loss_typed<float>, &loss_typed<double>, static_cast<LossKind>(i),
                      outputs, targets, weight);
  throw py::value_error("loss: one of losses() is required, got '" + name + "'");
}

}  // namespace

void bind_nn(py::module_& m) {
  m.def(
      "linear",
      [](const py::array& x, const py::array& W, const py::object& b) {
        return for_type("x", x, &linear_typed<float>, &linear_typed<double>, x, W, b);
      },
      py::arg("x"), py::arg("W"), py::arg("b"));
  m.def(
      "linear_backward",
      [](const py::array& dy, const py::array& x, const py::array& W, const py::array& dW, const py::object& db,
         bool need_dx) {
        return for_type("dy", dy, &linear_backward_typed<float>, &linear_backward_typed<double>, dy, x, W, dW, db,
                        need_dx);
      },
      py::arg("dy"), py::arg("x"), py::arg("W"), py::arg("dW"), py::arg("db"), py::arg("need_dx"));
  m.def(
      "embedding",
      [](const py::array& ids, const py::array& E) {
        return for_type("E", E, &embedding_typed<float>, &embedding_typed<double>, E, ids);
      },
      py::arg("ids"), py::arg("E"));
  m.def(
      "dropout",
      [](const py::array& x, double p, std::uint64_t seed, std::uint64_t call) {
        if (!(p >= 0 && p < 1)) throw py::value_error("p: a probability in [0, 1) is required");
        return for_type("x", x, &dropout_typed<float>, &dropout_typed<double>, x, p, seed, call);
      },
      py::arg("x"), py::arg("p"), py::arg("seed"), py::arg("call"));
  m.def(
      "embedding_backward",
      [](const py::array& ids, const py::array& dy, const py::array& dE) {
        return for_type("dE", dE, &embedding_backward_typed<float>, &embedding_backward_typed<double>, dE, ids, dy);
      },
      py::arg("ids"), py::arg("dy"), py::arg("dE"));
  m.def(
      "softmax",
      [](const py::array& x, bool log) {
        return for_type("x", x, &softmax_typed<float>, &softmax_typed<double>, x, log);
      },
      py::arg("x"), py::arg("log"));
  m.def("mean_loss", &loss_named, py::arg("loss"), py::arg("outputs"), py::arg("targets"), py::arg("weight"));
  bind_attention(m);
  bind_updates(m);
}

}  // namespace rnnfast
