// One vector type for every ISA: GNU vector extensions, with intrinsics only where the extensions have no word for it
// (fused multiply-add, masked access). Every operation here is exact or correctly rounded, so that ISAs with fma agree
// bit for bit.
#pragma once
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

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

// 16 registers on SSE2 and AVX2, 32 on AVX-512 and NEON.
#if defined(__AVX512F__) || defined(__ARM_NEON)
constexpr int kRegisters = 32;
#else
constexpr int kRegisters = 16;
#endif

// Where there is no fused multiply-add the kernels need only be right: the cells of the papers are then those of any
// activations, and tiles are small.
#if defined(__AVX2__) || defined(__ARM_NEON)
constexpr bool kOnlyRight = false;
#else
constexpr bool kOnlyRight = true;
#endif

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

#if defined(__AVX512F__)
RNNFAST_INLINE Vf splat(float a) { return _mm512_set1_ps(a); }
RNNFAST_INLINE Vd splat(double a) { return _mm512_set1_pd(a); }
RNNFAST_INLINE Vf fma(Vf a, Vf b, Vf c) { return _mm512_fmadd_ps(a, b, c); }
RNNFAST_INLINE Vd fma(Vd a, Vd b, Vd c) { return _mm512_fmadd_pd(a, b, c); }
RNNFAST_INLINE Vf load_partial(const float* p, int64_t n) {
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1U << n) - 1U), p);
}
RNNFAST_INLINE Vd load_partial(const double* p, int64_t n) {
  return _mm512_maskz_loadu_pd(static_cast<__mmask8>((1U << n) - 1U), p);
}
RNNFAST_INLINE void store_partial(float* p, Vf v, int64_t n) {
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1U << n) - 1U), v);
}
RNNFAST_INLINE void store_partial(double* p, Vd v, int64_t n) {
  _mm512_mask_storeu_pd(p, static_cast<__mmask8>((1U << n) - 1U), v);
}
#elif defined(__AVX2__)
RNNFAST_INLINE Vf splat(float a) { return _mm256_set1_ps(a); }
RNNFAST_INLINE Vd splat(double a) { return _mm256_set1_pd(a); }
RNNFAST_INLINE Vf fma(Vf a, Vf b, Vf c) { return _mm256_fmadd_ps(a, b, c); }
RNNFAST_INLINE Vd fma(Vd a, Vd b, Vd c) { return _mm256_fmadd_pd(a, b, c); }
RNNFAST_INLINE __m256i first_lanes32(int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
RNNFAST_INLINE __m256i first_lanes64(int64_t n) {
  return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
}
RNNFAST_INLINE Vf load_partial(const float* p, int64_t n) { return _mm256_maskload_ps(p, first_lanes32(n)); }
RNNFAST_INLINE Vd load_partial(const double* p, int64_t n) { return _mm256_maskload_pd(p, first_lanes64(n)); }
RNNFAST_INLINE void store_partial(float* p, Vf v, int64_t n) { _mm256_maskstore_ps(p, first_lanes32(n), v); }
RNNFAST_INLINE void store_partial(double* p, Vd v, int64_t n) { _mm256_maskstore_pd(p, first_lanes64(n), v); }
#else
template <class Real>
RNNFAST_INLINE Vec<Real> splat_of(Real a) {
  Vec<Real> v;
  for (int i = 0; i < kLanes<Real>; ++i) v[i] = a;
  return v;
}
RNNFAST_INLINE Vf splat(float a) { return splat_of(a); }
RNNFAST_INLINE Vd splat(double a) { return splat_of(a); }
#if defined(__ARM_NEON)
RNNFAST_INLINE Vf fma(Vf a, Vf b, Vf c) { return vfmaq_f32(c, a, b); }
RNNFAST_INLINE Vd fma(Vd a, Vd b, Vd c) { return vfmaq_f64(c, a, b); }
#else
// SSE2 has no fused multiply-add; a libm call a lane would be exact and useless.
RNNFAST_INLINE Vf fma(Vf a, Vf b, Vf c) { return a * b + c; }
RNNFAST_INLINE Vd fma(Vd a, Vd b, Vd c) { return a * b + c; }
#endif
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
#endif

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

// min and max keep a NaN of the first argument; abs clears the sign bit; with_sign is for y >= 0.
// (GCC 12 warns inside its own header of the forms without a mask; with all lanes set they are the same instruction.)
#if defined(__AVX512F__)
RNNFAST_INLINE Vf min(Vf a, Vf b) { return _mm512_maskz_min_ps(0xFFFF, b, a); }
RNNFAST_INLINE Vd min(Vd a, Vd b) { return _mm512_maskz_min_pd(0xFF, b, a); }
RNNFAST_INLINE Vf max(Vf a, Vf b) { return _mm512_maskz_max_ps(0xFFFF, b, a); }
RNNFAST_INLINE Vd max(Vd a, Vd b) { return _mm512_maskz_max_pd(0xFF, b, a); }
#elif defined(__AVX2__)
RNNFAST_INLINE Vf min(Vf a, Vf b) { return _mm256_min_ps(b, a); }
RNNFAST_INLINE Vd min(Vd a, Vd b) { return _mm256_min_pd(b, a); }
RNNFAST_INLINE Vf max(Vf a, Vf b) { return _mm256_max_ps(b, a); }
RNNFAST_INLINE Vd max(Vd a, Vd b) { return _mm256_max_pd(b, a); }
#else
RNNFAST_INLINE Vf min(Vf a, Vf b) { return a > b ? b : a; }
RNNFAST_INLINE Vd min(Vd a, Vd b) { return a > b ? b : a; }
RNNFAST_INLINE Vf max(Vf a, Vf b) { return a < b ? b : a; }
RNNFAST_INLINE Vd max(Vd a, Vd b) { return a < b ? b : a; }
#endif
// Whether any lane of a comparison's result is set.
#if defined(__AVX512F__)
template <class Mask>
RNNFAST_INLINE bool any(Mask m) {
  return _mm512_test_epi32_mask(reinterpret_cast<__m512i>(m), reinterpret_cast<__m512i>(m)) != 0;
}
#elif defined(__AVX2__)
template <class Mask>
RNNFAST_INLINE bool any(Mask m) {
  return _mm256_testz_si256(reinterpret_cast<__m256i>(m), reinterpret_cast<__m256i>(m)) == 0;
}
#else
template <class Mask>
RNNFAST_INLINE bool any(Mask m) {
  int64_t words[sizeof(Mask) / sizeof(int64_t)], all = 0;
  memcpy(words, &m, sizeof(m));
  for (const int64_t word : words) all |= word;
  return all != 0;
}
#endif
RNNFAST_INLINE Vf abs(Vf v) { return real(bits(v) & INT32_MAX); }
RNNFAST_INLINE Vd abs(Vd v) { return real(bits(v) & INT64_MAX); }
RNNFAST_INLINE Vf with_sign(Vf y, Vf x) { return real(bits(y) | (bits(x) & INT32_MIN)); }
RNNFAST_INLINE Vd with_sign(Vd y, Vd x) { return real(bits(y) | (bits(x) & INT64_MIN)); }

#if defined(__AVX512F__)
// The forms with a mask, all ones: GCC 12 warns of the undefined operand inside the plain ones.
RNNFAST_INLINE Vf square_root(Vf v) { return _mm512_maskz_sqrt_ps(0xFFFF, v); }
RNNFAST_INLINE Vd square_root(Vd v) { return _mm512_maskz_sqrt_pd(0xFF, v); }
#elif defined(__AVX2__)
RNNFAST_INLINE Vf square_root(Vf v) { return _mm256_sqrt_ps(v); }
RNNFAST_INLINE Vd square_root(Vd v) { return _mm256_sqrt_pd(v); }
#elif defined(__SSE2__)
RNNFAST_INLINE Vf square_root(Vf v) { return _mm_sqrt_ps(v); }
RNNFAST_INLINE Vd square_root(Vd v) { return _mm_sqrt_pd(v); }
#elif defined(__ARM_NEON)
RNNFAST_INLINE Vf square_root(Vf v) { return vsqrtq_f32(v); }
RNNFAST_INLINE Vd square_root(Vd v) { return vsqrtq_f64(v); }
#else
RNNFAST_INLINE Vf square_root(Vf v) {
  for (int i = 0; i < kLanes<float>; ++i) v[i] = __builtin_sqrtf(v[i]);
  return v;
}
RNNFAST_INLINE Vd square_root(Vd v) {
  for (int i = 0; i < kLanes<double>; ++i) v[i] = __builtin_sqrt(v[i]);
  return v;
}
#endif

}  // namespace rnnfast::RNNFAST_ISA
