// Optimiser updates, element by element: PyTorch's formulas, with fma where they multiply and add.
#pragma once
#include "../cpu/kernels.hpp"
#include "reduce-inl.hpp"

namespace rnnfast::RNNFAST_ISA {

// b = momentum b + fresh g (b = g at first); p -= lr b, with nesterov p -= lr (g + momentum b) (Sutskever et
// al. 2013).
template <class Real>
static void sgd(const SgdArgs<Real>& a) {
  for_vectors<Real>(a.n, [&](Index i, Index count) __attribute__((always_inline)) {
    const Vec<Real> p = load_first(a.value + i, count);
    Vec<Real> g = fma(splat(a.weight_decay), p, load_first(a.grad + i, count));
    if (a.buffer != nullptr) {
      const Vec<Real> momentum = splat(a.momentum);
      const Vec<Real> b = a.first ? g : fma(momentum, load_first(a.buffer + i, count), splat(a.fresh) * g);
      store_first(a.buffer + i, b, count);
      g = a.nesterov ? fma(momentum, b, g) : b;
    }
    store_first(a.value + i, fma(splat(-a.lr), g, p), count);
  });
}

// m += (1 - beta1) (g - m); v = beta2 v + (1 - beta2) g^2; p -= lr m' / (sqrt(v') + eps), m' = m / (1 -
// beta1^t), v' = v / (1 - beta2^t) (Kingma, Ba 2015; decoupled decay: Loshchilov, Hutter 2019).
template <class Real>
static void adam(const AdamArgs<Real>& a) {
  for_vectors<Real>(a.n, [&](Index i, Index count) __attribute__((always_inline)) {
    const Vec<Real> p = load_first(a.value + i, count) * splat(a.keep);
    const Vec<Real> g = fma(splat(a.weight_decay), p, load_first(a.grad + i, count));
    const Vec<Real> m_prev = load_first(a.m + i, count);
    const Vec<Real> m = fma(splat(a.mix1), g - m_prev, m_prev);
    const Vec<Real> v = fma(splat(a.beta2), load_first(a.v + i, count), splat(a.mix2) * g * g);
    store_first(a.m + i, m, count);
    store_first(a.v + i, v, count);
    const Vec<Real> root = fma(square_root(v), splat(a.root_scale), splat(a.eps));
    store_first(a.value + i, fma(splat(-a.step_size), m / root, p), count);
  });
}

// s = alpha s + (1 - alpha) g^2; centered: a += (1 - alpha) (g - a), s' = s - a^2, else s' = s;
// d = g / (sqrt(s') + eps); with momentum b = momentum b + d, p -= lr b, else p -= lr d (Tieleman, Hinton
// 2012; Graves 2013).
template <class Real>
static void rmsprop(const RmspropArgs<Real>& a) {
  for_vectors<Real>(a.n, [&](Index i, Index count) __attribute__((always_inline)) {
    const Vec<Real> p = load_first(a.value + i, count);
    const Vec<Real> g = fma(splat(a.weight_decay), p, load_first(a.grad + i, count));
    const Vec<Real> s = fma(splat(a.alpha), load_first(a.square_avg + i, count), splat(a.mix) * g * g);
    store_first(a.square_avg + i, s, count);
    Vec<Real> spread = s;
    if (a.grad_avg != nullptr) {
      const Vec<Real> avg_prev = load_first(a.grad_avg + i, count);
      const Vec<Real> avg = fma(splat(a.mix), g - avg_prev, avg_prev);
      store_first(a.grad_avg + i, avg, count);
      // Rounding must not make a variance negative.
      spread = max(fma(-avg, avg, s), Vec<Real>{});
    }
    Vec<Real> d = g / (square_root(spread) + splat(a.eps));
    if (a.buffer != nullptr) {
      d = fma(splat(a.momentum), load_first(a.buffer + i, count), d);
      store_first(a.buffer + i, d, count);
    }
    store_first(a.value + i, fma(splat(-a.lr), d, p), count);
  });
}

template <class Real>
static void scale(Index n, Real factor, Real* x) {
  for_vectors<Real>(n, [&](Index i, Index count) __attribute__((always_inline)) {
    store_first(x + i, load_first(x + i, count) * splat(factor), count);
  });
}

// Sum of x^2 in double, in partial sums as in reduce-inl.hpp.
template <class Real>
static double squared_norm(Index n, const Real* x) {
  double sums[kPartials] = {};
  Index i = 0;
  for (; i + kPartials <= n; i += kPartials) {
#pragma GCC unroll 16
    for (int j = 0; j < kPartials; ++j) {
      const double number = static_cast<double>(x[i + j]);
      sums[j] += number * number;
    }
  }
  for (int j = 0; i + j < n; ++j) {
    const double number = static_cast<double>(x[i + j]);
    sums[j] += number * number;
  }
  for (int half = kPartials / 2; half > 0; half /= 2) {
    for (int j = 0; j < half; ++j) sums[j] += sums[j + half];
  }
  return sums[0];
}

}  // namespace rnnfast::RNNFAST_ISA
