// Runs a cell's stage back through time, as forward-inl.hpp does forward: the product of dq of the step after with R,
// then the cell.
#pragma once
#include "cells-inl.hpp"

namespace rnnfast::RNNFAST_ISA {

// The row whose dq the product reads: the row after, or the row itself. `finish` asks for the gradient of an initial
// state of the kind `entered`: the row after that state is this row. kCut: the product reads zeros.
RNNFAST_INLINE Index dq_row(const RowRef& ref, bool own_row, bool finish, Index entered) {
  if (finish) return ref.prev == entered ? ref.row : kCut;
  return own_row ? ref.row : ref.next;
}

template <class Real>
RNNFAST_INLINE Index step_back(const View<Real>& view, const RowOrder& order, const RowRef& ref) {
  return (ref.prev - ref.row) * view.by_row - order.time_step * view.by_t;
}

template <class Real>
RNNFAST_INLINE BackwardRow<Real> backward_row(const BackwardArgs<Real>& args, const RowRef& ref) {
  BackwardRow<Real> row;
  row.u = at(args.u, ref.row, ref.n, ref.t);
  row.aux = at(args.aux, ref.row, ref.n, ref.t);
  row.dh = args.dh + ref.n * args.H;
  row.dc = args.dc + ref.n * args.H;
  row.dy = at(args.dy, ref.row, ref.n, ref.t);
  row.h = at(args.y, ref.row, ref.n, ref.t);
  row.h_prev = before(args.y, args.order, ref, args.h0);
  row.aux_prev = before(args.aux, args.order, ref, args.c0);
  row.zones = args.zone.data != nullptr ? at(args.zone, ref.row, ref.n, ref.t) : nullptr;
  row.u_back = step_back(args.u, args.order, ref);
  row.aux_back = step_back(args.aux, args.order, ref);
  row.dy_back = step_back(args.dy, args.order, ref);
  row.h_back = step_back(args.y, args.order, ref);
  return row;
}

// From a tile's row to its next one, which is ref; in a dense batch without multiplications.
template <class Real>
RNNFAST_INLINE void move_to(const BackwardArgs<Real>& args, const RowRef& ref, BackwardRow<Real>& row) {
  if (args.order.rows_by_place != nullptr) {
    row = backward_row(args, ref);
    return;
  }
  const bool begins = ref.prev < 0;
  row.u += by_sequence(args.u);
  row.aux += by_sequence(args.aux);
  row.dh += args.H;
  row.dc += args.H;
  row.dy += by_sequence(args.dy);
  row.h += by_sequence(args.y);
  row.h_prev += begins ? args.h0.width : by_sequence(args.y);
  row.aux_prev += begins ? args.c0.width : by_sequence(args.aux);
  if (row.zones != nullptr) row.zones += by_sequence(args.zone);
}

// The previous step reads what was written long ago: it is fetched one step ahead, while this one computes.
template <class Real, class Cell>
RNNFAST_INLINE void fetch_step_before(const BackwardUnit<Real>& m) {
  const BackwardRow<Real>& row = m.row;
#pragma GCC unroll 4
  for (int g = 0; g < Cell::kSavedGates; ++g) __builtin_prefetch(row.u + row.u_back + g * m.H + m.unit);
  if constexpr (Cell::kReadsH != kNoRow)
    __builtin_prefetch((Cell::kReadsH == kOwnRow ? row.h : row.h_prev) + row.h_back + m.unit);
  if constexpr (Cell::kReadsAux != kNoRow)
    __builtin_prefetch((Cell::kReadsAux == kOwnRow ? row.aux : row.aux_prev) + row.aux_back + m.unit);
  __builtin_prefetch(row.dy + row.dy_back + m.unit);
}

// A product with R^T under the mask of recurrent dropout, for the units from `unit` on.
template <class Real>
RNNFAST_INLINE Vec<Real> masked(const BackwardArgs<Real>& args, const RowRef& ref, Index unit, Vec<Real> product) {
  if (args.mask == nullptr) return product;
  return product * load_first(args.mask + ref.n * args.H + unit, args.H - unit);
}

template <class Real, class Cell, class Stage>
RNNFAST_NOINLINE void backward_units(const BackwardArgs<Real>& args, const RowRef* refs, Index rows, Index unit,
                                     Index blocks, const Tile<Real>& tile) {
  assume_blocks(blocks, kMaxVectors);
  BackwardUnit<Real> m;
  m.row = backward_row(args, refs[0]);
  m.H = args.H;
  m.options = args.options;
  for (Index r = 0; r < rows; ++r) {
    const RowRef& ref = refs[r];
    if (r > 0) move_to(args, ref, m.row);
    const Index after = dq_row(ref, Stage::kDq.own_row, false, args.entered);
    m.cut = after == kCut;
    // dh is part of the gradient at a sequence's end, and between steps where something bypasses R.
    const bool bypass = Cell::kBypass || (Cell::kRuntime && m.row.zones != nullptr);
    const bool running = after == kEnd || (bypass && after >= 0);
    for (Index block = 0; block < blocks; ++block) {
      m.unit = unit + block * kLanes<Real>;
      if (ref.prev >= 0) fetch_step_before<Real, Cell>(m);
      Vec<Real> product = load(tile.q + (r * blocks + block) * kLanes<Real>);
      if constexpr (Stage::kDq.own_row) {
        if (args.packed == nullptr) product += m.load_dy();
        Stage::apply(product, m);
      } else {
        if constexpr (Cell::kRuntime) product = masked(args, ref, m.unit, product);
        const Vec<Real> dh = ((running ? m.load_dh() : Vec<Real>{}) + product) + m.load_dy();
        if (args.dh_steps.data != nullptr) store_first(at(args.dh_steps, ref.row, ref.n, ref.t) + m.unit, dh, m.left());
        Stage::apply(dh, m);
      }
    }
  }
}

// A stage as seen by the code that all cells share. units: the cell on [rows, blocks, lanes] products.
template <class Real>
struct BackwardStage {
  DqRange dq;
  bool bypass;
  void (*units)(const BackwardArgs<Real>& args, const RowRef* refs, Index rows, Index unit, Index blocks,
                const Tile<Real>& tile);
};

// dL/dh of the state before the first step, into args.dh.
template <class Real>
RNNFAST_INLINE void finish_units(const BackwardArgs<Real>& args, bool bypasses, const RowRef* refs, Index rows,
                                 Index unit, Index blocks, const Tile<Real>& tile) {
  const bool bypass = bypasses || args.zone.data != nullptr;
  for (Index r = 0; r < rows; ++r) {
    const bool running = bypass && dq_row(refs[r], false, true, args.entered) >= 0;
    for (Index block = 0; block < blocks; ++block) {
      const Index first = unit + block * kLanes<Real>;
      const Index n = args.H - first;
      Real* dh = args.dh + refs[r].n * args.H + first;
      const Vec<Real> product = masked(args, refs[r], first, load(tile.q + (r * blocks + block) * kLanes<Real>));
      store_first(dh, (running ? load_first(dh, n) : Vec<Real>{}) + product, n);
    }
  }
}

template <class Real, bool kFinish>
RNNFAST_NOINLINE void backward_panel(const BackwardArgs<Real>& args, const BackwardStage<Real>& stage, Index s,
                                     Index panel, Index next) {
  const DqRange& range = stage.dq;
  const Index H = args.H;
  const Index inner = args.packed != nullptr ? range.gates * H : 0;
  const Index inner_aux = args.packed != nullptr ? range.aux_gates * H : 0;
  const Index blocks = panel_blocks<Real>(H, panel, kMaxVectors);
  const Index numbers = (inner + inner_aux) * kMaxVectors * kLanes<Real>;
  const Real* packed = args.packed + panel * numbers;
  Ahead<Real> ahead = fetched_ahead(args, next, numbers);
  const bool listed = kFinish && args.firsts != nullptr;
  const Index first = listed ? 0 : first_place(args.order, s);
  const Index end = listed ? args.first_count : end_place(args.order, s);
  Tiles tiles = tiles_of(end - first, blocks);
  for (Index row = first; row < end;) {
    const Index m = tiles.take();
    RowRef refs[kMaxTileRows];
    const Real* dq[kMaxTileRows];
    const Real* dq_aux[kMaxTileRows];
    for (Index r = 0; r < m; ++r) {
      refs[r] = row_ref(args.order, s, listed ? args.firsts[row + r] : row + r);
      const Index after = dq_row(refs[r], range.own_row, kFinish, args.entered);
      dq[r] = after >= 0 ? at(args.u, after, refs[r].n, 0) + range.first_gate * H : args.zero;
      dq_aux[r] = after >= 0 ? at(args.aux, after, refs[r].n, 0) : args.zero;
    }
    Tile<Real> tile;
    const Vec<Real> nothing[kMaxVectors] = {};
    multiply(blocks, m, dq, inner, packed, reinterpret_cast<const Real*>(nothing), tile, ahead.take(inner));
    if (range.aux_gates > 0) multiply_onto(blocks, m, dq_aux, inner_aux, packed + inner * blocks * kLanes<Real>, tile);
    if constexpr (kFinish)
      finish_units(args, stage.bypass, refs, m, panel * kMaxVectors * kLanes<Real>, blocks, tile);
    else
      stage.units(args, refs, m, panel * kMaxVectors * kLanes<Real>, blocks, tile);
    row += m;
  }
}

template <class Real, class Cell, class Stage>
constexpr BackwardStage<Real> backward_stage() {
  return {Stage::kDq, Cell::kBypass, backward_units<Real, Cell, Stage>};
}

template <class Real, class Cell, class Stage>
static void backward_steps(const BackwardArgs<Real>& args) {
  static constexpr BackwardStage<Real> kStage = backward_stage<Real, Cell, Stage>();
  for (Index step = 0; step < args.s1 - args.s0; ++step) {
    const Index s = step_at(args.s0, args.s1, -args.order.time_step, step);
    for (Index i = 0; i < args.panel1 - args.panel0; ++i)
      backward_panel<Real, false>(args, kStage, s, panel_at(args, s, i), panel_after(args, s, i));
  }
}

template <class Real, class Cell>
static void finish(const BackwardArgs<Real>& args) {
  static constexpr BackwardStage<Real> kStage = backward_stage<Real, Cell, typename Cell::Backward>();
  const Index s = args.order.time_step > 0 ? 0 : args.order.T - 1;
  for (Index panel = args.panel0; panel < args.panel1; ++panel)
    backward_panel<Real, true>(args, kStage, s, panel, kNoPanel);
}

}  // namespace rnnfast::RNNFAST_ISA
