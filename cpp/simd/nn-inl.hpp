// Softmax, losses with their gradients. Sums over the K numbers of a row run in fixed partial sums
// (reduce-inl.hpp).
#pragma once
#include "../cpu/kernels.hpp"
#include "attention-inl.hpp"
#include "log-inl.hpp"
#include "optim-inl.hpp"
#include "reduce-inl.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class Real>
RNNFAST_INLINE Real log_of(Real x) {
  return log<Real>(splat(x))[0];
}

// The largest number of a row; -inf for an empty row. It may miss a NaN, which reaches the sum.
template <class Real>
RNNFAST_INLINE Real largest(const Real* x, Index n) {
  const Real lowest = -Real(__builtin_inf());
  Partials<Real> top;
  fill<Real>(top, lowest);
  for_partials<Real>(n, [&](int v, Index i, Index count) __attribute__((always_inline)) {
    top[v] = max(top[v], keep_first(load_first(x + i, count), count, lowest));
  });
  return fold<Real>(top, [](Real a, Real b) { return a < b ? b : a; });
}

// sum_i e^(x_i - top); the terms go to e unless it is null.
template <class Real>
RNNFAST_INLINE Real exponentials(const Real* x, Index n, Real top, Real* e) {
  Partials<Real> partials;
  fill<Real>(partials, Real(0));
  for_partials<Real>(n, [&](int v, Index i, Index count) __attribute__((always_inline)) {
    const Vec<Real> term = exp<Real>(load_first(x + i, count) - splat(top));
    if (e != nullptr) store_first(e + i, term, count);
    partials[v] += keep_first(term, count, Real(0));
  });
  return sum<Real>(partials);
}

template <class Real>
static void softmax(Index rows, Index cols, const Real* x, Real* y) {
  for (Index r = 0; r < rows; ++r, x += cols, y += cols) {
    const Vec<Real> total = splat(exponentials(x, cols, largest(x, cols), y));
    for_vectors<Real>(cols, [&](Index i, Index count) __attribute__((always_inline)) {
      store_first(y + i, load_first(y + i, count) / total, count);
    });
  }
}

template <class Real>
static void log_softmax(Index rows, Index cols, const Real* x, Real* y) {
  for (Index r = 0; r < rows; ++r, x += cols, y += cols) {
    const Real top = largest(x, cols);
    const Vec<Real> shift = splat(log_of(exponentials(x, cols, top, static_cast<Real*>(nullptr))));
    for_vectors<Real>(cols, [&](Index i, Index count) __attribute__((always_inline)) {
      store_first(y + i, load_first(x + i, count) - splat(top) - shift, count);
    });
  }
}

// row_loss(r, share) returns the loss of row r and sets its gradient, `share` times that of the loss.
template <class Real, class RowLoss>
RNNFAST_INLINE double weighted_losses(const LossArgs<Real>& args, const RowLoss& row_loss) {
  double losses = 0;
  for (Index r = 0; r < args.rows; ++r) {
    const double weight = args.weight == nullptr ? 1.0 : static_cast<double>(args.weight[r]);
    if (weight == 0.0)
      memset(args.dx + r * args.cols, 0, sizeof(Real) * static_cast<size_t>(args.cols));
    else
      losses += weight * static_cast<double>(row_loss(r, static_cast<Real>(weight / args.total)));
  }
  return losses;
}

// loss = log(sum_j e^(x_j - top)) - (x_t - top); d = p - [j = t].
template <class Real>
static double cross_entropy(const LossArgs<Real>& args) {
  return weighted_losses(args, [&](Index r, Real share) __attribute__((always_inline)) {
    const Real* x = args.x + r * args.cols;
    Real* dx = args.dx + r * args.cols;
    const Index target = args.ids[r];
    const Real top = largest(x, args.cols);
    const Real total = exponentials(x, args.cols, top, dx);
    const Real d_target = (dx[target] / total - Real(1)) * share;
    const Vec<Real> factor = splat(share / total);
    for_vectors<Real>(args.cols, [&](Index i, Index count) __attribute__((always_inline)) {
      store_first(dx + i, load_first(dx + i, count) * factor, count);
    });
    dx[target] = d_target;
    return log_of(total) - (x[target] - top);
  });
}

