// Activations chosen at run time, their derivatives as functions of the outputs, and the policies through which a cell
// gets its activations.
#pragma once
#include "../cpu/kernels.hpp"
#include "log-inl.hpp"

namespace rnnfast::RNNFAST_ISA {

// e^x - 1: exact to a few units of the last place also where e^x is close to 1.
template <class Real>
RNNFAST_INLINE Vec<Real> exp_minus_one(Vec<Real> x) {
  using M = MathConstants<Real>;
  const ExpParts<Real> e = exp_parts<Real>(max(min(x, splat(M::kExpLimit)), splat(-M::kExpLimit)));
  return fma(e.scale, e.p, e.scale - splat(Real(1)));
}

template <class Real>
RNNFAST_INLINE Vec<Real> between(Vec<Real> x, Real low, Real high) {
  return max(min(x, splat(high)), splat(low));
}

// The two formulas of every activation of the registry: its value at x within the clip, and its derivative there as a
// function of the value y.

template <class Real>
RNNFAST_INLINE Vec<Real> tanh(const ActivationFn<Real>&, Vec<Real> x) {
  return tanh<Real>(x);
}
template <class Real>
RNNFAST_INLINE Vec<Real> d_tanh(const ActivationFn<Real>&, Vec<Real> y) {
  return d_tanh<Real>(y);
}

template <class Real>
RNNFAST_INLINE Vec<Real> sigmoid(const ActivationFn<Real>&, Vec<Real> x) {
  return sigmoid<Real>(x);
}
template <class Real>
RNNFAST_INLINE Vec<Real> d_sigmoid(const ActivationFn<Real>&, Vec<Real> y) {
  return d_sigmoid<Real>(y);
}

template <class Real>
RNNFAST_INLINE Vec<Real> relu(const ActivationFn<Real>&, Vec<Real> x) {
  return x < Vec<Real>{} ? Vec<Real>{} : x;
}
template <class Real>
RNNFAST_INLINE Vec<Real> d_relu(const ActivationFn<Real>&, Vec<Real> y) {
  return y > Vec<Real>{} ? splat(Real(1)) : Vec<Real>{};
}

template <class Real>
RNNFAST_INLINE Vec<Real> identity(const ActivationFn<Real>&, Vec<Real> x) {
  return x;
}
template <class Real>
RNNFAST_INLINE Vec<Real> d_identity(const ActivationFn<Real>&, Vec<Real>) {
  return splat(Real(1));
}

// alpha x + beta within [0, 1]
template <class Real>
RNNFAST_INLINE Vec<Real> hard_sigmoid(const ActivationFn<Real>& fn, Vec<Real> x) {
  return between<Real>(fma(splat(fn.alpha), x, splat(fn.beta)), Real(0), Real(1));
}
template <class Real>
RNNFAST_INLINE Vec<Real> d_hard_sigmoid(const ActivationFn<Real>& fn, Vec<Real> y) {
  const Vec<Real> zero{};
  return y > zero ? (y < splat(Real(1)) ? splat(fn.alpha) : zero) : zero;
}

// x within [-1, 1]
template <class Real>
RNNFAST_INLINE Vec<Real> hard_tanh(const ActivationFn<Real>&, Vec<Real> x) {
  return between<Real>(x, Real(-1), Real(1));
}
template <class Real>
RNNFAST_INLINE Vec<Real> d_hard_tanh(const ActivationFn<Real>&, Vec<Real> y) {
  const Vec<Real> one = splat(Real(1));
  return one - abs(y) > Vec<Real>{} ? one : Vec<Real>{};
}

// x / (1 + |x|)
template <class Real>
RNNFAST_INLINE Vec<Real> softsign(const ActivationFn<Real>&, Vec<Real> x) {
  return x / (splat(Real(1)) + abs(x));
}
template <class Real>
RNNFAST_INLINE Vec<Real> d_softsign(const ActivationFn<Real>&, Vec<Real> y) {
  const Vec<Real> rest = splat(Real(1)) - abs(y);
  return rest * rest;
}

// log(1 + e^x)
template <class Real>
RNNFAST_INLINE Vec<Real> softplus(const ActivationFn<Real>&, Vec<Real> x) {
  return max(x, Vec<Real>{}) + log1p<Real>(exp<Real>(-abs(x)));
}
template <class Real>
RNNFAST_INLINE Vec<Real> d_softplus(const ActivationFn<Real>&, Vec<Real> y) {
  return -exp_minus_one<Real>(-y);
}

// x, below 0 alpha (e^x - 1)
template <class Real>
RNNFAST_INLINE Vec<Real> elu(const ActivationFn<Real>& fn, Vec<Real> x) {
  return x > Vec<Real>{} ? x : splat(fn.alpha) * exp_minus_one<Real>(x);
}
template <class Real>
RNNFAST_INLINE Vec<Real> d_elu(const ActivationFn<Real>& fn, Vec<Real> y) {
  return y > Vec<Real>{} ? splat(Real(1)) : y + splat(fn.alpha);
}

// x, below 0 alpha x
template <class Real>
RNNFAST_INLINE Vec<Real> leaky_relu(const ActivationFn<Real>& fn, Vec<Real> x) {
  return x < Vec<Real>{} ? splat(fn.alpha) * x : x;
}
template <class Real>
RNNFAST_INLINE Vec<Real> d_leaky_relu(const ActivationFn<Real>& fn, Vec<Real> y) {
  return y > Vec<Real>{} ? splat(Real(1)) : splat(fn.alpha);
}

// x, up to alpha 0
template <class Real>
RNNFAST_INLINE Vec<Real> thresholded_relu(const ActivationFn<Real>& fn, Vec<Real> x) {
  return x <= splat(fn.alpha) ? Vec<Real>{} : x;
}
template <class Real>
RNNFAST_INLINE Vec<Real> d_thresholded_relu(const ActivationFn<Real>&, Vec<Real> y) {
  return y > Vec<Real>{} ? splat(Real(1)) : Vec<Real>{};
}

// alpha tanh(beta x)
template <class Real>
RNNFAST_INLINE Vec<Real> scaled_tanh(const ActivationFn<Real>& fn, Vec<Real> x) {
  return splat(fn.alpha) * tanh<Real>(splat(fn.beta) * x);
}
template <class Real>
RNNFAST_INLINE Vec<Real> d_scaled_tanh(const ActivationFn<Real>& fn, Vec<Real> y) {
  const Vec<Real> alpha = splat(fn.alpha);
  return splat(fn.beta) * fma(-y, y / alpha, alpha);
}

// alpha x + beta
template <class Real>
RNNFAST_INLINE Vec<Real> affine(const ActivationFn<Real>& fn, Vec<Real> x) {
  return fma(splat(fn.alpha), x, splat(fn.beta));
}
template <class Real>
RNNFAST_INLINE Vec<Real> d_affine(const ActivationFn<Real>& fn, Vec<Real>) {
  return splat(fn.alpha);
}

// Any activation; not inlined, one copy serves every gate of every cell.
template <class Real>
RNNFAST_NOINLINE Vec<Real> activate_any(const ActivationFn<Real>& fn, Vec<Real> x) {
  switch (fn.kind) {
#define RNNFAST_CASE(kind, name, ...) \
  case Activation::kind:              \
    return name<Real>(fn, x);
    RNNFAST_ACTIVATIONS(RNNFAST_CASE)
#undef RNNFAST_CASE
  }
  __builtin_unreachable();
}

template <class Real>
RNNFAST_NOINLINE Vec<Real> d_activate_any(const ActivationFn<Real>& fn, Vec<Real> y) {
  switch (fn.kind) {
#define RNNFAST_CASE(kind, name, ...) \
  case Activation::kind:              \
    return d_##name<Real>(fn, y);
    RNNFAST_ACTIVATIONS(RNNFAST_CASE)
#undef RNNFAST_CASE
  }
  __builtin_unreachable();
}

// fn(x), x bounded to [-clip, clip] first.
template <class Real>
RNNFAST_INLINE Vec<Real> activate(const ActivationFn<Real>& fn, Vec<Real> x) {
  const Vec<Real> bounded = between<Real>(x, -fn.clip, fn.clip);
  if (fn.kind == Activation::kSigmoid) return sigmoid<Real>(bounded);
  if (fn.kind == Activation::kTanh) return tanh<Real>(bounded);
  return activate_any<Real>(fn, bounded);
}

// Its derivative as a function of its result, zero where the clip held x.
template <class Real>
RNNFAST_INLINE Vec<Real> d_activate(const ActivationFn<Real>& fn, Vec<Real> y) {
  Vec<Real> d;
  if (fn.kind == Activation::kSigmoid)
    d = d_sigmoid<Real>(y);
  else if (fn.kind == Activation::kTanh)
    d = d_tanh<Real>(y);
  else
    d = d_activate_any<Real>(fn, y);
  d = y == splat(fn.low) ? Vec<Real>{} : d;
  return y == splat(fn.high) ? Vec<Real>{} : d;
}

// A cell's activations: f of the gates, g of the candidate, h of the cell state on its way out.

// Those of the papers, known to the compiler.
template <class Real>
struct FixedActivations {
  using V = Vec<Real>;
  using Options = CellOptions<Real>;
  static constexpr bool kRuntime = false;
  RNNFAST_INLINE_MEMBER static V f(const Options&, V x) { return sigmoid<Real>(x); }
  RNNFAST_INLINE_MEMBER static V g(const Options&, V x) { return tanh<Real>(x); }
  RNNFAST_INLINE_MEMBER static V h(const Options&, V x) { return tanh<Real>(x); }
  RNNFAST_INLINE_MEMBER static V df(const Options&, V y) { return d_sigmoid<Real>(y); }
  RNNFAST_INLINE_MEMBER static V dg(const Options&, V y) { return d_tanh<Real>(y); }
  RNNFAST_INLINE_MEMBER static V dh(const Options&, V y) { return d_tanh<Real>(y); }
};

// tanh, relu or identity: the common Elman layers.
template <class Real>
struct ElmanActivations {
  using V = Vec<Real>;
  using Options = CellOptions<Real>;
  static constexpr bool kRuntime = false;
  RNNFAST_INLINE_MEMBER static V f(const Options& options, V x) {
    if (options.f.kind == Activation::kTanh) return tanh<Real>(x);
    if (options.f.kind == Activation::kRelu) return relu<Real>(options.f, x);
    return x;
  }
  RNNFAST_INLINE_MEMBER static V df(const Options& options, V y) {
    if (options.f.kind == Activation::kTanh) return d_tanh<Real>(y);
    if (options.f.kind == Activation::kRelu) return d_relu<Real>(options.f, y);
    return splat(Real(1));
  }
};

// Any activation, chosen at run time.
template <class Real>
struct RuntimeActivations {
  using V = Vec<Real>;
  using Options = CellOptions<Real>;
  static constexpr bool kRuntime = true;
  RNNFAST_INLINE_MEMBER static V f(const Options& options, V x) { return activate<Real>(options.f, x); }
  RNNFAST_INLINE_MEMBER static V g(const Options& options, V x) { return activate<Real>(options.g, x); }
  RNNFAST_INLINE_MEMBER static V h(const Options& options, V x) { return activate<Real>(options.h, x); }
  RNNFAST_INLINE_MEMBER static V df(const Options& options, V y) { return d_activate<Real>(options.f, y); }
  RNNFAST_INLINE_MEMBER static V dg(const Options& options, V y) { return d_activate<Real>(options.g, y); }
  RNNFAST_INLINE_MEMBER static V dh(const Options& options, V y) { return d_activate<Real>(options.h, y); }
};

template <class Real>
static void activate_all(const ActivationFn<Real>& fn, Index n, const Real* x, Real* y) {
  for (Index i = 0; i < n; i += kLanes<Real>) store_first(y + i, activate<Real>(fn, load_first(x + i, n - i)), n - i);
}

}  // namespace rnnfast::RNNFAST_ISA
