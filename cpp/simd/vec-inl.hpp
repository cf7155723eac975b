// One vector type for every ISA: GNU vector extensions, with intrinsics only where the extensions have no word for it.
// Every operation here is exact or correctly rounded, so that ISAs with fma agree bit for bit. The header of an ISA,
// which CMake chooses (RNNFAST_VEC_HEADER) and only this file includes, defines
//   kRegisters                   the number of vector registers
//   kSlowIsFine                  true without fused multiply-add, where the kernels need only be right: the cells of
//   the
//                                papers are those with any activations, and tiles are small
//   splat, fma, square_root
//   fma_of                       fma of single numbers, as one lane of fma
//   loaded_once                  a vector from memory, for several uses
//   load_partial, store_partial  the first n < kLanes numbers; the rest of the vector is zero, the rest of the memory
//                                untouched
//   min, max                     a NaN of the first argument is kept
//   any                          whether any lane of a comparison's result is set
#pragma once
#include <stdint.h>
#include <string.h>

#define RNNFAST_INLINE static inline __attribute__((always_inline))
#define RNNFAST_INLINE_MEMBER inline __attribute__((always_inline))
#define RNNFAST_NOINLINE static __attribute__((noinline))

namespace rnnfast::RNNFAST_ISA {

typedef float Vf __attribute__((vector_size(RNNFAST_VECTOR_BYTES)));
typedef double Vd __attribute__((vector_size(RNNFAST_VECTOR_BYTES)));
typedef int32_t Vi32 __attribute__((vector_size(RNNFAST_VECTOR_BYTES)));
typedef int64_t Vi64 __attribute__((vector_size(RNNFAST_VECTOR_BYTES)));

template <class Real>
struct VecOf;
template <>
struct VecOf<float> {
  using V = Vf;
  using I = Vi32;
  using Int = int32_t;
};
template <>
struct VecOf<double> {
  using V = Vd;
  using I = Vi64;
  using Int = int64_t;
};
template <class Real>
using Vec = typename VecOf<Real>::V;
template <class Real>
using IntVec = typename VecOf<Real>::I;

template <class Real>
constexpr int kLanes = RNNFAST_VECTOR_BYTES / static_cast<int>(sizeof(Real));

template <class Real>
RNNFAST_INLINE Vec<Real> load(const Real* p) {
  Vec<Real> v;
  memcpy(&v, p, sizeof(v));
  return v;
}
template <class Real>
RNNFAST_INLINE void store(Real* p, Vec<Real> v) {
  memcpy(p, &v, sizeof(v));
}

}  // namespace rnnfast::RNNFAST_ISA

#include RNNFAST_VEC_HEADER

namespace rnnfast::RNNFAST_ISA {

// The first n of kLanes numbers; the rest of the vector is zero, the rest of the memory untouched.
template <class Real>
RNNFAST_INLINE Vec<Real> load_first(const Real* p, int64_t n) {
  return n >= kLanes<Real> ? load(p) : load_partial(p, n);
}
template <class Real>
RNNFAST_INLINE void store_first(Real* p, Vec<Real> v, int64_t n) {
  if (n >= kLanes<Real>)
    store(p, v);
  else
    store_partial(p, v, n);
}

RNNFAST_INLINE Vi32 bits(Vf v) {
  Vi32 i;
  memcpy(&i, &v, sizeof(i));
  return i;
}
RNNFAST_INLINE Vi64 bits(Vd v) {
  Vi64 i;
  memcpy(&i, &v, sizeof(i));
  return i;
}
RNNFAST_INLINE Vf real(Vi32 i) {
  Vf v;
  memcpy(&v, &i, sizeof(v));
  return v;
}
RNNFAST_INLINE Vd real(Vi64 i) {
  Vd v;
  memcpy(&v, &i, sizeof(v));
  return v;
}

// The numbers of a, then those of b, picked by i, which is known to the compiler.
#ifdef __clang__
template <class V, class I>
RNNFAST_INLINE V picked(V a, V b, I i) {
  constexpr int n = static_cast<int>(sizeof(V) / sizeof(a[0]));
  V v;
  for (int lane = 0; lane < n; ++lane) v[lane] = i[lane] < n ? a[i[lane]] : b[i[lane] - n];
  return v;
}
RNNFAST_INLINE Vf shuffle(Vf a, Vf b, Vi32 i) { return picked(a, b, i); }
RNNFAST_INLINE Vd shuffle(Vd a, Vd b, Vi64 i) { return picked(a, b, i); }
#else
RNNFAST_INLINE Vf shuffle(Vf a, Vf b, Vi32 i) { return __builtin_shuffle(a, b, i); }
RNNFAST_INLINE Vd shuffle(Vd a, Vd b, Vi64 i) { return __builtin_shuffle(a, b, i); }
#endif

// abs clears the sign bit; with_sign is for y >= 0.
RNNFAST_INLINE Vf abs(Vf v) { return real(bits(v) & INT32_MAX); }
RNNFAST_INLINE Vd abs(Vd v) { return real(bits(v) & INT64_MAX); }
RNNFAST_INLINE Vf with_sign(Vf y, Vf x) { return real(bits(y) | (bits(x) & INT32_MIN)); }
RNNFAST_INLINE Vd with_sign(Vd y, Vd x) { return real(bits(y) | (bits(x) & INT64_MIN)); }

template <class Real, int kDistance>
RNNFAST_INLINE void exchange(Vec<Real> (&v)[kLanes<Real>]) {
  IntVec<Real> first;
  IntVec<Real> second;
#pragma GCC unroll 16
  for (int i = 0; i < kLanes<Real>; ++i) {
    first[i] = (i & kDistance) != 0 ? kLanes<Real> + i - kDistance : i;
    second[i] = (i & kDistance) != 0 ? kLanes<Real> + i : i + kDistance;
  }
#pragma GCC unroll 16
  for (int i = 0; i < kLanes<Real>; ++i) {
    if ((i & kDistance) != 0) continue;
    const Vec<Real> a = v[i];
    v[i] = shuffle(a, v[i + kDistance], first);
    v[i + kDistance] = shuffle(a, v[i + kDistance], second);
  }
}

// Number j of vector i becomes number i of vector j.
template <class Real, int kDistance = kLanes<Real> / 2>
RNNFAST_INLINE void transpose(Vec<Real> (&v)[kLanes<Real>]) {
  exchange<Real, kDistance>(v);
  if constexpr (kDistance > 1) transpose<Real, kDistance / 2>(v);
}

}  // namespace rnnfast::RNNFAST_ISA
