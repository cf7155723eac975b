// Activations on vectors; docs/numerics.md lists their largest errors. exp: x = n ln2 + r, |r| <= ln2 / 2, e^x = 2^n
// (1 + p(r)), p = r + r^2 Q(r) (Cody, Waite 1980); coefficients: coefficients.py.
#pragma once
#include "vec-inl.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class Real>
struct MathConstants;

template <>
struct MathConstants<float> {
  static constexpr int kExpTerms = 5;
  static constexpr int kTanhTerms = 5;
  static constexpr float kExp[kExpTerms] = {0x1.6d16060000000p-10F, 0x1.12106c0000000p-7F, 0x1.5555160000000p-5F,
                                            0x1.5554d80000000p-3F, 0x1.0000000000000p-1F};
  static constexpr float kTanh[kTanhTerms] = {-0x1.b135380000000p-8F, 0x1.5d220e0000000p-6F, -0x1.b9a0440000000p-5F,
                                              0x1.110fea0000000p-3F, -0x1.5555540000000p-2F};
  static constexpr float kLog2e = 0x1.7154760000000p+0F;
  static constexpr float kLn2Hi = 0x1.6300000000000p-1F;
  static constexpr float kLn2Lo = -0x1.bd01060000000p-13F;
  static constexpr float kRound = 0x1.8p23F + 127;  // adding it rounds to an integer n, the low bits hold n + 127
  static constexpr float kExpLimit = 88.0F;         // below 127.5 ln2: 2^n stays finite; its inverse is denormal
  static constexpr int kMantissa = 23;
  static constexpr int kBias = 127;
};

template <>
struct MathConstants<double> {
  static constexpr int kExpTerms = 10;
  static constexpr int kTanhTerms = 11;
  static constexpr double kExp[kExpTerms] = {
      0x1.af3ce42b12b24p-26, 0x1.2894f52583578p-22, 0x1.71de0be2b5e96p-19, 0x1.a019b621f9d08p-16, 0x1.a01a01a83ba17p-13,
      0x1.6c16c1794e1dcp-10, 0x1.1111111110918p-7,  0x1.5555555553b6cp-5,  0x1.5555555555556p-3,  0x1.0000000000001p-1};
  static constexpr double kTanh[kTanhTerms] = {-0x1.59a834187ce22p-16, 0x1.64fd88e9900a5p-14,  -0x1.ec1091436eb2ap-13,
                                               0x1.34c5a8a996cd4p-11,  -0x1.7d97cfd138c28p-10, 0x1.d6d339333f329p-9,
                                               -0x1.226e32f00cf0cp-7,  0x1.664f487713373p-6,   -0x1.ba1ba1b9fec84p-5,
                                               0x1.1111111111032p-3,   -0x1.5555555555555p-2};
  static constexpr double kLog2e = 0x1.71547652b82fep+0;
  static constexpr double kLn2Hi = 0x1.62e42fef00000p-1;
  static constexpr double kLn2Lo = 0x1.473de6af278edp-34;
  static constexpr double kRound = 0x1.8p52 + 1023;
  static constexpr double kExpLimit = 709.0;
  static constexpr int kMantissa = 52;
  static constexpr int kBias = 1023;
};

template <class Real, int kTerms>
RNNFAST_INLINE Vec<Real> horner(const Real (&c)[kTerms], Vec<Real> x) {
  Vec<Real> p = splat(c[0]);
#pragma GCC unroll 16
  for (int i = 1; i < kTerms; ++i) p = fma(p, x, splat(c[i]));
  return p;
}

// e^(sign x) = scale (1 + p); x within +-kExpLimit.
template <class Real>
struct ExpParts {
  Vec<Real> scale;
  Vec<Real> p;
};

template <class Real, int kSign = 1>
RNNFAST_INLINE ExpParts<Real> exp_parts(Vec<Real> x) {
  using M = MathConstants<Real>;
  const Vec<Real> shifted = fma(x, splat(kSign * M::kLog2e), splat(M::kRound));
  const Vec<Real> n = shifted - splat(M::kRound);
  const Vec<Real> r = fma(n, splat(-M::kLn2Lo), fma(n, splat(-M::kLn2Hi), kSign < 0 ? -x : x));
  const Vec<Real> scale = real(bits(shifted) << M::kMantissa);
  return {scale, fma(r * r, horner(M::kExp, r), r)};
}

// e^x, at most 1.1 ulp; 0 below -kExpLimit, NaN stays NaN, above +kExpLimit the value at the limit.
template <class Real>
RNNFAST_INLINE Vec<Real> exp(Vec<Real> x) {
  using M = MathConstants<Real>;
  const ExpParts<Real> e = exp_parts<Real>(max(min(x, splat(M::kExpLimit)), splat(-M::kExpLimit)));
  const Vec<Real> y = e.scale * (splat(Real(1)) + e.p);  // scale p could be denormal
  return x < splat(-M::kExpLimit) ? Vec<Real>{} : y;
}

// 1 / (1 + e^-x) = 1 / (s + (s p + 1)).
template <class Real>
RNNFAST_INLINE Vec<Real> sigmoid(Vec<Real> x) {
  using M = MathConstants<Real>;
  const Vec<Real> one = splat(Real(1));
  const ExpParts<Real> e = exp_parts<Real, -1>(max(min(x, splat(M::kExpLimit)), splat(-M::kExpLimit)));
  return one / (e.scale + fma(e.scale, e.p, one));
}

// x + x^3 P(x^2) below 0.55, 1 - 2 / (1 + e^2|x|) above; odd in x to the bit.
template <class Real>
RNNFAST_INLINE Vec<Real> tanh(Vec<Real> x) {
  using M = MathConstants<Real>;
  const Vec<Real> one = splat(Real(1));
  const Vec<Real> a = abs(x);
  const Vec<Real> doubled = min(a + a, splat(Real(0.5) * M::kExpLimit));
  const ExpParts<Real> e = exp_parts<Real>(doubled);
  const Vec<Real> large = one - splat(Real(2)) / (e.scale + fma(e.scale, e.p, one));
  const Vec<Real> z = x * x;
  const Vec<Real> small = fma(x * z, horner(M::kTanh, z), x);
  return a < splat(Real(0.55)) ? small : with_sign(large, x);
}

// Derivatives as functions of the outputs.
template <class Real>
RNNFAST_INLINE Vec<Real> d_sigmoid(Vec<Real> y) {
  return y * (splat(Real(1)) - y);
}
template <class Real>
RNNFAST_INLINE Vec<Real> d_tanh(Vec<Real> y) {
  return fma(-y, y, splat(Real(1)));
}

}  // namespace rnnfast::RNNFAST_ISA
