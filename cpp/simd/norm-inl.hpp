// Layer normalisation of a row (Ba et al. 2016) and its derivative. The variance divides by n, not by n - 1.
#pragma once
#include "activations-inl.hpp"
#include "reduce-inl.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class Real>
struct Moments {
  // scale: 1 / sqrt(variance + eps)
  Vec<Real> mean;
  Vec<Real> scale;
};

template <class Real>
RNNFAST_INLINE Vec<Real> mean_of(const Partials<Real>& partials, Index n) {
  return splat(sum<Real>(partials)) / splat(static_cast<Real>(n));
}

template <class Real>
RNNFAST_INLINE Moments<Real> moments(const Norm<Real>& norm, const Real* x) {
  Partials<Real> partials;
  fill<Real>(partials, Real(0));
  for_partials<Real>(norm.n, [&](int v, Index i, Index count)
                                 __attribute__((always_inline)) { partials[v] += load_first(x + i, count); });
  const Vec<Real> mean = mean_of<Real>(partials, norm.n);
  fill<Real>(partials, Real(0));
  for_partials<Real>(norm.n, [&](int v, Index i, Index count) __attribute__((always_inline)) {
    const Vec<Real> d = keep_first(load_first(x + i, count) - mean, count, Real(0));
    partials[v] = fma(d, d, partials[v]);
  });
  return {mean, splat(Real(1)) / square_root(mean_of<Real>(partials, norm.n) + splat(norm.eps))};
}

template <class Real>
RNNFAST_INLINE Vec<Real> gain(const Norm<Real>& norm, Index i, Index count) {
  return norm.gamma != nullptr ? load_first(norm.gamma + i, count) : splat(Real(1));
}

// gamma x^ + beta
template <class Real>
RNNFAST_INLINE Vec<Real> normalized(const Norm<Real>& norm, const Moments<Real>& m, const Real* x, Index i,
                                    Index count) {
  const Vec<Real> hat = (load_first(x + i, count) - m.mean) * m.scale;
  return fma(gain(norm, i, count), hat, norm.beta != nullptr ? load_first(norm.beta + i, count) : Vec<Real>{});
}

template <class Real>
static void normalize(const Norm<Real>& norm, const Real* x, Real* y) {
  const Moments<Real> m = moments(norm, x);
  for_vectors<Real>(norm.n, [&](Index i, Index count) __attribute__((always_inline)) {
    store_first(y + i, normalized(norm, m, x, i, count), count);
  });
}

// dx = (d - mean d - x^ mean(d x^)) / sqrt(variance + eps) with d = gamma dy. Nothing after the row's end is read.
// put(i, count, x^, dx) is called for each vector.
template <class Real, class Put>
RNNFAST_INLINE void through_norm(const Norm<Real>& norm, const Moments<Real>& m, const Real* x, const Real* dy,
                                 const Put& put) {
  Partials<Real> sums;
  Partials<Real> dots;
  fill<Real>(sums, Real(0));
  fill<Real>(dots, Real(0));
  for_partials<Real>(norm.n, [&](int v, Index i, Index count) __attribute__((always_inline)) {
    const Vec<Real> d = gain(norm, i, count) * load_first(dy + i, count);
    sums[v] += d;
    dots[v] = fma(d, (load_first(x + i, count) - m.mean) * m.scale, dots[v]);
  });
  const Vec<Real> mean = mean_of<Real>(sums, norm.n);
  const Vec<Real> dot = mean_of<Real>(dots, norm.n);
  for_vectors<Real>(norm.n, [&](Index i, Index count) __attribute__((always_inline)) {
    const Vec<Real> hat = (load_first(x + i, count) - m.mean) * m.scale;
    const Vec<Real> d = gain(norm, i, count) * load_first(dy + i, count);
    put(i, count, hat, (fma(-hat, dot, d) - mean) * m.scale);
  });
}

template <class Real>
static void normalize_back(const Norm<Real>& norm, Real* x, const Real* dy, Real* dx) {
  through_norm<Real>(norm, moments(norm, x), x, dy,
                     [&](Index i, Index count, Vec<Real> hat, Vec<Real> d) __attribute__((always_inline)) {
                       store_first(x + i, hat, count);
                       store_first(dx + i, d, count);
                     });
}

template <class Real>
static void normed_output(const NormedOutput<Real>& args) {
  const Moments<Real> m = moments(args.norm, args.c);
  for_vectors<Real>(args.norm.n, [&](Index i, Index count) __attribute__((always_inline)) {
    const Vec<Real> out = activate<Real>(args.options->h, normalized(args.norm, m, args.c, i, count));
    store_first(args.h + i, load_first(args.h + i, count) * out, count);
  });
}

template <class Real>
static void normed_output_back(const NormedOutputBack<Real>& args) {
  const Moments<Real> m = moments(args.norm, args.c);
  const auto& f = args.options->h;
  for_vectors<Real>(args.norm.n, [&](Index i, Index count) __attribute__((always_inline)) {
    const Vec<Real> out = activate<Real>(f, normalized(args.norm, m, args.c, i, count));
    const Vec<Real> dh = load_first(args.dh + i, count);
    store_first(args.d_o + i, dh * out, count);
    store_first(args.d_normed + i, dh * load_first(args.o + i, count) * d_activate<Real>(f, out), count);
  });
  through_norm<Real>(args.norm, m, args.c, args.d_normed,
                     [&](Index i, Index count, Vec<Real>, Vec<Real> d) __attribute__((always_inline)) {
                       const Vec<Real> past = args.cut ? Vec<Real>{} : load_first(args.dc + i, count);
                       store_first(args.dc + i, past + d, count);
                     });
}

}  // namespace rnnfast::RNNFAST_ISA
