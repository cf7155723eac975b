// The vector types: GNU vector extensions, one width an ISA.
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
