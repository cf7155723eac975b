// Optimiser updates, element by element: PyTorch's formulas, with fma where they multiply and add.
#pragma once
#include "../cpu/kernels.hpp"
#include "reduce-inl.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class Options, class Real>
RNNFAST_INLINE Options options_of(const UpdateArgs<Real>& args) {
  Options options;
  memcpy(&options, args.options, sizeof(options));
  return options;
}

// base^n by squaring: the same bits on every machine, which a library's pow does not promise.
static double power(double base, Index n) {
  double result = 1;
  while (n > 0) {
    if (n % 2 == 1) result *= base;
    n /= 2;
    base *= base;
  }
  return result;
}

// b = momentum b + (1 - dampening) g (b = g at first); p -= lr b, with nesterov p -= lr (g + momentum b) (Sutskever et
// al. 2013). Buffer: b, not read without momentum.
template <class Real>
static void sgd(const UpdateArgs<Real>& a) {
  const auto options = options_of<SgdOptions>(a);
  const Real lr = static_cast<Real>(options.lr);
  const Real rate = static_cast<Real>(options.momentum);
  const Real fresh = static_cast<Real>(1 - options.dampening);
  const Real weight_decay = static_cast<Real>(options.weight_decay);
  const bool first = a.step == 0;
  const bool nesterov = options.nesterov != 0;
  Real* const buffer = options.momentum != 0 ? a.buffer[0] : nullptr;
  for_vectors<Real>(a.n, [&](Index i, Index count) __attribute__((always_inline)) {
    const Vec<Real> p = load_first(a.value + i, count);
    Vec<Real> g = fma(splat(weight_decay), p, load_first(a.grad + i, count));
    if (buffer != nullptr) {
      const Vec<Real> momentum = splat(rate);
      const Vec<Real> b = first ? g : fma(momentum, load_first(buffer + i, count), splat(fresh) * g);
      store_first(buffer + i, b, count);
      g = nesterov ? fma(momentum, b, g) : b;
    }
    store_first(a.value + i, fma(splat(-lr), g, p), count);
  });
}

// m += (1 - beta1) (g - m); v = beta2 v + (1 - beta2) g^2; p = step(p, g, m, sqrt(v') + eps), v' = v / (1 - beta2^t)
// (Kingma, Ba 2015; decoupled decay, which multiplies p first: Loshchilov, Hutter 2019). Buffers: m, v; where there is
// a third, it keeps the largest v, which stands for v in v' (Reddi et al. 2018).
template <class Options, class Real, class Step>
RNNFAST_INLINE void with_moments(const UpdateArgs<Real>& a, const Options& options, const Step& step) {
  const bool decoupled = options.decoupled != 0;
  const Real keep = static_cast<Real>(decoupled ? 1 - options.lr * options.weight_decay : 1.0);
  const Real weight_decay = static_cast<Real>(decoupled ? 0.0 : options.weight_decay);
  const Real mix1 = static_cast<Real>(1 - options.beta1);
  const Real beta2 = static_cast<Real>(options.beta2);
  const Real mix2 = static_cast<Real>(1 - options.beta2);
  const Real root_scale = static_cast<Real>(1 / __builtin_sqrt(1 - power(options.beta2, a.step + 1)));
  const Real eps = static_cast<Real>(options.eps);
  Real* const m_kept = a.buffer[0];
  Real* const v_kept = a.buffer[1];
  Real* const v_largest = a.buffer[2];
  for_vectors<Real>(a.n, [&](Index i, Index count) __attribute__((always_inline)) {
    const Vec<Real> p = load_first(a.value + i, count) * splat(keep);
    const Vec<Real> g = fma(splat(weight_decay), p, load_first(a.grad + i, count));
    const Vec<Real> m_prev = load_first(m_kept + i, count);
    const Vec<Real> m = fma(splat(mix1), g - m_prev, m_prev);
    Vec<Real> v = fma(splat(beta2), load_first(v_kept + i, count), splat(mix2) * g * g);
    store_first(m_kept + i, m, count);
    store_first(v_kept + i, v, count);
    if (v_largest != nullptr) {
      v = max(v, load_first(v_largest + i, count));
      store_first(v_largest + i, v, count);
    }
    const Vec<Real> root = fma(square_root(v), splat(root_scale), splat(eps));
    store_first(a.value + i, step(p, g, m, root), count);
  });
}

