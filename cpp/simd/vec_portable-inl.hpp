// Operations in the words of the vector extensions alone, for ISAs without an instruction of their own for them.
#pragma once

namespace rnnfast::RNNFAST_ISA {

template <class Real>
RNNFAST_INLINE Vec<Real> splat_of(Real a) {
  Vec<Real> v;
  for (int i = 0; i < kLanes<Real>; ++i) v[i] = a;
  return v;
}
RNNFAST_INLINE Vf splat(float a) { return splat_of(a); }
RNNFAST_INLINE Vd splat(double a) { return splat_of(a); }

template <class Real>
RNNFAST_INLINE Vec<Real> loaded_once(const Real* p) {
  return load(p);
}
template <class Real>
RNNFAST_NOINLINE Vec<Real> load_partial(const Real* p, int64_t n) {
  Vec<Real> v = Vec<Real>{};
  for (int i = 0; i < kLanes<Real>; ++i)
    if (i < n) v[i] = p[i];
  return v;
}
template <class Real>
RNNFAST_NOINLINE void store_partial(Real* p, Vec<Real> v, int64_t n) {
  for (int i = 0; i < kLanes<Real>; ++i)
    if (i < n) p[i] = v[i];
}

RNNFAST_INLINE Vf min(Vf a, Vf b) { return a > b ? b : a; }
RNNFAST_INLINE Vd min(Vd a, Vd b) { return a > b ? b : a; }
RNNFAST_INLINE Vf max(Vf a, Vf b) { return a < b ? b : a; }
RNNFAST_INLINE Vd max(Vd a, Vd b) { return a < b ? b : a; }

template <class Mask>
RNNFAST_INLINE bool any(Mask m) {
  int64_t words[sizeof(Mask) / sizeof(int64_t)];
  int64_t all = 0;
  memcpy(words, &m, sizeof(m));
  for (const int64_t word : words) all |= word;
  return all != 0;
}

}  // namespace rnnfast::RNNFAST_ISA