// loss = sum_j (x_j - y_j)^2; d = 2 (x - y).
template <class Real>
static double squared_error(const LossArgs<Real>& args) {
  return weighted_losses(args, [&](Index r, Real share) __attribute__((always_inline)) {
    const Index row = r * args.cols;
    Partials<Real> partials;
    fill<Real>(partials, Real(0));
    for_partials<Real>(args.cols, [&](int v, Index i, Index count) __attribute__((always_inline)) {
      const Vec<Real> error = load_first(args.x + row + i, count) - load_first(args.target + row + i, count);
      store_first(args.dx + row + i, error * splat(share + share), count);
      partials[v] = fma(error, error, partials[v]);
    });
    return sum<Real>(partials);
  });
}

// loss = sum_j max(x, 0) - x y + log(1 + e^-|x|); d = 1 / (1 + e^-x) - y.
template <class Real>
static double binary_cross_entropy(const LossArgs<Real>& args) {
  return weighted_losses(args, [&](Index r, Real share) __attribute__((always_inline)) {
    const Vec<Real> one = splat(Real(1));
    const Vec<Real> zero = Vec<Real>{};
    const Index row = r * args.cols;
    Partials<Real> partials;
    fill<Real>(partials, Real(0));
    for_partials<Real>(args.cols, [&](int v, Index i, Index count) __attribute__((always_inline)) {
      const Vec<Real> x = load_first(args.x + row + i, count);
      const Vec<Real> y = load_first(args.target + row + i, count);
      const Vec<Real> e = exp<Real>(x < zero ? x : -x);
      const Vec<Real> p = (x < zero ? e : one) / (one + e);
      store_first(args.dx + row + i, (p - y) * splat(share), count);
      const Vec<Real> loss = fma(-x, y, max(x, zero)) + log1p<Real>(e);
      partials[v] += keep_first(loss, count, Real(0));
    });
    return sum<Real>(partials);
  });
}

// Eight chains at once hide the latency of fma.
template <class Real>
static void dots(Index cols, Index inner, const Real* x, const Real* W, const Real* b, Real* y) {
  constexpr Index kChains = 8;
  for (Index j = 0; j < cols; j += kChains) {
    const Real* rows[kChains];
    Real acc[kChains];
#pragma GCC unroll 8
    for (Index i = 0; i < kChains; ++i) {
      const Index row = j + i < cols ? j + i : cols - 1;
      rows[i] = W + row * inner;
      acc[i] = b != nullptr ? b[row] : Real(0);
    }
    for (Index k = 0; k < inner; ++k) {
#pragma GCC unroll 8
      for (Index i = 0; i < kChains; ++i) acc[i] = fma_of(x[k], rows[i][k], acc[i]);
    }
    for (Index i = 0; i < kChains && j + i < cols; ++i) y[j + i] = acc[i];
  }
}

template <class Real>
constexpr NnKernels<Real> nn_kernels() {
  NnKernels<Real> table = {};
  table.dots = dots<Real>;
  table.softmax = softmax<Real>;
  table.log_softmax = log_softmax<Real>;
  table.softmax_backward = softmax_backward<Real>;
  table.additive_scores = additive_scores<Real>;
  table.additive_backward = additive_backward<Real>;
#define RNNFAST_SET_LOSS(kind, name, kernel, ...) table.loss[static_cast<int>(LossKind::kind)] = kernel<Real>;
  RNNFAST_LOSSES(RNNFAST_SET_LOSS)
#undef RNNFAST_SET_LOSS
#define RNNFAST_SET_UPDATE(kind, name, ...) table.update[static_cast<int>(OptimizerKind::kind)] = name<Real>;
  RNNFAST_OPTIMIZERS(RNNFAST_SET_UPDATE)
#undef RNNFAST_SET_UPDATE
  table.squared_norm = squared_norm<Real>;
  table.scale = scale<Real>;
  return table;
}

}  // namespace rnnfast::RNNFAST_ISA
