// Runs a cell's stage back through time, as forward-inl.hpp does forward: the product of dq of the step after with R,
// then the cell.
#pragma once
#include "cells-inl.hpp"
#include "walk-inl.hpp"

namespace rnnfast::RNNFAST_ISA {

// Where a backward tile finds dq; kFinish: the state before the first step, whose row after is the first row itself.
template <class Real, class Stage, bool kFinish>
RNNFAST_INLINE Index dq_row(const RowRef& ref) {
  if constexpr (kFinish) return ref.prev == kInitial ? ref.row : kCut;
  return Stage::kDq.own_row ? ref.row : ref.next;
}

// What the step before will read was written long ago: fetched a step ahead, while this one computes.
template <class Real, class Cell>
RNNFAST_INLINE void fetch_step_before(const BackwardArgs<Real>& args, const RowRef& ref, Index unit) {
  if (ref.prev < 0) return;
  const Index t = ref.t - args.walk.dt;
  const Real* u = at(args.u, ref.prev, ref.n, t) + unit;
#pragma GCC unroll 4
  for (int g = 0; g < Cell::kSavedGates; ++g) __builtin_prefetch(u + g * args.H);
  __builtin_prefetch(at(args.aux, ref.prev, ref.n, t) + unit);
  __builtin_prefetch(at(args.dy, ref.prev, ref.n, t) + unit);
}

template <class Real, class Cell, class Stage, bool kFinish>
RNNFAST_NOINLINE void backward_units(const BackwardArgs<Real>& args, const RowRef* refs, Index rows, Index unit,
                                     int blocks, const Tile<Real>& tile) {
  const Index H = args.H;
  for (Index r = 0; r < rows; ++r) {
    const RowRef& ref = refs[r];
    const Index after = dq_row<Real, Stage, kFinish>(ref);
    BackwardUnit<Real> m;
    m.u = at(args.u, ref.row, ref.n, ref.t) + unit;
    m.aux = at(args.aux, ref.row, ref.n, ref.t) + unit;
    m.h = at(args.y, ref.row, ref.n, ref.t) + unit;
    m.h_prev = before(args.y, args.walk, ref, args.h0, H, args.zero) + unit;
    m.aux_prev = before(args.aux, args.walk, ref, args.c0, H, args.zero) + unit;
    m.dh = args.dh + ref.n * H + unit, m.dc = args.dc + ref.n * H + unit;
    m.zones = args.zone.data != nullptr ? at(args.zone, ref.row, ref.n, ref.t) : nullptr;
    m.H = H, m.options = args.options, m.cut = after == kCut;
    const Real* dy = at(args.dy, ref.row, ref.n, ref.t) + unit;
    Real* dh_step = args.dh_steps.data != nullptr ? at(args.dh_steps, ref.row, ref.n, ref.t) + unit : nullptr;
    // dh holds a part of the gradient at a sequence's end, and between steps where something bypasses R.
    const bool bypass = Cell::kBypass || (Cell::kMask && m.zones != nullptr);
    const bool running = after == kEnd || (bypass && after >= 0);
    for (int block = 0; block < blocks; ++block) {
      m.n = H - unit - block * kLanes<Real>;
      if constexpr (!kFinish) fetch_step_before<Real, Cell>(args, ref, unit + block * kLanes<Real>);
      Vec<Real> product = load(tile.q + (r * blocks + block) * kLanes<Real>);
      if constexpr (Cell::kMask && !Stage::kDq.own_row) {
        if (args.mask != nullptr) product *= load_first(args.mask + (ref.n + 1) * H - m.n, m.n);
      }
      if constexpr (Stage::kDq.own_row && !kFinish) {
        if (args.packed == nullptr) product += load_first(dy, m.n);
        Stage::apply(product, m);
      } else {
        const Vec<Real> state = (running ? m.load_dh() : Vec<Real>{}) + product;
        if constexpr (kFinish) {
          m.set_dh(state);
        } else {
          const Vec<Real> dh = state + load_first(dy, m.n);
          if (dh_step != nullptr) store_first(dh_step + block * kLanes<Real>, dh, m.n);
          Stage::apply(dh, m);
        }
      }
      m.u += kLanes<Real>, m.aux += kLanes<Real>, m.h += kLanes<Real>, m.h_prev += kLanes<Real>,
          m.aux_prev += kLanes<Real>;
      m.dh += kLanes<Real>, m.dc += kLanes<Real>, dy += kLanes<Real>;
    }
  }
}

template <class Real, class Cell, class Stage, bool kFinish, int kBlocks>
static void backward_panel(const BackwardArgs<Real>& args, Index s, Index panel, Index next) {
  constexpr DqRange kDq = Stage::kDq;
  const Index H = args.H, inner = args.packed != nullptr ? kDq.gates * H : 0;
  const Index inner_aux = args.packed != nullptr ? kDq.aux_gates * H : 0;
  const Index numbers = (inner + inner_aux) * kMaxVectors * kLanes<Real>;
  const Real* packed = args.packed + panel * numbers;
  Ahead<Real> ahead = fetched_ahead(args, next, numbers);
  const bool listed = kFinish && args.firsts != nullptr;
  const Index end = listed ? args.first_count : last_row(args.walk, s);
  for (Index row = listed ? 0 : first_row(args.walk, s); row < end;) {
    const Index m = next_tile<kBlocks>(end - row);
    RowRef refs[kMaxTileRows];
    const Real *dq[kMaxTileRows], *dq_aux[kMaxTileRows];
    for (Index r = 0; r < m; ++r) {
      refs[r] = row_ref(args.walk, s, listed ? args.firsts[row + r] : row + r);
      const Index after = dq_row<Real, Stage, kFinish>(refs[r]);
      dq[r] = after >= 0 ? at(args.u, after, refs[r].n, 0) + kDq.first_gate * H : args.zero;
      dq_aux[r] = after >= 0 ? at(args.aux, after, refs[r].n, 0) : args.zero;
    }
    Tile<Real> tile;
    const Vec<Real> nothing[kMaxVectors] = {};
    multiply<Real, kBlocks, true>(m, dq, inner, packed, reinterpret_cast<const Real*>(nothing), tile,
                                  ahead.take(inner));
    if constexpr (kDq.aux_gates > 0)
      multiply<Real, kBlocks, false>(m, dq_aux, inner_aux, packed + inner * kBlocks * kLanes<Real>, nullptr, tile);
    backward_units<Real, Cell, Stage, kFinish>(args, refs, m, panel * kMaxVectors * kLanes<Real>, kBlocks, tile);
    row += m;
  }
}

template <class Real, class Cell, class Stage, bool kFinish, int kBlocks = kMaxVectors>
RNNFAST_INLINE void backward_blocks(const BackwardArgs<Real>& args, Index s, Index panel, Index next, Index blocks) {
  if (blocks == kBlocks)
    backward_panel<Real, Cell, Stage, kFinish, kBlocks>(args, s, panel, next);
  else if constexpr (kBlocks > 1)
    backward_blocks<Real, Cell, Stage, kFinish, kBlocks - 1>(args, s, panel, next, blocks);
}

template <class Real, class Cell, class Stage>
static void backward_steps(const BackwardArgs<Real>& args) {
  for (Index step = 0; step < args.s1 - args.s0; ++step) {
    const Index s = step_at(args.s0, args.s1, -args.walk.dt, step);
    for (Index i = 0; i < args.panel1 - args.panel0; ++i) {
      const Index panel = panel_at(args, s, i);
      backward_blocks<Real, Cell, Stage, false>(args, s, panel, panel_after(args, s, i),
                                                panel_blocks<Real, kMaxVectors>(args.H, panel));
    }
  }
}

template <class Real, class Cell>
static void finish(const BackwardArgs<Real>& args) {
  const Index s = args.walk.dt > 0 ? 0 : args.walk.T - 1;
  for (Index panel = args.panel0; panel < args.panel1; ++panel)
    backward_blocks<Real, Cell, typename Cell::Backward, true>(args, s, panel, kNoPanel,
                                                               panel_blocks<Real, kMaxVectors>(args.H, panel));
}

}  // namespace rnnfast::RNNFAST_ISA
