// The compiler's own vectors, for every machine.
#pragma once
#include "vec_portable-inl.hpp"

namespace rnnfast::RNNFAST_ISA {

constexpr int kRegisters = 16;
constexpr bool kSlowIsFine = true;

// No fused multiply-add is promised; a libm call a lane would be exact and useless.
RNNFAST_INLINE Vf fma(Vf a, Vf b, Vf c) { return a * b + c; }
RNNFAST_INLINE Vd fma(Vd a, Vd b, Vd c) { return a * b + c; }
RNNFAST_INLINE float fma_of(float a, float b, float c) { return a * b + c; }
RNNFAST_INLINE double fma_of(double a, double b, double c) { return a * b + c; }

RNNFAST_INLINE Vf square_root(Vf v) {
  for (int i = 0; i < kLanes<float>; ++i) v[i] = __builtin_sqrtf(v[i]);
  return v;
}
RNNFAST_INLINE Vd square_root(Vd v) {
  for (int i = 0; i < kLanes<double>; ++i) v[i] = __builtin_sqrt(v[i]);
  return v;
}

}  // namespace rnnfast::RNNFAST_ISA
