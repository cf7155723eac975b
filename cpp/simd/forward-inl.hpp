// Runs a cell's stage forward over steps, rows and panels of units: the product R h on a tile of rows, then the cell on
// its accumulators. Time runs inside, so that a share of sequences that needs no barrier takes one call a chunk.
#pragma once
#include "cells-inl.hpp"
#include "gemm-inl.hpp"
#include "solo-inl.hpp"
#include "walk-inl.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class Real, class Stage>
RNNFAST_INLINE void load_gates(const Real* from, Vec<Real> (&q)[Stage::kGates]) {
#pragma GCC unroll 4
  for (int g = 0; g < Stage::kGates; ++g) q[g] = load(from + g * kLanes<Real>);
}

// The cell on a tile's accumulators. In two parts over the tile where the stage has two: a chain of all activations one
// after the other is so long that a core's window holds but two of them.
template <class Real, class Stage>
RNNFAST_NOINLINE void forward_units(const ForwardArgs<Real>& args, const RowRef* refs, Index rows, Index unit,
                                    int blocks, Tile<Real>& tile) {
  constexpr Index kBlock = Stage::kGates * kLanes<Real>;
  Vec<Real> q[Stage::kGates];
  if constexpr (Stage::kParts == 2) {
    static_assert(kMaxVectors / Stage::kGates == 1, "a panel is one block");
    Vec<Real> kept[2];
    for (Index r = 0; r < rows; ++r) {
      load_gates<Real, Stage>(tile.q + r * kBlock, q);
      Stage::begin(q, units_from(forward_row(args, refs[r]), unit), kept);
      store(tile.q + r * kBlock, kept[0]), store(tile.q + r * kBlock + kLanes<Real>, kept[1]);
    }
    for (Index r = 0; r < rows; ++r) {
      kept[0] = load(tile.q + r * kBlock), kept[1] = load(tile.q + r * kBlock + kLanes<Real>);
      Stage::end(kept, units_from(forward_row(args, refs[r]), unit));
    }
  } else {
    for (Index r = 0; r < rows; ++r) {
      ForwardUnit<Real> m = units_from(forward_row(args, refs[r]), unit);
      for (int block = 0; block < blocks; ++block, m = units_from(m, kLanes<Real>)) {
        load_gates<Real, Stage>(tile.q + (r * blocks + block) * kBlock, q);
        Stage::apply(q, m);
      }
    }
  }
}

template <class Real, class Stage, int kBlocks>
static void forward_panel(const ForwardArgs<Real>& args, Index s, Index panel, Index next) {
  constexpr int NV = kBlocks * Stage::kGates;
  constexpr int kFull = kMaxVectors / Stage::kGates;  // blocks of every panel but the last
  const Index numbers = args.P * kFull * Stage::kGates * kLanes<Real>;
  const Real* packed = args.packed + panel * numbers;
  Ahead<Real> ahead = fetched_ahead(args, next, numbers);
  const Real* bias = args.bias + panel * kFull * Stage::kGates * kLanes<Real>;
  const Index end = last_row(args.walk, s);
  for (Index row = first_row(args.walk, s); row < end;) {
    const Index m = next_tile<NV>(end - row);
    RowRef refs[kMaxTileRows];
    const Real* operand[kMaxTileRows];
    for (Index r = 0; r < m; ++r) {
      refs[r] = row_ref(args.walk, s, row + r);
      operand[r] = forward_operand<Real, Stage>(args, refs[r]);
    }
    Tile<Real> tile;
    multiply<Real, NV, true>(m, operand, args.P, packed, bias, tile, ahead.take(args.P));
    forward_units<Real, Stage>(args, refs, m, panel * kFull * kLanes<Real>, kBlocks, tile);
    row += m;
  }
}

template <class Real, class Stage, int kBlocks = kMaxVectors / Stage::kGates>
RNNFAST_INLINE void forward_blocks(const ForwardArgs<Real>& args, Index s, Index panel, Index next, Index blocks) {
  if (blocks == kBlocks)
    forward_panel<Real, Stage, kBlocks>(args, s, panel, next);
  else if constexpr (kBlocks > 1)
    forward_blocks<Real, Stage, kBlocks - 1>(args, s, panel, next, blocks);
}

// Where q is ready, the cell alone.
template <class Real, class Stage>
RNNFAST_NOINLINE void ready_steps(const ForwardArgs<Real>& args) {
  constexpr int G = Stage::kGates;
  constexpr Index kPanel = kMaxVectors / G * kLanes<Real>;
  const Index H = args.H, end = args.panel1 * kPanel < H ? args.panel1 * kPanel : H;
  for (Index step = 0; step < args.s1 - args.s0; ++step) {
    const Index s = step_at(args.s0, args.s1, args.walk.dt, step);
    for (Index row = first_row(args.walk, s); row < last_row(args.walk, s); ++row) {
      const RowRef ref = row_ref(args.walk, s, row);
      const Real* q = at(args.q, ref.row, ref.n, ref.t) + Stage::kFirstGate * H;
      const ForwardUnit<Real> m = forward_row(args, ref);
      for (Index unit = args.panel0 * kPanel; unit < end; unit += kLanes<Real>) {
        Vec<Real> own[G];
#pragma GCC unroll 4
        for (int g = 0; g < G; ++g) own[g] = load_first(q + g * H + unit, H - unit);
        apply_stage<Stage>(own, units_from(m, unit));
      }
    }
  }
}

template <class Real, class Stage>
static void forward_steps(const ForwardArgs<Real>& args) {
  if (args.q.data != nullptr) return ready_steps<Real, Stage>(args);
  for (Index step = 0; step < args.s1 - args.s0; ++step) {
    const Index s = step_at(args.s0, args.s1, args.walk.dt, step);
    if (last_row(args.walk, s) - first_row(args.walk, s) == 1) {
      solo_step<Real, Stage>(args, s);
      continue;
    }
    for (Index i = 0; i < args.panel1 - args.panel0; ++i) {
      const Index panel = panel_at(args, s, i);
      forward_blocks<Real, Stage>(args, s, panel, panel_after(args, s, i),
                                  panel_blocks<Real, kMaxVectors / Stage::kGates>(args.H, panel));
    }
  }
}

}  // namespace rnnfast::RNNFAST_ISA
