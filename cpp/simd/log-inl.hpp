// Logarithms on vectors; both types.
#pragma once
#include "math-inl.hpp"

namespace rnnfast::RNNFAST_ISA {

// log x = n ln2 + log(1 + f), f in [sqrt(1/2) - 1, sqrt(2) - 1); with s = f / (2 + f), log(1 + f) = f - f^2/2
// + s (f^2/2 + R), R = 2 atanh(s) / s - 2 = s^2 P(s^2) (FDLIBM e_log.c, Sun Microsystems 1993); coefficients
// of P: coefficients.py.
template <class Real>
struct LogConstants;

template <>
struct LogConstants<float> {
  using Unsigned = uint32_t;
  static constexpr int kTerms = 3;
  static constexpr float kTail[kTerms] = {0x1.2f013ep-2F, 0x1.997b96p-2F, 0x1.55555cp-1F};
  static constexpr uint32_t kOne = 0x3F800000U;
  static constexpr uint32_t kSqrtHalf = 0x3F3504F3U;
  static constexpr float kSmallest = 0x1p-126F;
  static constexpr float kLargest = 0x1.fffffep+127F;
};

template <>
struct LogConstants<double> {
  using Unsigned = uint64_t;
  static constexpr int kTerms = 7;
  static constexpr double kTail[kTerms] = {0x1.2b9f7fb3de73fp-3, 0x1.39f8963ccbdc2p-3, 0x1.7462e17b4cdd0p-3,
                                           0x1.c71c6247410e3p-3, 0x1.2492492e6dfddp-2, 0x1.9999999994e76p-2,
                                           0x1.5555555555558p-1};
  static constexpr uint64_t kOne = 0x3FF0000000000000U;
  static constexpr uint64_t kSqrtHalf = 0x3FE6A09E667F3BCDU;
  static constexpr double kSmallest = 0x1p-1022;
  static constexpr double kLargest = 0x1.fffffffffffffp+1023;
};

typedef uint32_t Vu32 __attribute__((vector_size(RNNFAST_VECTOR_BYTES)));
typedef uint64_t Vu64 __attribute__((vector_size(RNNFAST_VECTOR_BYTES)));
RNNFAST_INLINE Vu32 pattern(Vf v) { return reinterpret_cast<Vu32>(v); }
RNNFAST_INLINE Vu64 pattern(Vd v) { return reinterpret_cast<Vu64>(v); }
RNNFAST_INLINE Vf number(Vu32 v) { return reinterpret_cast<Vf>(v); }
RNNFAST_INLINE Vd number(Vu64 v) { return reinterpret_cast<Vd>(v); }

// log x, at most 1 ulp. Below the smallest normal number -inf, so that flushing denormals changes nothing;
// negative: NaN.
template <class Real>
RNNFAST_INLINE Vec<Real> log(Vec<Real> x) {
  using M = MathConstants<Real>;
  using L = LogConstants<Real>;
  constexpr auto kFraction = static_cast<typename L::Unsigned>((typename L::Unsigned(1) << M::kMantissa) - 1U);
  const auto shifted = pattern(x) + (L::kOne - L::kSqrtHalf);
  const Vec<Real> n = number((shifted >> M::kMantissa) + pattern(splat(M::kRound))) - splat(M::kRound + Real(M::kBias));
  const Vec<Real> f = number((shifted & kFraction) + L::kSqrtHalf) - splat(Real(1));
  const Vec<Real> s = f / (f + splat(Real(2)));
  const Vec<Real> z = s * s;
  const Vec<Real> half = splat(Real(0.5)) * f * f;
  const Vec<Real> low = fma(s, fma(z, horner(L::kTail, z), half), n * splat(M::kLn2Lo));
  const Vec<Real> y = fma(n, splat(M::kLn2Hi), f - (half - low));
  const Vec<Real> finite = x < splat(L::kSmallest) ? splat(-Real(__builtin_inf())) : y;
  const Vec<Real> positive = x < Vec<Real>{} ? splat(Real(__builtin_nan(""))) : finite;
  return x <= splat(L::kLargest) ? positive : x;
}

// log(1 + x) for x in [0, 1], at most 2 ulp: the rounding of 1 + x is corrected to first order.
template <class Real>
RNNFAST_INLINE Vec<Real> log1p(Vec<Real> x) {
  const Vec<Real> one = splat(Real(1));
  const Vec<Real> u = one + x;
  return log<Real>(u) + (x - (u - one)) / u;
}
}  // namespace rnnfast::RNNFAST_ISA
