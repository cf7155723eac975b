// Loops over a row of numbers, and sums over it that have the same bits at every vector width: number i goes
// to partial sum i % 16, and one fixed tree adds these up.
#pragma once
#include "../base/dims.hpp"
#include "vec-inl.hpp"

namespace rnnfast::RNNFAST_ISA {

// body(i, count) for the numbers i .. i + count - 1 of one vector.
template <class Real, class Body>
RNNFAST_INLINE void for_vectors(Index n, const Body& body) {
  constexpr Index kWidth = kLanes<Real>;
  Index i = 0;
  for (; i + kWidth <= n; i += kWidth) body(i, kWidth);
  if (i < n) body(i, n - i);
}

constexpr int kPartials = 16;
template <class Real>
constexpr int kPartialVectors = kPartials / kLanes<Real>;

template <class Real>
using Partials = Vec<Real>[kPartialVectors<Real>];

// body(v, i, count) for the numbers i .. i + count - 1, all of partial vector v.
template <class Real, class Body>
RNNFAST_INLINE void for_partials(Index n, const Body& body) {
  constexpr Index kWidth = kLanes<Real>;
  Index i = 0;
  for (; i + kPartials <= n; i += kPartials) {
#pragma GCC unroll 16
    for (int v = 0; v < kPartialVectors<Real>; ++v) body(v, i + v * kWidth, kWidth);
  }
#pragma GCC unroll 16
  for (int v = 0; v < kPartialVectors<Real>; ++v) {
    const Index at = i + v * kWidth;
    if (at < n) body(v, at, n - at < kWidth ? n - at : kWidth);
  }
}

// partials[0] combined with the others: 0 with 8, 1 with 9, ..., then 0 with 4, ..., 0 with 2, 0 with 1.
template <class Real, class Combine>
RNNFAST_INLINE Real fold(const Partials<Real>& partials, const Combine& combine) {
  alignas(64) Real all[kPartials];
#pragma GCC unroll 16
  for (int v = 0; v < kPartialVectors<Real>; ++v) store(all + v * kLanes<Real>, partials[v]);
#pragma GCC unroll 4
  for (int half = kPartials / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < half; ++i) all[i] = combine(all[i], all[i + half]);
  }
  return all[0];
}

template <class Real>
RNNFAST_INLINE Real sum(const Partials<Real>& partials) {
  return fold<Real>(partials, [](Real a, Real b) { return a + b; });
}

template <class Real>
RNNFAST_INLINE void fill(Partials<Real>& partials, Real value) {
#pragma GCC unroll 16
  for (int v = 0; v < kPartialVectors<Real>; ++v) partials[v] = splat(value);
}

// The first n lanes of v; `rest` in the others.
template <class Real>
RNNFAST_INLINE Vec<Real> keep_first(Vec<Real> v, Index n, Real rest) {
  if (n >= kLanes<Real>) return v;
  using Int = typename VecOf<Real>::Int;
  IntVec<Real> lane;
#pragma GCC unroll 16
  for (int i = 0; i < kLanes<Real>; ++i) lane[i] = i;
  return lane < static_cast<Int>(n) ? v : splat(rest);
}

}  // namespace rnnfast::RNNFAST_ISA
