// NEON, which every aarch64 processor has.
#pragma once
#include <arm_neon.h>

#include "vec_portable-inl.hpp"

namespace rnnfast::RNNFAST_ISA {

constexpr int kRegisters = 32;
constexpr bool kSlowIsFine = false;

RNNFAST_INLINE Vf fma(Vf a, Vf b, Vf c) { return vfmaq_f32(c, a, b); }
RNNFAST_INLINE Vd fma(Vd a, Vd b, Vd c) { return vfmaq_f64(c, a, b); }
RNNFAST_INLINE float fma_of(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
RNNFAST_INLINE double fma_of(double a, double b, double c) { return __builtin_fma(a, b, c); }

RNNFAST_INLINE Vf square_root(Vf v) { return vsqrtq_f32(v); }
RNNFAST_INLINE Vd square_root(Vd v) { return vsqrtq_f64(v); }

}  // namespace rnnfast::RNNFAST_ISA
