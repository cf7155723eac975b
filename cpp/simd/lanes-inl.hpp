// Steps of a block of sequences, one sequence in each lane: small layers in large batches, whose units would not fill
// vectors. Weights are broadcast, states stay beside each other from step to step, and u = W x is made in the step.
// Each number is the same chain of fma as in forward-inl.hpp. Arrays of a block are [numbers, lanes of the block].
#pragma once
#include "cells-inl.hpp"

namespace rnnfast::RNNFAST_ISA {

// Vectors of sequences in a block: one weight serves them all.
constexpr Index kBlockVectors = 2;

// Units at once, a power of two: chains enough to fill the machine, as many as the registers hold beside operands. A
// cell of one gate, whose units are many at once, would only be long code with more than fill it.
template <int G, int V, int kMost = 8>
constexpr int kUnitsAtOnce = G * V * kMost <= (G == 1             ? 8
                                               : kRegisters == 32 ? 16
                                                                  : 12)
                                 ? kMost
                                 : kUnitsAtOnce<G, V, kMost / 2>;
template <int G, int V>
constexpr int kUnitsAtOnce<G, V, 1> = 1;

// Rows of equally long sequences: that of sequence n at step s.
template <class Real>
struct Grid {
  Real* data;
  Index by_n;
  Index by_s;

  RNNFAST_INLINE_MEMBER Real* at(Index n, Index s) const { return data + n * by_n + s * by_s; }
};

template <class Real>
RNNFAST_INLINE Grid<Real> grid_of(const View<Real>& view, const RowOrder& order) {
  return {view.data - view.row0 * view.by_row, view.by_row + view.by_n, order.N * view.by_row + view.by_t};
}

// to [width, stride] from rows [count] of [width], by_n apart; lanes beyond count become zero.
template <class Real>
RNNFAST_NOINLINE void gather_lanes(const Real* rows, Index by_n, Index count, Index width, Real* to, Index stride) {
  constexpr Index L = kLanes<Real>;
  for (Index j = 0; j < width; j += L) {
    Vec<Real> v[L];
#pragma GCC unroll 16
    for (Index i = 0; i < L; ++i) v[i] = i < count ? load_first(rows + i * by_n + j, width - j) : Vec<Real>{};
    transpose<Real>(v);
#pragma GCC unroll 16
    for (Index i = 0; i < L; ++i)
      if (j + i < width) store(to + (j + i) * stride, v[i]);
  }
}

// The reverse. `from` has whole vectors of numbers: width is rounded up.
template <class Real>
RNNFAST_NOINLINE void scatter_lanes(const Real* from, Index stride, Index count, Index width, Real* rows, Index by_n) {
  constexpr Index L = kLanes<Real>;
  for (Index j = 0; j < width; j += L) {
    Vec<Real> v[L];
#pragma GCC unroll 16
    for (Index i = 0; i < L; ++i) v[i] = load(from + (j + i) * stride);
    transpose<Real>(v);
#pragma GCC unroll 16
    for (Index i = 0; i < L; ++i)
      if (i < count) store_first(rows + i * by_n + j, v[i], width - j);
  }
}

// Memory of a block. Units are rounded up to whole vectors.
template <class Real>
struct LaneBlock {
  Real* x;       // [C]
  Real* h_prev;  // [units]
  Real* h;       // [units]
  Real* aux;     // [units] c in and out; or what else the cell keeps
  Real* gates;   // [G, H], where they are saved
};

// One vector of sequences at one unit, as the cell sees it.
template <class Real>
struct LaneUnit {
  const Vec<Real>* products;  // [G] u
  const Real* h_prev;
  Real* h;
  Real* aux;
  Real* gates;
  Index by_gate;
  bool keeps;
  const CellOptions<Real>* options;

