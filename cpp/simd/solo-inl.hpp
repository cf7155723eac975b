// A forward step of one row, the cell on accumulators that never leave the registers. Two panels of units stand side by
// side, because one alone is too few chains to fill the machine; four chains of 64 bytes, though, take what L2 gives,
// and where panels come from there, a step that turns around at a single one finds more of them in L1.
#pragma once
#include "cells-inl.hpp"
#include "gemm-inl.hpp"
#include "walk-inl.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class Real>
RNNFAST_INLINE ForwardUnit<Real> forward_row(const ForwardArgs<Real>& args, const RowRef& ref) {
  ForwardUnit<Real> m;
  m.u = at(args.u, ref.row, ref.n, ref.t);
  m.h = at(args.y, ref.row, ref.n, ref.t);
  m.h_prev = before(args.y, args.walk, ref, args.h0, args.H, args.zero);
  m.aux = at(args.aux, ref.row, ref.n, ref.t);
  m.aux_prev = before(args.aux, args.walk, ref, args.c0, args.H, args.zero);
  m.zones = args.zone.data != nullptr ? at(args.zone, ref.row, ref.n, ref.t) : nullptr;
  m.H = args.H, m.n = args.H, m.save = args.save, m.options = args.options;
  return m;
}

template <class Real>
RNNFAST_INLINE ForwardUnit<Real> units_from(ForwardUnit<Real> m, Index unit) {
  m.u += unit, m.h += unit, m.h_prev += unit, m.aux += unit, m.aux_prev += unit, m.n -= unit;
  return m;
}

template <class Real, class Stage>
RNNFAST_INLINE const Real* forward_operand(const ForwardArgs<Real>& args, const RowRef& ref) {
  if constexpr (Stage::kOperand == Operand::kAux) return at(args.aux, ref.row, ref.n, ref.t);
  return before(args.fed, args.walk, ref, args.fed0, args.P, args.zero);
}

template <class Real, class Stage, int kPanels, int kBlocks>
RNNFAST_NOINLINE void solo_panels(const ForwardArgs<Real>& args, const Real* operand, const ForwardUnit<Real>& row,
                                  Index panel) {
  constexpr int G = Stage::kGates, NV = kBlocks * G, kFull = kMaxVectors / G;
  constexpr Index kWidth = kFull * G * kLanes<Real>;
  const Index inner = args.P, stride = inner * kWidth;
  const Real *packed = args.packed + panel * stride, *bias = args.bias + panel * kWidth;
  Vec<Real> q[kPanels][NV];
#pragma GCC unroll 2
  for (int p = 0; p < kPanels; ++p) {
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) q[p][v] = load(bias + p * kWidth + v * kLanes<Real>);
  }
  for (Index k = 0; k < inner; ++k, packed += NV * kLanes<Real>) {
    const Vec<Real> x = splat(operand[k]);
#pragma GCC unroll 2
    for (int p = 0; p < kPanels; ++p) {
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) q[p][v] = fma(x, load(packed + p * stride + v * kLanes<Real>), q[p][v]);
    }
  }
#pragma GCC unroll 2
  for (int p = 0; p < kPanels; ++p) {
#pragma GCC unroll 4
    for (int block = 0; block < kBlocks; ++block) {
      Vec<Real> own[G];
#pragma GCC unroll 4
      for (int g = 0; g < G; ++g) own[g] = q[p][block * G + g];
      apply_stage<Stage>(own, units_from(row, ((panel + p) * kFull + block) * kLanes<Real>));
    }
  }
}

template <class Real, class Stage, int kBlocks = kMaxVectors / Stage::kGates>
RNNFAST_INLINE void solo_blocks(const ForwardArgs<Real>& args, const Real* operand, const ForwardUnit<Real>& row,
                                Index panel, Index blocks) {
  if (blocks == kBlocks)
    solo_panels<Real, Stage, 1, kBlocks>(args, operand, row, panel);
  else if constexpr (kBlocks > 1)
    solo_blocks<Real, Stage, kBlocks - 1>(args, operand, row, panel, blocks);
}

// Numbers of a panel whose chains, at a cache line a cycle, keep up with L2.
template <class Real>
constexpr int kLanesForL2 = 4 * kLine<Real>;

template <class Real, class Stage>
RNNFAST_INLINE void solo_step(const ForwardArgs<Real>& args, Index s) {
  constexpr int kFull = kMaxVectors / Stage::kGates;
  const RowRef ref = row_ref(args.walk, s, first_row(args.walk, s));
  const Real* operand = forward_operand<Real, Stage>(args, ref);
  const ForwardUnit<Real> row = forward_row(args, ref);
  // Where units are shared out, other cores have written most of it a moment ago.
  for (Index k = 0; k < args.P; k += kLine<Real>) __builtin_prefetch(operand + k);
  const bool pairs = kFull * Stage::kGates * kLanes<Real> < kLanesForL2<Real> || !args.from_l2;
  const Index panels = args.panel1 - args.panel0;
  for (Index i = 0; i < panels;) {
    const Index panel = panel_at(args, s, i), next = i + 1 < panels ? panel_at(args, s, i + 1) : panel;
    const Index last = panel < next ? next : panel;
    if (pairs && next != panel && panel_blocks<Real, kFull>(args.H, last) == kFull) {
      solo_panels<Real, Stage, 2, kFull>(args, operand, row, panel < next ? panel : next);
      i += 2;
    } else {
      solo_blocks<Real, Stage>(args, operand, row, panel, panel_blocks<Real, kFull>(args.H, panel));
      ++i;
    }
  }
}

}  // namespace rnnfast::RNNFAST_ISA
