// One step of one layer, where each call brings one step: the input's product and the recurrence in one pass over the
// weights, the cell on both accumulators, in registers as in single_row-inl.hpp.
#pragma once
#include "cells-inl.hpp"
#include "gemm-inl.hpp"
#include "single_row-inl.hpp"

namespace rnnfast::RNNFAST_ISA {

// One vector of units of one row, as ForwardUnit; the stage's own input products are given, gates of another stage
// are in memory. The state in aux is updated in place.
template <class Real, class Stage>
struct StreamUnit {
  const Vec<Real>* u;  // [Stage::kGates]
  Real* gates;
  Real* h;
  Real* aux;
  const Real* h_prev;
  Index H;
  Index n;
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
RNNFAST_INLINE StreamUnit<Real, Stage> stream_unit(const StreamStepArgs<Real>& args, Index row, Index unit,
                                                   const Vec<Real>* u) {
  const Index H = args.H;
  const Index at = row * H + unit;
  const Index before = row * args.P + unit;
  return {
      u,           args.gates + row * args.G * H + unit, args.h + at, args.aux + at, args.h_prev + before, H, H - unit,
      args.options};
}

template <class Real>
RNNFAST_INLINE const Real* stream_operand(const StreamStepArgs<Real>& args, Operand operand, Index row) {
  return operand == Operand::kAux ? args.aux + row * args.H : args.h_prev + row * args.P;
}

template <class Real>
RNNFAST_INLINE const Real* stream_input(const StreamStepArgs<Real>& args, Index row) {
  return args.x_rows != nullptr ? args.x_rows[row] : args.x + row * args.ldx;
}

// One panel's weights.
template <class Real>
struct StreamPanel {
  const Real* w;
  const Real* r;
  const Real* b_w;
  const Real* b_r;
};

// Of panels of so many numbers a row of weights, but for the last.
template <class Real>
RNNFAST_INLINE StreamPanel<Real> stream_weights(const StreamStepArgs<Real>& args, Index panel, Index width) {
  return {args.w + panel * args.C * width, args.r + panel * args.P * width, args.b_w + panel * width,
          args.b_r + panel * width};
}

// A gate of one vector of units, from products that are ready.
template <class Real>
RNNFAST_INLINE Vec<Real> ready_product(const StreamStepArgs<Real>& args, Index row, Index gate, Index unit) {
  return load_first(args.u_rows[row] + gate * args.H + unit, args.H - unit);
}

template <class Real, int NV>
RNNFAST_INLINE void chain(Vec<Real> (&acc)[NV], Real x, const Real* weights) {
  const Vec<Real> all = splat(x);
#pragma GCC unroll 4
  for (int v = 0; v < NV; ++v) acc[v] = fma(all, load(weights + v * kLanes<Real>), acc[v]);
}

// u += W x, q += R h of a single row, side by side, since each alone is too few chains to fill the machine.
template <class Real, int NV>
RNNFAST_INLINE void stream_chains(const StreamPanel<Real>& panel, const Real* x, Index C, const Real* h, Index P,
                                  Vec<Real> (&u)[NV], Vec<Real> (&q)[NV]) {
  constexpr Index kWidth = NV * kLanes<Real>;
  const Index both = C < P ? C : P;
  for (Index k = 0; k < both; ++k) {
    chain<Real, NV>(u, x[k], panel.w + k * kWidth);
    chain<Real, NV>(q, h[k], panel.r + k * kWidth);
  }
  for (Index k = both; k < C; ++k) chain<Real, NV>(u, x[k], panel.w + k * kWidth);
  for (Index k = both; k < P; ++k) chain<Real, NV>(q, h[k], panel.r + k * kWidth);
}

// A single row, the cell on accumulators in registers.
template <class Real, class Stage, int kBlocks>
RNNFAST_NOINLINE void stream_panel(const StreamStepArgs<Real>& args, Index index) {
  constexpr int G = Stage::kGates;
  constexpr int NV = kBlocks * G;
  constexpr int kFull = kMaxVectors / G;
  const StreamPanel<Real> panel = stream_weights(args, index, kFull * G * kLanes<Real>);
  const Index unit = index * kFull * kLanes<Real>;
  const bool ready = args.u_rows != nullptr;
  Vec<Real> u[NV];
  Vec<Real> q[NV];
#pragma GCC unroll 4
  for (int v = 0; v < NV; ++v) {
    u[v] = ready ? ready_product(args, 0, Stage::kFirstGate + v % G, unit + v / G * kLanes<Real>)
                 : load(panel.b_w + v * kLanes<Real>);
    q[v] = load(panel.b_r + v * kLanes<Real>);
  }
  stream_chains<Real, NV>(panel, stream_input(args, 0), ready ? 0 : args.C, stream_operand(args, Stage::kOperand, 0),
                          args.P, u, q);
#pragma GCC unroll 4
  for (int block = 0; block < kBlocks; ++block) {
    Vec<Real> own[G];
#pragma GCC unroll 4
    for (int g = 0; g < G; ++g) own[g] = q[block * G + g];
    apply_stage<Stage>(own, stream_unit<Real, Stage>(args, 0, unit + block * kLanes<Real>, u + block * G));
  }
}

template <class Real, class Stage, int kBlocks = kMaxVectors / Stage::kGates>
RNNFAST_INLINE void stream_blocks(const StreamStepArgs<Real>& args, Index index, Index blocks) {
  if (blocks == kBlocks)
    stream_panel<Real, Stage, kBlocks>(args, index);
  else if constexpr (kBlocks > 1)
    stream_blocks<Real, Stage, kBlocks - 1>(args, index, blocks);
}

// The products of a tile, [rows][blocks][gates][lanes].
template <class Real>
struct StreamTile {
  Tile<Real> u;
  Tile<Real> q;
};

// The products of a single row in memory, for the cells whose activations are chosen.
template <class Real, int NV>
RNNFAST_NOINLINE void stream_row(const StreamPanel<Real>& panel, const Real* x, Index C, const Real* h, Index P,
                                 StreamTile<Real>& tile) {
  Vec<Real> u[NV];
  Vec<Real> q[NV];
#pragma GCC unroll 4
  for (int v = 0; v < NV; ++v) u[v] = load(panel.b_w + v * kLanes<Real>), q[v] = load(panel.b_r + v * kLanes<Real>);
  stream_chains<Real, NV>(panel, x, C, h, P, u, q);
#pragma GCC unroll 4
  for (int v = 0; v < NV; ++v) store(tile.u.q + v * kLanes<Real>, u[v]), store(tile.q.q + v * kLanes<Real>, q[v]);
}

template <class Real, int NV = kMaxVectors>
RNNFAST_INLINE void stream_vectors(const StreamPanel<Real>& panel, const Real* x, Index C, const Real* h, Index P,
                                   Index vectors, StreamTile<Real>& tile) {
  if (vectors == NV)
    stream_row<Real, NV>(panel, x, C, h, P, tile);
  else if constexpr (NV > 1)
    stream_vectors<Real, NV - 1>(panel, x, C, h, P, vectors, tile);
}

// The cell on a tile's products.
template <class Real, class Stage>
RNNFAST_NOINLINE void stream_units(const StreamStepArgs<Real>& args, Index row, Index rows, Index unit, Index blocks,
                                   const StreamTile<Real>& tile) {
  constexpr int G = Stage::kGates;
  static_assert(Stage::kParts == 1 || kMaxVectors / G == 1, "a stage of two parts has one block a panel");
  assume_blocks(blocks, kMaxVectors / G);
  Vec<Real> kept[kMaxTileRows][2];
  const Real* from_u = tile.u.q;
  const Real* from_q = tile.q.q;
  for (Index r = 0; r < rows; ++r) {
    for (Index block = 0; block < blocks; ++block, from_u += G * kLanes<Real>, from_q += G * kLanes<Real>) {
      Vec<Real> u[G];
      Vec<Real> q[G];
      load_gates<Real, Stage>(from_u, u);
      load_gates<Real, Stage>(from_q, q);
      const StreamUnit<Real, Stage> m = stream_unit<Real, Stage>(args, row + r, unit + block * kLanes<Real>, u);
      if constexpr (Stage::kParts == 2)
        Stage::begin(q, m, kept[r]);
      else
        Stage::apply(q, m);
    }
  }
  if constexpr (Stage::kParts == 2)
    for (Index r = 0; r < rows; ++r) Stage::end(kept[r], stream_unit<Real, Stage>(args, row + r, unit, nullptr));
}

// What all cells share sees a stage as this.
template <class Real>
struct StreamStage {
  int gates;
  int first_gate;
  int full;  // blocks of every panel but the last
  Operand operand;
  void (*units)(const StreamStepArgs<Real>& args, Index row, Index rows, Index unit, Index blocks,
                const StreamTile<Real>& tile);
};

// W x of a tile where it is ready.
template <class Real>
RNNFAST_INLINE void ready_tile(const StreamStepArgs<Real>& args, const StreamStage<Real>& stage, Index row, Index rows,
                               Index unit, Index blocks, Tile<Real>& tile) {
  Real* to = tile.q;
  for (Index r = 0; r < rows; ++r)
    for (Index first = unit; first < unit + blocks * kLanes<Real>; first += kLanes<Real>)
      for (Index g = 0; g < stage.gates; ++g, to += kLanes<Real>)
        store(to, ready_product(args, row + r, stage.first_gate + g, first));
}

template <class Real>
RNNFAST_NOINLINE void stream_rows(const StreamStepArgs<Real>& args, const StreamStage<Real>& stage, Index index,
                                  Index blocks) {
  const StreamPanel<Real> panel = stream_weights(args, index, stage.full * stage.gates * kLanes<Real>);
  const Index vectors = blocks * stage.gates;
  const Index unit = index * stage.full * kLanes<Real>;
  const bool ready = args.u_rows != nullptr;
  Tiles tiles = tiles_of(args.rows, vectors);
  for (Index row = 0; row < args.rows;) {
    const Index m = tiles.take();
    const Real* x[kMaxTileRows];
    const Real* h[kMaxTileRows];
    for (Index r = 0; r < m; ++r) h[r] = stream_operand(args, stage.operand, row + r);
    for (Index r = 0; r < m && !ready; ++r) x[r] = stream_input(args, row + r);
    StreamTile<Real> tile;
    if (ready) ready_tile(args, stage, row, m, unit, blocks, tile.u);
    if (args.rows == 1 && !ready) {
      stream_vectors<Real>(panel, x[0], args.C, h[0], args.P, vectors, tile);
    } else {
      if (!ready) multiply(vectors, m, x, args.C, panel.w, panel.b_w, tile.u);
      multiply(vectors, m, h, args.P, panel.r, panel.b_r, tile.q);
    }
    stage.units(args, row, m, unit, blocks, tile);
    row += m;
  }
}

template <class Real, class Cell, class Stage>
static void stream_step(const StreamStepArgs<Real>& args) {
  constexpr int kFull = kMaxVectors / Stage::kGates;
  static constexpr StreamStage<Real> kStage = {Stage::kGates, Stage::kFirstGate, kFull, Stage::kOperand,
                                               stream_units<Real, Stage>};
  for (Index i = args.panel0; i < args.panel1; ++i) {
    const Index index = args.descending ? args.panel0 + args.panel1 - 1 - i : i;
    const Index blocks = panel_blocks<Real>(args.H, index, kFull);
    if constexpr (!Cell::kRuntime) {
      if (args.rows == 1) {
        stream_blocks<Real, Stage>(args, index, blocks);
        continue;
      }
    }
    stream_rows(args, kStage, index, blocks);
  }
}

}  // namespace rnnfast::RNNFAST_ISA
