// AVX2 with FMA: x86-64-v3.
#pragma once
#include <immintrin.h>

namespace rnnfast::RNNFAST_ISA {

constexpr int kRegisters = 16;
constexpr bool kSlowIsFine = false;

RNNFAST_INLINE Vf splat(float a) { return _mm256_set1_ps(a); }
RNNFAST_INLINE Vd splat(double a) { return _mm256_set1_pd(a); }
RNNFAST_INLINE Vf fma(Vf a, Vf b, Vf c) { return _mm256_fmadd_ps(a, b, c); }
RNNFAST_INLINE Vd fma(Vd a, Vd b, Vd c) { return _mm256_fmadd_pd(a, b, c); }
RNNFAST_INLINE float fma_of(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
RNNFAST_INLINE double fma_of(double a, double b, double c) { return __builtin_fma(a, b, c); }
RNNFAST_INLINE __m256i first_lanes32(int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
RNNFAST_INLINE __m256i first_lanes64(int64_t n) {
  return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
}
// load() into a register. GCC would read the vector again in each fma that it is an operand of, which doubles the loads
// of a tile of few rows.
template <class Real>
RNNFAST_INLINE Vec<Real> loaded_once(const Real* p) {
  Vec<Real> v = load(p);
  asm("" : "+v"(v));
  return v;
}
RNNFAST_INLINE Vf load_partial(const float* p, int64_t n) { return _mm256_maskload_ps(p, first_lanes32(n)); }
RNNFAST_INLINE Vd load_partial(const double* p, int64_t n) { return _mm256_maskload_pd(p, first_lanes64(n)); }
RNNFAST_INLINE void store_partial(float* p, Vf v, int64_t n) { _mm256_maskstore_ps(p, first_lanes32(n), v); }
RNNFAST_INLINE void store_partial(double* p, Vd v, int64_t n) { _mm256_maskstore_pd(p, first_lanes64(n), v); }

RNNFAST_INLINE Vf min(Vf a, Vf b) { return _mm256_min_ps(b, a); }
RNNFAST_INLINE Vd min(Vd a, Vd b) { return _mm256_min_pd(b, a); }
RNNFAST_INLINE Vf max(Vf a, Vf b) { return _mm256_max_ps(b, a); }
RNNFAST_INLINE Vd max(Vd a, Vd b) { return _mm256_max_pd(b, a); }

template <class Mask>
RNNFAST_INLINE bool any(Mask m) {
  return _mm256_testz_si256(reinterpret_cast<__m256i>(m), reinterpret_cast<__m256i>(m)) == 0;
}

RNNFAST_INLINE Vf square_root(Vf v) { return _mm256_sqrt_ps(v); }
RNNFAST_INLINE Vd square_root(Vd v) { return _mm256_sqrt_pd(v); }

}  // namespace rnnfast::RNNFAST_ISA
