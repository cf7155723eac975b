// AVX-512: x86-64-v4. GCC 12 warns inside its own header of the undefined operand of the forms without a mask; with all
// lanes set they are the same instruction.
#pragma once
#include <immintrin.h>

namespace rnnfast::RNNFAST_ISA {

constexpr int kRegisters = 32;
constexpr bool kSlowIsFine = false;

RNNFAST_INLINE Vf splat(float a) { return _mm512_set1_ps(a); }
RNNFAST_INLINE Vd splat(double a) { return _mm512_set1_pd(a); }
RNNFAST_INLINE Vf fma(Vf a, Vf b, Vf c) { return _mm512_fmadd_ps(a, b, c); }
RNNFAST_INLINE Vd fma(Vd a, Vd b, Vd c) { return _mm512_fmadd_pd(a, b, c); }
RNNFAST_INLINE float fma_of(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
RNNFAST_INLINE double fma_of(double a, double b, double c) { return __builtin_fma(a, b, c); }
// load() into a register. GCC would read the vector again in each fma that it is an operand of, which doubles the loads
// of a tile of few rows.
template <class Real>
RNNFAST_INLINE Vec<Real> loaded_once(const Real* p) {
  Vec<Real> v = load(p);
  asm("" : "+v"(v));
  return v;
}
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

RNNFAST_INLINE Vf min(Vf a, Vf b) { return _mm512_maskz_min_ps(0xFFFF, b, a); }
RNNFAST_INLINE Vd min(Vd a, Vd b) { return _mm512_maskz_min_pd(0xFF, b, a); }
RNNFAST_INLINE Vf max(Vf a, Vf b) { return _mm512_maskz_max_ps(0xFFFF, b, a); }
RNNFAST_INLINE Vd max(Vd a, Vd b) { return _mm512_maskz_max_pd(0xFF, b, a); }

template <class Mask>
RNNFAST_INLINE bool any(Mask m) {
  return _mm512_test_epi32_mask(reinterpret_cast<__m512i>(m), reinterpret_cast<__m512i>(m)) != 0;
}

RNNFAST_INLINE Vf square_root(Vf v) { return _mm512_maskz_sqrt_ps(0xFFFF, v); }
RNNFAST_INLINE Vd square_root(Vd v) { return _mm512_maskz_sqrt_pd(0xFF, v); }

}  // namespace rnnfast::RNNFAST_ISA