  RNNFAST_INLINE_MEMBER bool save() const { return keeps; }
  RNNFAST_INLINE_MEMBER Vec<Real> u(int g) const { return products[g]; }
  RNNFAST_INLINE_MEMBER void set_gate(int g, Vec<Real> v) const { store(gates + g * by_gate, v); }
  RNNFAST_INLINE_MEMBER void set_h(Vec<Real> v) const { store(h, v); }
  RNNFAST_INLINE_MEMBER void set_aux(Vec<Real> v) const { store(aux, v); }
  RNNFAST_INLINE_MEMBER Vec<Real> load_h_prev() const { return load(h_prev); }
  RNNFAST_INLINE_MEMBER Vec<Real> load_aux_prev() const { return load(aux); }
};

// acc[unit][vector][gate] = bias + sum_k weights[k] operand[k]; weights of a unit [K, G], `by_unit` from one to the
// next, operand [K, V, lanes].
template <class Real, int U, int V, int G>
RNNFAST_INLINE void lane_products(const Real* weights, Index by_unit, const Real* bias, Index bias_by_unit,
                                  const Real* operand, Index K, Vec<Real> (&acc)[U][V][G]) {
#pragma GCC unroll 8
  for (int i = 0; i < U; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v)
#pragma GCC unroll 4
      for (int g = 0; g < G; ++g) acc[i][v][g] = splat(bias[i * bias_by_unit + g]);
  for (Index k = 0; k < K; ++k, weights += G, operand += V * kLanes<Real>) {
    Vec<Real> in[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) in[v] = load(operand + v * kLanes<Real>);
#pragma GCC unroll 8
    for (int i = 0; i < U; ++i)
#pragma GCC unroll 4
      for (int g = 0; g < G; ++g) {
        const Vec<Real> weight = splat(weights[i * by_unit + g]);
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) acc[i][v][g] = fma(weight, in[v], acc[i][v][g]);
      }
  }
}

template <class Real, class Stage, int U, int V>
RNNFAST_NOINLINE void lane_units(const ForwardArgs<Real>& args, const LaneBlock<Real>& block, Index unit) {
  constexpr int G = Stage::kGates;
  constexpr Index S = V * kLanes<Real>;
  const Index K = args.C + args.P;
  const Real* weights = args.packed + unit * K * G;
  const Real* bias = args.bias + unit * 2 * G;
  Vec<Real> u[U][V][G];
  Vec<Real> q[U][V][G];
  lane_products(weights, K * G, bias, 2 * G, block.x, args.C, u);
  lane_products(weights + args.C * G, K * G, bias + G, 2 * G, block.h_prev, args.P, q);
  Vec<Real> kept[U][V][2];
  const auto cell = [&](int i, int v) {
    const Index at = (unit + i) * S + v * kLanes<Real>;
    return LaneUnit<Real>{u[i][v],          block.h_prev + at, block.h + at, block.aux + at,
                          block.gates + at, args.H * S,        args.save,    args.options};
  };
  const int count = static_cast<int>(smaller(U, args.H - unit));
#pragma GCC unroll 8
  for (int i = 0; i < U && i < count; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) begin_stage<Stage>(q[i][v], cell(i, v), kept[i][v]);
#pragma GCC unroll 8
  for (int i = 0; i < U && i < count; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) end_stage<Stage>(kept[i][v], cell(i, v));
}

// All units, the last ones fewer at once.
template <class Real, class Stage, int V>
static void lane_step(const ForwardArgs<Real>& args, const LaneBlock<Real>& block) {
  constexpr int U = kUnitsAtOnce<Stage::kGates, V>;
  constexpr int kFew = U > 1 ? U / 2 : 1;
  Index unit = 0;
  for (; unit + kFew < args.H; unit += U) lane_units<Real, Stage, U, V>(args, block, unit);
  if (unit < args.H) lane_units<Real, Stage, kFew, V>(args, block, unit);
}

// A step of a block of V vectors, [V - 1].
template <class Real>
using LaneStep = void (*)(const ForwardArgs<Real>& args, const LaneBlock<Real>& block);

// Sequence `lane` of the block begins again: its state becomes h and c.
template <class Real>
RNNFAST_INLINE void set_lane(Real* state, Index lane, Index S, const Real* from, Index H) {
  for (Index j = 0; j < H; ++j) state[j * S + lane] = from[j];
}

// A block of sequences [n0, n1) and what its steps read and write, in the user's arrays and in its own memory.
template <class Real>
struct LaneSequences {
  const ForwardArgs<Real>& args;
  Index n0;
  Index n1;
  Index S;  // lanes

  // Calls f(first sequence, how many, its lane) for each vector.
  template <class F>
  RNNFAST_INLINE_MEMBER void for_vectors(const F& f) const {
    for (Index n = n0; n < n1; n += kLanes<Real>) f(n, smaller(kLanes<Real>, n1 - n), n - n0);
  }
  RNNFAST_INLINE_MEMBER void gather(const Grid<const Real>& from, Index s, Index width, Real* to) const {
    for_vectors(
        [&](Index n, Index count, Index lane) { gather_lanes(from.at(n, s), from.by_n, count, width, to + lane, S); });
  }
  RNNFAST_INLINE_MEMBER void scatter(const Real* from, const Grid<Real>& to, Index s, Index width) const {
    for_vectors(
        [&](Index n, Index count, Index lane) { scatter_lanes(from + lane, S, count, width, to.at(n, s), to.by_n); });
  }
};

