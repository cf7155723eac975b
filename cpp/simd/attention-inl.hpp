// Scores of additive attention, and the gradient of a softmax. Sums over a row run in fixed partial sums
// (reduce-inl.hpp).
#pragma once
#include "../cpu/nn_kernels.hpp"
#include "math-inl.hpp"
#include "reduce-inl.hpp"

namespace rnnfast::RNNFAST_ISA {

// e[s] = sum_a v[a] tanh(q[a] + keys[s][a])
template <class Real>
static void additive_scores(Index S, Index A, const Real* q, const Real* keys, const Real* v, Real* e) {
  for (Index s = 0; s < S; ++s, keys += A) {
    Partials<Real> partials;
    fill<Real>(partials, Real(0));
    for_partials<Real>(A, [&](int p, Index a, Index count) __attribute__((always_inline)) {
      const Vec<Real> t = tanh<Real>(load_first(q + a, count) + load_first(keys + a, count));
      partials[p] = fma(load_first(v + a, count), t, partials[p]);
    });
    e[s] = sum<Real>(partials);
  }
}

// The gradients of additive_scores, given de: dq is written, dkeys and dv are added to, in the order of s.
template <class Real>
static void additive_backward(const AdditiveBackwardArgs<Real>& args) {
  for_vectors<Real>(args.A, [&](Index a, Index count) __attribute__((always_inline)) {
    const Vec<Real> q = load_first(args.q + a, count);
    const Vec<Real> v = load_first(args.v + a, count);
    Vec<Real> dq = Vec<Real>{};
    Vec<Real> dv = Vec<Real>{};
    for (Index s = 0; s < args.S; ++s) {
      const Index at = s * args.A + a;
      const Vec<Real> de = splat(args.de[s]);
      const Vec<Real> t = tanh<Real>(q + load_first(args.keys + at, count));
      const Vec<Real> d = de * v * d_tanh<Real>(t);
      dq += d;
      dv = fma(de, t, dv);
      store_first(args.dkeys + at, load_first(args.dkeys + at, count) + d, count);
    }
    store_first(args.dq + a, dq, count);
    store_first(args.dv + a, load_first(args.dv + a, count) + dv, count);
  });
}

// de = p (dp - sum_j p_j dp_j), row by row.
template <class Real>
static void softmax_backward(Index rows, Index cols, const Real* p, const Real* dp, Real* de) {
  for (Index r = 0; r < rows; ++r, p += cols, dp += cols, de += cols) {
    Partials<Real> partials;
    fill<Real>(partials, Real(0));
    for_partials<Real>(cols, [&](int v, Index i, Index count) __attribute__((always_inline)) {
      partials[v] = fma(load_first(p + i, count), load_first(dp + i, count), partials[v]);
    });
    const Vec<Real> mean = splat(sum<Real>(partials));
    for_vectors<Real>(cols, [&](Index i, Index count) __attribute__((always_inline)) {
      store_first(de + i, load_first(p + i, count) * (load_first(dp + i, count) - mean), count);
    });
  }
}

}  // namespace rnnfast::RNNFAST_ISA
