// Runs a cell's stage forward over steps, rows and panels of units: the product R h on a tile of rows, then the cell on
// its accumulators. Time runs inside, so that a share of sequences that needs no barrier takes one call a chunk.
#pragma once
#include "cells-inl.hpp"
#include "gemm-inl.hpp"
#include "solo-inl.hpp"
#include "walk-inl.hpp"

namespace rnnfast::RNNFAST_ISA {

// What all cells share sees a stage as this.
template <class Real>
struct ForwardStage {
  int gates, first_gate;
  int full;  // blocks of every panel but the last
  Operand operand;
  // The cell on [rows][blocks][gates][lanes] accumulators.
  void (*units)(const ForwardArgs<Real>& args, const RowRef* refs, Index rows, Index unit, Index blocks, Real* q);
};

template <class Real, class Stage>
constexpr ForwardStage<Real> forward_stage() {
  return {Stage::kGates, Stage::kFirstGate, kMaxVectors / Stage::kGates, Stage::kOperand, forward_units<Real, Stage>};
}

// The accumulators of a tile where they are ready, instead of a product.
template <class Real>
RNNFAST_INLINE void ready_tile(const ForwardArgs<Real>& args, const ForwardStage<Real>& stage, const RowRef* refs,
                               Index rows, Index unit, Index blocks, Tile<Real>& tile) {
  Real* to = tile.q;
  for (Index r = 0; r < rows; ++r) {
    const Real* q = at(args.q, refs[r].row, refs[r].n, refs[r].t) + stage.first_gate * args.H;
    for (Index first = unit; first < unit + blocks * kLanes<Real>; first += kLanes<Real>)
      for (Index g = 0; g < stage.gates; ++g, to += kLanes<Real>)
        store(to, load_first(q + g * args.H + first, args.H - first));
  }
}

template <class Real>
RNNFAST_NOINLINE void forward_panel(const ForwardArgs<Real>& args, const ForwardStage<Real>& stage, Index s,
                                    Index panel, Index next) {
  const Index blocks = panel_blocks<Real>(args.H, panel, stage.full), vectors = blocks * stage.gates;
  const Index width = stage.full * stage.gates * kLanes<Real>, numbers = args.P * width;
  const Index unit = panel * stage.full * kLanes<Real>;
  Ahead<Real> ahead = fetched_ahead(args, next, numbers);
  const Index first = first_row(args.walk, s), end = last_row(args.walk, s);
  Tiles tiles = tiles_of(end - first, vectors);
  for (Index row = first; row < end;) {
    const Index m = tiles.take();
    RowRef refs[kMaxTileRows];
    const Real* operand[kMaxTileRows];
    for (Index r = 0; r < m; ++r) {
      refs[r] = row_ref(args.walk, s, row + r);
      operand[r] = forward_operand(args, stage.operand, refs[r]);
    }
    Tile<Real> tile;
    if (args.q.data != nullptr)
      ready_tile(args, stage, refs, m, unit, blocks, tile);
    else
      multiply(vectors, m, operand, args.P, args.packed + panel * numbers, args.bias + panel * width, tile,
               ahead.take(args.P));
    stage.units(args, refs, m, unit, blocks, tile.q);
    row += m;
  }
}

template <class Real, class Cell, class Stage>
static void forward_steps(const ForwardArgs<Real>& args) {
  static constexpr ForwardStage<Real> kStage = forward_stage<Real, Stage>();
  for (Index step = 0; step < args.s1 - args.s0; ++step) {
    const Index s = step_at(args.s0, args.s1, args.walk.dt, step);
    if (last_row(args.walk, s) - first_row(args.walk, s) == 1 && args.q.data == nullptr) {
      solo_step<Real, Cell, Stage>(args, s);
      continue;
    }
    for (Index i = 0; i < args.panel1 - args.panel0; ++i)
      forward_panel(args, kStage, s, panel_at(args, s, i), panel_after(args, s, i));
  }
}

}  // namespace rnnfast::RNNFAST_ISA
