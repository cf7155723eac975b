// Random numbers as functions of a row's key and a unit's index: masks and noise that are never stored.
#pragma once
#include "../cpu/kernels.hpp"
#include "log-inl.hpp"

namespace rnnfast::RNNFAST_ISA {

// lowbias32 (Wellons 2018) of the index under the row's keys.
RNNFAST_INLINE uint32_t hash_of(Index i, const DropoutKey& key) {
  uint32_t hash = static_cast<uint32_t>(i) * 0x9E3779B9U + key.row[0];
  hash = (hash ^ (hash >> 16)) * 0x7FEB352DU;
  hash = (hash ^ (hash >> 15) ^ key.row[1]) * 0x846CA68BU;
  return hash ^ (hash >> 16);
}

template <class Real>
static void dropout(Index n, const Real* x, Real* y, DropoutKey key, Real scale) {
  for (Index i = 0; i < n; ++i) y[i] = hash_of(i, key) < key.threshold ? Real(0) : x[i] * scale;
}

template <class Real, int kTerms>
RNNFAST_INLINE Vec<Real> polynomial(const float (&c)[kTerms], Vec<Real> x) {
  Vec<Real> p = splat(static_cast<Real>(c[0]));
#pragma GCC unroll 16
  for (int i = 1; i < kTerms; ++i) p = fma(p, x, splat(static_cast<Real>(c[i])));
  return p;
}

// sqrt(2) erfinv(x) for -1 < x < 1, to a relative error of 5e-7: the normal quantile of a uniform x. The centre is a
// rational approximation in r = 1 - x^2, whose coefficients have one sign, so that nothing cancels. Few vectors reach
// the tails (Giles 2010).
template <class Real>
RNNFAST_INLINE Vec<Real> normal_quantile(Vec<Real> x) {
  constexpr float kAbove[] = {516547.156F, 6498712.0F, 8303134.5F, 2198506.25F, 138409.953F, 1905.65454F, 3.75042701F};
  constexpr float kBelow[] = {1263422.12F, 6371013.5F, 5330067.0F, 1068845.12F, 54450.2148F, 623.544373F, 1.0F};
  constexpr float kTail[] = {-0.000200214257F, 0.000100950558F, 0.00134934322F, -0.00367342844F, 0.00573950773F,
                             -0.0076224613F,   0.00943887047F,  1.00167406F,    2.83297682F};
  const Vec<Real> one = splat(Real(1));
  const Vec<Real> r = (one - x) * (one + x);
  const Vec<Real> centre = x * (polynomial<Real>(kAbove, r) / polynomial<Real>(kBelow, r));
  const IntVec<Real> far = r < splat(Real(0.00674));
  if (!any(far)) return centre;
  const Vec<Real> tail = polynomial<Real>(kTail, square_root(-log<Real>(r)) - splat(Real(3)));
  return far ? splat(Real(1.41421356237309504880)) * x * tail : centre;
}

// y[i] += scale times a normally distributed number; the same numbers in both types, up to rounding.
template <class Real>
static void add_noise(Index n, Real* y, DropoutKey key, Real scale) {
  for (Index i = 0; i < n; i += kLanes<Real>) {
    alignas(64) Real x[kLanes<Real>];
    for (int lane = 0; lane < kLanes<Real>; ++lane) {
      // An odd number of 24 bits: exact, and never +-1.
      const int32_t odd = static_cast<int32_t>(hash_of(i + lane, key) >> 9) * 2 + 1 - (1 << 23);
      x[lane] = static_cast<Real>(odd) * static_cast<Real>(0x1p-23);
    }
    store_first(y + i, fma(splat(scale), normal_quantile<Real>(load(x)), load_first(y + i, n - i)), n - i);
  }
}

}  // namespace rnnfast::RNNFAST_ISA
