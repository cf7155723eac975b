// Activations chosen at run time, their derivatives as functions of the outputs, and the policies by which a cell
// picks its own.
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
RNNFAST_INLINE Vec<Real> softplus(Vec<Real> x) {
  return max(x, Vec<Real>{}) + log1p<Real>(exp<Real>(-abs(x)));
}

template <class Real>
RNNFAST_INLINE Vec<Real> between(Vec<Real> x, Real low, Real high) {
  return max(min(x, splat(high)), splat(low));
}

// The activations that no fast path names; not inlined, one copy serves every gate of every cell.
template <class Real>
RNNFAST_NOINLINE Vec<Real> activate_other(const ActivationFn<Real>& fn, Vec<Real> x) {
  const Vec<Real> alpha = splat(fn.alpha), beta = splat(fn.beta), zero{}, one = splat(Real(1));
  switch (fn.kind) {
    case Activation::kRelu:
      return x < zero ? zero : x;
    case Activation::kHardSigmoid:
      return between<Real>(fma(alpha, x, beta), Real(0), Real(1));
    case Activation::kHardTanh:
      return between<Real>(x, Real(-1), Real(1));
    case Activation::kSoftsign:
      return x / (one + abs(x));
    case Activation::kSoftplus:
      return softplus<Real>(x);
    case Activation::kElu:
      return x > zero ? x : alpha * exp_minus_one<Real>(x);
    case Activation::kLeakyRelu:
      return x < zero ? alpha * x : x;
    case Activation::kThresholdedRelu:
      return x <= alpha ? zero : x;
    case Activation::kScaledTanh:
      return alpha * tanh<Real>(beta * x);
    case Activation::kAffine:
      return fma(alpha, x, beta);
    default:
      return x;
  }
}

// The derivative at an input within the clip.
template <class Real>
RNNFAST_NOINLINE Vec<Real> d_activate_other(const ActivationFn<Real>& fn, Vec<Real> y) {
  const Vec<Real> alpha = splat(fn.alpha), zero{}, one = splat(Real(1)), rest = one - abs(y);
  switch (fn.kind) {
    case Activation::kRelu:
      return y > zero ? one : zero;
    case Activation::kHardSigmoid:
      return y > zero ? (y < one ? alpha : zero) : zero;
    case Activation::kHardTanh:
      return rest > zero ? one : zero;
    case Activation::kSoftsign:
      return rest * rest;
    case Activation::kSoftplus:
      return -exp_minus_one<Real>(-y);
    case Activation::kElu:
      return y > zero ? one : y + alpha;
    case Activation::kLeakyRelu:
      return y > zero ? one : alpha;
    case Activation::kThresholdedRelu:
      return y > zero ? one : zero;
    case Activation::kScaledTanh:
      return splat(fn.beta) * fma(-y, y / alpha, alpha);
    case Activation::kAffine:
      return alpha;
    default:
      return one;
  }
}

// fn(x), x bounded to [-clip, clip] first.
template <class Real>
RNNFAST_INLINE Vec<Real> activate(const ActivationFn<Real>& fn, Vec<Real> x) {
  const Vec<Real> bounded = between<Real>(x, -fn.clip, fn.clip);
  if (fn.kind == Activation::kSigmoid) return sigmoid<Real>(bounded);
  if (fn.kind == Activation::kTanh) return tanh<Real>(bounded);
  return activate_other<Real>(fn, bounded);
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
    d = d_activate_other<Real>(fn, y);
  d = y == splat(fn.low) ? Vec<Real>{} : d;
  return y == splat(fn.high) ? Vec<Real>{} : d;
}

// A cell's activations: f of the gates, g of the candidate, h of the cell state on its way out.
// The gates and candidates of the papers, known to the compiler.
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

// One of three: the Elman layers in common use.
template <class Real>
struct ElmanActivations {
  using V = Vec<Real>;
  using Options = CellOptions<Real>;
  static constexpr bool kRuntime = false;
  RNNFAST_INLINE_MEMBER static V f(const Options& options, V x) {
    if (options.f.kind == Activation::kTanh) return tanh<Real>(x);
    if (options.f.kind == Activation::kRelu) return x < V{} ? V{} : x;
    return x;
  }
  RNNFAST_INLINE_MEMBER static V df(const Options& options, V y) {
    if (options.f.kind == Activation::kTanh) return d_tanh<Real>(y);
    if (options.f.kind == Activation::kRelu) return y > V{} ? splat(Real(1)) : V{};
    return splat(Real(1));
  }
};

// Any, chosen at run time.
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