// The states before step s of a call's first step: rows of a view, or initial ones.
template <class Real>
RNNFAST_INLINE Grid<const Real> states_before(const View<Real>& view, const RowOrder& order, Index before,
                                              const InitialState<Real>& initial) {
  if (before < 0 || before >= order.T) return {initial.given, initial.width, 0};
  const Grid<Real> grid = grid_of(view, order);
  return {grid.data, grid.by_n, grid.by_s};
}

// Steps that are copied at once, in the order of time. Where a sequence's rows lie beside each other these are long
// rows, which fill vectors and touch fewer pages.
struct StepRun {
  Index most;
  Index low = 0;  // the first step
  Index count = 0;
  Index left = 0;  // steps of the run that are still to come

  // Whether a run begins with step s of a call that has `coming` more, s among them.
  RNNFAST_INLINE_MEMBER bool begins(Index s, Index coming, Index time_step) {
    if (left-- > 0) return false;
    count = smaller(most, coming);
    left = count - 1;
    low = time_step > 0 ? s : s - left;
    return true;
  }
};

template <class Real>
RNNFAST_INLINE StepRun step_run(const Grid<Real>& rows, Index width) {
  return {rows.by_s == width && width > 0 && width < kLaneRun ? kLaneRun / width : 1};
}

template <class Real>
RNNFAST_NOINLINE void lane_block(const ForwardArgs<Real>& args, Index n0, Index n1, Index V, Index G,
                                 LaneStep<Real> take_step) {
  const RowOrder& order = args.order;
  const Index time_step = order.time_step;
  const Index H = args.H;
  const Index S = V * kLanes<Real>;
  const Index state = ceil_div(H, kLanes<Real>) * kLanes<Real> * S;
  const Index run = larger(state, (kLaneRun + kLanes<Real>)*S);
  Real* const x_run = args.scratch;
  Real* h_run = x_run + larger(args.C, kLaneRun) * S;
  Real* other_run = h_run + run;
  LaneBlock<Real> block;
  block.h_prev = other_run;
  block.aux = other_run + run;
  block.gates = block.aux + state;
  const LaneSequences<Real> sequences{args, n0, n1, S};
  const Grid<const Real> x = grid_of(args.x, order);
  const Grid<Real> y = grid_of(args.y, order);
  const bool resets = order.rows_by_place != nullptr;
  StepRun read = step_run(x, args.C);
  StepRun write = resets ? StepRun{1} : step_run(y, H);
  const bool has_aux = args.aux.data != nullptr;
  const bool has_gates = args.save && args.u.data != nullptr;
  const Index steps = args.s1 - args.s0;
  const Index before = step_at(args.s0, args.s1, time_step, 0) - time_step;
  sequences.gather(states_before(args.y, order, before, args.h0), before, H, block.h_prev);
  if (has_aux) sequences.gather(states_before(args.aux, order, before, args.c0), before, H, block.aux);
  for (Index step = 0; step < steps; ++step) {
    const Index s = step_at(args.s0, args.s1, time_step, step);
    if (read.begins(s, steps - step, time_step)) sequences.gather(x, read.low, read.count * args.C, x_run);
    write.begins(s, steps - step, time_step);
    block.x = x_run + (s - read.low) * args.C * S;
    block.h = h_run + (s - write.low) * H * S;
    for (Index n = n0; n < n1 && resets; ++n) {
      if (row_ref(order, s, s * order.N + n).prev != kReset) continue;
      set_lane(block.h_prev, n - n0, S, args.h0.reset + n * args.h0.reset_by_n, H);
      if (has_aux) set_lane(block.aux, n - n0, S, args.c0.reset + n * args.c0.reset_by_n, H);
    }
    take_step(args, block);
    if (has_aux && (args.save || step + 1 == steps)) sequences.scatter(block.aux, grid_of(args.aux, order), s, H);
    if (has_gates) sequences.scatter(block.gates, grid_of(args.u, order), s, G * H);
    block.h_prev = block.h;
    if (write.left > 0) continue;
    sequences.scatter(h_run, y, write.low, write.count * H);
    Real* const written = h_run;
    h_run = other_run;
    other_run = written;
  }
}

template <class Real, class Stage>
static void forward_lanes(const ForwardArgs<Real>& args) {
  constexpr Index L = kLanes<Real>;
  static_assert(kBlockVectors == 2, "one vector may be left");
  for (Index n = args.order.n0; n < args.order.n1;) {
    const Index end = smaller(n + kBlockVectors * L, args.order.n1);
    if (end - n > L)
      lane_block<Real>(args, n, end, 2, Stage::kGates, lane_step<Real, Stage, 2>);
    else
      lane_block<Real>(args, n, end, 1, Stage::kGates, lane_step<Real, Stage, 1>);
    n = end;
  }
}

}  // namespace rnnfast::RNNFAST_ISA
