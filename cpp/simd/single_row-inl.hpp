// A forward step of one row. Two panels of units stand side by side, because one alone is too few chains to fill the
// machine; four chains of 64 bytes, though, take what L2 gives, and where panels come from there, a step that turns
// around at a single one finds more of them in L1. The accumulators of the cells of the papers never leave the
// registers; those of cells whose activations are chosen pass through memory to the code that serves tiles.
#pragma once
#include "forward_units-inl.hpp"

namespace rnnfast::RNNFAST_ISA {

// q = bias + R x, R packed, on kPanels panels `stride` numbers apart.
template <class Real, int kPanels, int NV>
RNNFAST_INLINE void row_product(const Real* x, Index inner, const Real* packed, Index stride, const Real* bias,
                                Index width, Vec<Real> (&q)[kPanels][NV]) {
#pragma GCC unroll 2
  for (int p = 0; p < kPanels; ++p) {
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) q[p][v] = load(bias + p * width + v * kLanes<Real>);
  }
  for (Index k = 0; k < inner; ++k, packed += NV * kLanes<Real>) {
    const Vec<Real> all = splat(x[k]);
#pragma GCC unroll 2
    for (int p = 0; p < kPanels; ++p) {
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) q[p][v] = fma(all, load(packed + p * stride + v * kLanes<Real>), q[p][v]);
    }
  }
}

template <class Real, class Stage, int kPanels, int kBlocks>
RNNFAST_NOINLINE void single_row_panels(const ForwardArgs<Real>& args, const Real* operand,
                                        const ForwardUnit<Real>& row, Index panel) {
  constexpr int G = Stage::kGates;
  constexpr int NV = kBlocks * G;
  constexpr int kFull = kMaxVectors / G;
  constexpr Index kWidth = kFull * G * kLanes<Real>;
  const Index stride = args.P * kWidth;
  Vec<Real> q[kPanels][NV];
  row_product<Real, kPanels, NV>(operand, args.P, args.packed + panel * stride, stride, args.bias + panel * kWidth,
                                 kWidth, q);
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
RNNFAST_INLINE void single_row_blocks(const ForwardArgs<Real>& args, const Real* operand, const ForwardUnit<Real>& row,
                                      Index panel, Index blocks) {
  if (blocks == kBlocks)
    single_row_panels<Real, Stage, 1, kBlocks>(args, operand, row, panel);
  else if constexpr (kBlocks > 1)
    single_row_blocks<Real, Stage, kBlocks - 1>(args, operand, row, panel, blocks);
}

// Accumulators in memory, for the cells whose activations are chosen: [panel][NV][lanes].
template <class Real, int kPanels, int NV>
RNNFAST_NOINLINE void single_row_product(const ForwardArgs<Real>& args, const Real* operand, Index panel, Index width,
                                         Tile<Real>& tile) {
  const Index stride = args.P * width;
  Vec<Real> q[kPanels][NV];
  row_product<Real, kPanels, NV>(operand, args.P, args.packed + panel * stride, stride, args.bias + panel * width,
                                 width, q);
#pragma GCC unroll 2
  for (int p = 0; p < kPanels; ++p) {
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) store(tile.q + (p * NV + v) * kLanes<Real>, q[p][v]);
  }
}

template <class Real, int NV = kMaxVectors>
RNNFAST_INLINE void single_row_vectors(const ForwardArgs<Real>& args, const Real* operand, Index panel, Index width,
                                       Index vectors, Tile<Real>& tile) {
  if (vectors == NV)
    single_row_product<Real, 1, NV>(args, operand, panel, width, tile);
  else if constexpr (NV > 1)
    single_row_vectors<Real, NV - 1>(args, operand, panel, width, vectors, tile);
}

// One panel, or two full ones, of a cell whose activations are chosen.
template <class Real, class Stage>
RNNFAST_INLINE void single_row_runtime(const ForwardArgs<Real>& args, const Real* operand, const RowRef& ref,
                                       Index panel, Index panels, Index blocks) {
  constexpr Index G = Stage::kGates;
  constexpr Index kFull = kMaxVectors / G;
  constexpr Index kWidth = kFull * G * kLanes<Real>;
  Tile<Real> tile;
  if (panels == 2)
    single_row_product<Real, 2, kFull * G>(args, operand, panel, kWidth, tile);
  else
    single_row_vectors<Real>(args, operand, panel, kWidth, blocks * G, tile);
  for (Index p = 0; p < panels; ++p)
    forward_units<Real, Stage>(args, &ref, 1, (panel + p) * kFull * kLanes<Real>, blocks, tile.q + p * kWidth);
}

// A panel this wide has enough chains to use one cache line a cycle, the rate of L2.
template <class Real>
constexpr int kNumbersForL2 = 4 * kLine<Real>;

template <class Real, class Cell, class Stage>
RNNFAST_INLINE void single_row_step(const ForwardArgs<Real>& args, Index s) {
  constexpr int kFull = kMaxVectors / Stage::kGates;
  const RowRef ref = row_ref(args.order, s, first_place(args.order, s));
  const Real* operand = forward_operand(args, Stage::kOperand, ref);
  const ForwardUnit<Real> row = forward_row(args, ref);
  // Where units are shared out, other cores have written most of it a moment ago.
  for (Index k = 0; k < args.P; k += kLine<Real>) __builtin_prefetch(operand + k);
  const bool pairs = kFull * Stage::kGates * kLanes<Real> < kNumbersForL2<Real> || !args.from_l2;
  const Index panels = args.panel1 - args.panel0;
  for (Index i = 0; i < panels;) {
    const Index panel = panel_at(args, s, i);
    const Index next = i + 1 < panels ? panel_at(args, s, i + 1) : panel;
    const Index first = panel < next ? panel : next;
    const Index last = panel < next ? next : panel;
    const bool pair = pairs && next != panel && panel_blocks<Real>(args.H, last, kFull) == kFull;
    const Index blocks = pair ? kFull : panel_blocks<Real>(args.H, panel, kFull);
    if constexpr (Cell::kRuntime)
      single_row_runtime<Real, Stage>(args, operand, ref, pair ? first : panel, pair ? 2 : 1, blocks);
    else if (pair)
      single_row_panels<Real, Stage, 2, kFull>(args, operand, row, first);
    else
      single_row_blocks<Real, Stage>(args, operand, row, panel, blocks);
    i += pair ? 2 : 1;
  }
}

}  // namespace rnnfast::RNNFAST_ISA
