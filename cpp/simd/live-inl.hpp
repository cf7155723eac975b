// One step of one layer, where each call brings one step: the input's product and the recurrence in one pass over the
// weights, the cell on both accumulators.
#pragma once
#include "cells-inl.hpp"
#include "gemm-inl.hpp"

namespace rnnfast::RNNFAST_ISA {

// One vector of units of one row, as ForwardUnit; the stage's own input products are given, gates of another stage
// are in memory. The state in aux is updated in place.
template <class Real, class Stage>
struct LiveUnit {
  const Vec<Real>* u;  // [Stage::kGates]
  Real *gates, *h, *aux;
  const Real* h_prev;
  Index H, n;
  const CellOptions<Real>* options;
  static constexpr bool save = false;

  RNNFAST_INLINE_MEMBER Vec<Real> gate(int g) const {
    constexpr int kFirst = Stage::kFirstGate;
    return g >= kFirst && g < kFirst + Stage::kGates ? u[g - kFirst] : load_first(gates + g * H, n);
  }
  RNNFAST_INLINE_MEMBER void set_gate(int g, Vec<Real> v) const { store_first(gates + g * H, v, n); }
  RNNFAST_INLINE_MEMBER void set_h(Vec<Real> v) const { store_first(h, v, n); }
  RNNFAST_INLINE_MEMBER void set_aux(Vec<Real> v) const { store_first(aux, v, n); }
  RNNFAST_INLINE_MEMBER Vec<Real> load_h_prev() const { return load_first(h_prev, n); }
  RNNFAST_INLINE_MEMBER Vec<Real> load_aux_prev() const { return load_first(aux, n); }
  RNNFAST_INLINE_MEMBER Vec<Real> peephole(int k) const { return load_first(options->peepholes + (k + 1) * H - n, n); }
  RNNFAST_INLINE_MEMBER bool zoned() const { return options->zoneout != nullptr; }
  RNNFAST_INLINE_MEMBER Vec<Real> zone(int k) const { return load_first(options->zoneout + (k + 1) * H - n, n); }
};

template <class Real, class Stage>
RNNFAST_INLINE LiveUnit<Real, Stage> live_unit(const LiveArgs<Real>& args, Index row, Index unit, const Vec<Real>* u) {
  const Index H = args.H, at = row * H + unit, before = row * args.P + unit;
  return {
      u,           args.gates + row * args.G * H + unit, args.h + at, args.aux + at, args.h_prev + before, H, H - unit,
      args.options};
}

template <class Real, class Stage>
RNNFAST_INLINE const Real* live_operand(const LiveArgs<Real>& args, Index row) {
  return Stage::kOperand == Operand::kAux ? args.aux + row * args.H : args.h_prev + row * args.P;
}

template <class Real>
RNNFAST_INLINE const Real* live_input(const LiveArgs<Real>& args, Index row) {
  return args.x_rows != nullptr ? args.x_rows[row] : args.x + row * args.ldx;
}

// One panel's weights.
template <class Real>
struct LivePanel {
  const Real *w, *r, *b_w, *b_r;
};

// The stage's gates of one vector of units, from products that are ready.
template <class Real, class Stage>
RNNFAST_INLINE Vec<Real> live_product(const LiveArgs<Real>& args, Index row, Index unit, int g) {
  return load_first(args.u_rows[row] + (Stage::kFirstGate + g) * args.H + unit, args.H - unit);
}

template <class Real, int NV>
RNNFAST_INLINE void chain(Vec<Real> (&acc)[NV], Real x, const Real* weights) {
  const Vec<Real> all = splat(x);
#pragma GCC unroll 4
  for (int v = 0; v < NV; ++v) acc[v] = fma(all, load(weights + v * kLanes<Real>), acc[v]);
}

// A single row: its two products side by side, since each alone is too few chains to fill the machine.
template <class Real, class Stage, int kBlocks>
RNNFAST_INLINE void live_row(const LiveArgs<Real>& args, const LivePanel<Real>& panel, Index unit) {
  constexpr int G = Stage::kGates, NV = kBlocks * G, kWidth = NV * kLanes<Real>;
  const Real *x = live_input(args, 0), *h = live_operand<Real, Stage>(args, 0);
  const bool ready = args.u_rows != nullptr;
  const Index C = ready ? 0 : args.C, P = args.P, both = C < P ? C : P;
  Vec<Real> u[NV], q[NV];
#pragma GCC unroll 4
  for (int v = 0; v < NV; ++v) {
    u[v] = ready ? live_product<Real, Stage>(args, 0, unit + v / G * kLanes<Real>, v % G)
                 : load(panel.b_w + v * kLanes<Real>);
    q[v] = load(panel.b_r + v * kLanes<Real>);
  }
  for (Index k = 0; k < both; ++k) {
    chain<Real, NV>(u, x[k], panel.w + k * kWidth);
    chain<Real, NV>(q, h[k], panel.r + k * kWidth);
  }
  for (Index k = both; k < C; ++k) chain<Real, NV>(u, x[k], panel.w + k * kWidth);
  for (Index k = both; k < P; ++k) chain<Real, NV>(q, h[k], panel.r + k * kWidth);
#pragma GCC unroll 4
  for (int block = 0; block < kBlocks; ++block) {
    Vec<Real> own[G];
#pragma GCC unroll 4
    for (int g = 0; g < G; ++g) own[g] = q[block * G + g];
    apply_stage<Stage>(own, live_unit<Real, Stage>(args, 0, unit + block * kLanes<Real>, u + block * G));
  }
}

template <class Real, class Stage, int kBlocks>
RNNFAST_INLINE void live_rows(const LiveArgs<Real>& args, const LivePanel<Real>& panel, Index unit) {
  constexpr int G = Stage::kGates, NV = kBlocks * G;
  for (Index row = 0; row < args.rows;) {
    const Index m = next_tile<NV>(args.rows - row);
    const Real *x[kMaxTileRows], *h[kMaxTileRows];
    const bool ready = args.u_rows != nullptr;
    for (Index r = 0; r < m; ++r) h[r] = live_operand<Real, Stage>(args, row + r);
    for (Index r = 0; r < m && !ready; ++r) x[r] = live_input(args, row + r);
    Tile<Real> tile_u, tile_q;
    if (!ready) multiply<Real, NV, true>(m, x, args.C, panel.w, panel.b_w, tile_u);
    multiply<Real, NV, true>(m, h, args.P, panel.r, panel.b_r, tile_q);
    static_assert(Stage::kParts == 1 || kBlocks == 1, "a stage of two parts has one block a panel");
    Vec<Real> kept[kMaxTileRows][2];
    for (Index i = 0; i < m * kBlocks; ++i) {
      const Index n = row + i / kBlocks, first = unit + i % kBlocks * kLanes<Real>;
      Vec<Real> u[G], q[G];
#pragma GCC unroll 4
      for (int g = 0; g < G; ++g) {
        u[g] = ready ? live_product<Real, Stage>(args, n, first, g) : load(tile_u.q + (i * G + g) * kLanes<Real>);
        q[g] = load(tile_q.q + (i * G + g) * kLanes<Real>);
      }
      if constexpr (Stage::kParts == 2)
        Stage::begin(q, live_unit<Real, Stage>(args, n, first, u), kept[i]);
      else
        Stage::apply(q, live_unit<Real, Stage>(args, n, first, u));
    }
    if constexpr (Stage::kParts == 2)
      for (Index i = 0; i < m; ++i) Stage::end(kept[i], live_unit<Real, Stage>(args, row + i, unit, nullptr));
    row += m;
  }
}

template <class Real, class Stage, int kBlocks>
static void live_panel(const LiveArgs<Real>& args, Index index) {
  constexpr int kFull = kMaxVectors / Stage::kGates;  // blocks of every panel but the last
  constexpr Index kWidth = kFull * Stage::kGates * kLanes<Real>;
  const LivePanel<Real> panel = {args.w + index * args.C * kWidth, args.r + index * args.P * kWidth,
                                 args.b_w + index * kWidth, args.b_r + index * kWidth};
  const Index unit = index * kFull * kLanes<Real>;
  if (args.rows == 1)
    live_row<Real, Stage, kBlocks>(args, panel, unit);
  else
    live_rows<Real, Stage, kBlocks>(args, panel, unit);
}

template <class Real, class Stage, int kBlocks = kMaxVectors / Stage::kGates>
RNNFAST_INLINE void live_blocks(const LiveArgs<Real>& args, Index panel, Index blocks) {
  if (blocks == kBlocks)
    live_panel<Real, Stage, kBlocks>(args, panel);
  else if constexpr (kBlocks > 1)
    live_blocks<Real, Stage, kBlocks - 1>(args, panel, blocks);
}

template <class Real, class Stage>
static void live_step(const LiveArgs<Real>& args) {
  for (Index i = args.panel0; i < args.panel1; ++i) {
    const Index panel = args.descending ? args.panel0 + args.panel1 - 1 - i : i;
    live_blocks<Real, Stage>(args, panel, panel_blocks<Real, kMaxVectors / Stage::kGates>(args.H, panel));
  }
}

}  // namespace rnnfast::RNNFAST_ISA
