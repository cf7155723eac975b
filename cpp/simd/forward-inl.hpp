// Runs a cell's stage forward over steps, rows and panels of units: the product R h on a tile of rows, then the cell on
// its accumulators. Time runs inside, so that a share of sequences that needs no barrier takes one call a chunk.
#pragma once
#include "cells-inl.hpp"
#include "gemm-inl.hpp"
#include "row_order-inl.hpp"
#include "single_row-inl.hpp"

namespace rnnfast::RNNFAST_ISA {

// A stage as seen by the code that all cells share.
template <class Real>
struct ForwardStage {
  int gates;
  int full;  // blocks of every panel but the last
  Operand operand;
  // The cell on [rows][blocks][gates][lanes] accumulators.
  void (*units)(const ForwardArgs<Real>& args, const RowRef* refs, Index rows, Index unit, Index blocks, Real* q);
};

template <class Real, class Stage>
constexpr ForwardStage<Real> forward_stage() {
  return {Stage::kGates, kMaxVectors / Stage::kGates, Stage::kOperand, forward_units<Real, Stage>};
}

template <class Real>
RNNFAST_NOINLINE void forward_panel(const ForwardArgs<Real>& args, const ForwardStage<Real>& stage, Index s,
                                    Index panel, Index next) {
  const Index blocks = panel_blocks<Real>(args.H, panel, stage.full);
  const Index vectors = blocks * stage.gates;
  const Index width = stage.full * stage.gates * kLanes<Real>;
  const Index numbers = args.P * width;
  const Index unit = panel * stage.full * kLanes<Real>;
  Ahead<Real> ahead = fetched_ahead(args, next, numbers);
  const Index first = first_place(args.order, s);
  const Index end = end_place(args.order, s);
  Tiles tiles = tiles_of(end - first, vectors);
  for (Index row = first; row < end;) {
    const Index m = tiles.take();
    RowRef refs[kMaxTileRows];
    const Real* operand[kMaxTileRows];
    for (Index r = 0; r < m; ++r) {
      refs[r] = row_ref(args.order, s, row + r);
      operand[r] = forward_operand(args, stage.operand, refs[r]);
    }
    Tile<Real> tile;
    multiply(vectors, m, operand, args.P, args.packed + panel * numbers, args.bias + panel * width, tile,
             ahead.take(args.P));
    stage.units(args, refs, m, unit, blocks, tile.q);
    row += m;
  }
}

// Where q is ready, the cell alone.
template <class Real, class Stage>
RNNFAST_NOINLINE void ready_steps(const ForwardArgs<Real>& args) {
  constexpr int G = Stage::kGates;
  constexpr Index kPanel = kMaxVectors / G * kLanes<Real>;
  const Index H = args.H;
  const Index end = args.panel1 * kPanel < H ? args.panel1 * kPanel : H;
  for (Index step = 0; step < args.s1 - args.s0; ++step) {
    const Index s = step_at(args.s0, args.s1, args.order.dt, step);
    for (Index row = first_place(args.order, s); row < end_place(args.order, s); ++row) {
      const RowRef ref = row_ref(args.order, s, row);
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

template <class Real, class Cell, class Stage>
static void forward_steps(const ForwardArgs<Real>& args) {
  static constexpr ForwardStage<Real> kStage = forward_stage<Real, Stage>();
  if (args.q.data != nullptr) return ready_steps<Real, Stage>(args);
  for (Index step = 0; step < args.s1 - args.s0; ++step) {
    const Index s = step_at(args.s0, args.s1, args.order.dt, step);
    if (end_place(args.order, s) - first_place(args.order, s) == 1) {
      single_row_step<Real, Cell, Stage>(args, s);
      continue;
    }
    for (Index i = 0; i < args.panel1 - args.panel0; ++i)
      forward_panel(args, kStage, s, panel_at(args, s, i), panel_after(args, s, i));
  }
}

}  // namespace rnnfast::RNNFAST_ISA
