// Loops that run at the machine's limits, for the benchmark and the cost model.
#pragma once
#include "../cpu/kernels.hpp"
#include "vec-inl.hpp"

namespace rnnfast::RNNFAST_ISA {

// Enough chains to hide the latency of a multiply-add; with its two factors they fit the registers.
constexpr int kFmaChains = kRegisters == 32 ? 24 : 12;
constexpr int kReadVectors = 8;

// Multiply-adds of whole vectors that never leave the registers; every chain converges to 2.
template <class Real>
static Real fma_rounds(Index rounds) {
  Vec<Real> acc[kFmaChains];
  const Vec<Real> half = splat(Real(0.5));
  const Vec<Real> one = splat(Real(1));
#pragma GCC unroll 24
  for (int i = 0; i < kFmaChains; ++i) acc[i] = splat(static_cast<Real>(i));
  for (Index round = 0; round < rounds; ++round) {
#pragma GCC unroll 24
    for (int i = 0; i < kFmaChains; ++i) acc[i] = fma(acc[i], half, one);
  }
  Vec<Real> sum = Vec<Real>{};
#pragma GCC unroll 24
  for (int i = 0; i < kFmaChains; ++i) sum += acc[i];
  return sum[0];
}

// Loads every vector of [data, data + n), n a multiple of kReadVectors * kLanes; the result only keeps the loads alive.
template <class Real>
static Real read_all(const Real* data, Index n) {
  IntVec<Real> acc[kReadVectors] = {};
  for (Index i = 0; i < n; i += kReadVectors * kLanes<Real>) {
#pragma GCC unroll 8
    for (int v = 0; v < kReadVectors; ++v) acc[v] |= bits(load(data + i + v * kLanes<Real>));
  }
#pragma GCC unroll 8
  for (int v = 1; v < kReadVectors; ++v) acc[0] |= acc[v];
  return real(acc[0])[0];
}

}  // namespace rnnfast::RNNFAST_ISA