// p -= lr m' / (sqrt(v') + eps), m' = m / (1 - beta1^t).
template <class Real>
static void adam(const UpdateArgs<Real>& a) {
  const auto options = options_of<AdamOptions>(a);
  const Real rate = static_cast<Real>(options.lr / (1 - power(options.beta1, a.step + 1)));
  with_moments(a, options, [=](Vec<Real> p, Vec<Real>, Vec<Real> m, Vec<Real> root) __attribute__((always_inline)) {
    return fma(splat(-rate), m / root, p);
  });
}

template <class Real>
static void amsgrad(const UpdateArgs<Real>& a) {
  adam(a);
}

// p -= lr (m_share m + g_share g) / (sqrt(v') + eps) (Dozat 2016).
template <class Real>
static void nadam(const UpdateArgs<Real>& a) {
  const auto options = options_of<NadamOptions>(a);
  const Real lr = static_cast<Real>(options.lr);
  const Real m_share = static_cast<Real>(options.m_share);
  const Real g_share = static_cast<Real>(options.g_share);
  with_moments(a, options, [=](Vec<Real> p, Vec<Real> g, Vec<Real> m, Vec<Real> root) __attribute__((always_inline)) {
    return fma(splat(-lr), fma(splat(g_share), g, splat(m_share) * m) / root, p);
  });
}

// s = alpha s + (1 - alpha) g^2; centered: a += (1 - alpha) (g - a), s' = s - a^2, else s' = s;
// d = g / (sqrt(s') + eps); with momentum b = momentum b + d, p -= lr b, else p -= lr d (Tieleman, Hinton
// 2012; Graves 2013). Buffers: s; b, not read without momentum; a, not read unless centered.
template <class Real>
static void rmsprop(const UpdateArgs<Real>& a) {
  const auto options = options_of<RmspropOptions>(a);
  const Real lr = static_cast<Real>(options.lr);
  const Real alpha = static_cast<Real>(options.alpha);
  const Real mix = static_cast<Real>(1 - options.alpha);
  const Real eps = static_cast<Real>(options.eps);
  const Real weight_decay = static_cast<Real>(options.weight_decay);
  const Real momentum = static_cast<Real>(options.momentum);
  Real* const square_avg = a.buffer[0];
  Real* const buffer = options.momentum != 0 ? a.buffer[1] : nullptr;
  Real* const grad_avg = options.centered != 0 ? a.buffer[2] : nullptr;
  for_vectors<Real>(a.n, [&](Index i, Index count) __attribute__((always_inline)) {
    const Vec<Real> p = load_first(a.value + i, count);
    const Vec<Real> g = fma(splat(weight_decay), p, load_first(a.grad + i, count));
    const Vec<Real> s = fma(splat(alpha), load_first(square_avg + i, count), splat(mix) * g * g);
    store_first(square_avg + i, s, count);
    Vec<Real> spread = s;
    if (grad_avg != nullptr) {
      const Vec<Real> avg_prev = load_first(grad_avg + i, count);
      const Vec<Real> avg = fma(splat(mix), g - avg_prev, avg_prev);
      store_first(grad_avg + i, avg, count);
      // Rounding must not make a variance negative.
      spread = max(fma(-avg, avg, s), Vec<Real>{});
    }
    Vec<Real> d = g / (square_root(spread) + splat(eps));
    if (buffer != nullptr) {
      d = fma(splat(momentum), load_first(buffer + i, count), d);
      store_first(buffer + i, d, count);
    }
    store_first(a.value + i, fma(splat(-lr), d, p), count);
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
