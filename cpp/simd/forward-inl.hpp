// One step of a cell's stage forward, and the loop over steps: the stage's products, panel by panel of units, then the
// cell on their accumulators. The loop over time is in here, so that sequences that need no barrier take one call a
// chunk.
//
// Usually q = R h is computed here and u is given. Where each call brings one step (args.w, kInput), u = W x is
// computed beside q in one pass over the weights. For a normalised layer (args.q) both are given.
#pragma once
#include "cells-inl.hpp"

namespace rnnfast::RNNFAST_ISA {

// A stage as seen by the code that all cells share.
template <class Real>
struct ForwardStage {
  int gates;
  int first_gate;
  int full;  // blocks of every panel but the last
  Operand operand;
  // The cell on the products of a tile, [rows, blocks, gates, lanes]; without and with u among them.
  void (*cell[2])(const ForwardArgs<Real>& args, const RowRef* refs, Index rows, Index unit, Index blocks, Real* q,
                  const Real* u);
};

template <bool kInput, class Real>
RNNFAST_INLINE const Real* forward_operand(const ForwardArgs<Real>& args, Operand operand, const RowRef& ref) {
  if (operand == Operand::kAux) return row_at<kInput>(args.aux, ref);
  return before(args.recurrent_input, args.order, ref, args.recurrent_input0);
}

// x of sequence n, or its u where that is ready.
template <class Real>
RNNFAST_INLINE const Real* input_of(const StepInput<Real>& input, Index n) {
  return input.rows != nullptr ? input.rows[n] : input.x + n * input.ld;
}

// The cell on accumulators in memory. A stage of two parts begins all rows before it ends them: a chain of all its
// activations is so long that a core's window of instructions holds only two.
template <class Real, class Stage, bool kInput>
RNNFAST_NOINLINE void cell_of_tile(const ForwardArgs<Real>& args, const RowRef* refs, Index rows, Index unit,
                                   Index blocks, Real* tile_q, [[maybe_unused]] const Real* tile_u) {
  constexpr int G = Stage::kGates;
  constexpr Index kBlock = G * kLanes<Real>;
  using Unit = ForwardUnit<Real, Stage, kInput>;
  assume_blocks(blocks, kMaxVectors / G);
  static_assert(Stage::kParts == 1 || kMaxVectors / G == 1, "a panel of a stage of two parts is one block");
  Vec<Real> q[G];
  Vec<Real> u[G];
  Vec<Real> kept[2];
  const ForwardRow<Real> first = forward_row<kInput>(args, kInput ? only_step(refs[0].n) : refs[0]);
  ForwardRow<Real> row = first;
  for (Index r = 0; r < rows; ++r) {
    if (r > 0) move_to<kInput>(args, refs[r], row);
    for (Index block = 0; block < blocks; ++block) {
      const Index at = (r * blocks + block) * kBlock;
#pragma GCC unroll 4
      for (int g = 0; g < G; ++g) {
        q[g] = load(tile_q + at + g * kLanes<Real>);
        if constexpr (kInput) u[g] = load(tile_u + at + g * kLanes<Real>);
      }
      const Unit m{row, unit + block * kLanes<Real>, u, args.options};
      if constexpr (Stage::kParts == 2) {
        Stage::begin(q, m, kept);
        store(tile_q + at, kept[0]);
        store(tile_q + at + kLanes<Real>, kept[1]);
      } else {
        Stage::apply(q, m);
      }
    }
  }
  if constexpr (Stage::kParts == 2) {
    row = first;
    for (Index r = 0; r < rows; ++r) {
      if (r > 0) move_to<kInput>(args, refs[r], row);
      kept[0] = load(tile_q + r * kBlock);
      kept[1] = load(tile_q + r * kBlock + kLanes<Real>);
      Stage::end(kept, Unit{row, unit, u, args.options});
    }
  }
}

template <class Real, class Stage>
constexpr ForwardStage<Real> forward_stage() {
  return {Stage::kGates,
          Stage::kFirstGate,
          kMaxVectors / Stage::kGates,
          Stage::kOperand,
          {cell_of_tile<Real, Stage, false>, cell_of_tile<Real, Stage, true>}};
}

// Copies the stage's gates of rows [G H], from `unit` on, into a tile.
template <class Real>
RNNFAST_INLINE void gather_gates(const ForwardStage<Real>& stage, const Real* const* rows, Index count, Index unit,
                                 Index blocks, Index H, Tile<Real>& tile) {
  Real* to = tile.q;
  for (Index r = 0; r < count; ++r)
    for (Index first = unit; first < unit + blocks * kLanes<Real>; first += kLanes<Real>)
      for (Index g = stage.first_gate; g < stage.first_gate + stage.gates; ++g, to += kLanes<Real>)
        store(to, load_first(rows[r] + g * H + first, H - first));
}

template <class Real>
RNNFAST_NOINLINE void forward_panel(const ForwardArgs<Real>& args, const ForwardStage<Real>& stage, Index s,
                                    Index panel, Index next) {
  const Index blocks = panel_blocks<Real>(args.H, panel, stage.full);
  const Index vectors = blocks * stage.gates;
  const Index width = stage.full * stage.gates * kLanes<Real>;
  const Index numbers = args.P * width;
  const Index unit = panel * stage.full * kLanes<Real>;
  const bool input = args.w != nullptr;
  Ahead<Real> ahead = fetched_ahead(args, next, numbers);
  const Index first = first_place(args.order, s);
  const Index end = end_place(args.order, s);
  Tiles tiles = tiles_of(end - first, vectors);
  for (Index place = first; place < end;) {
    const Index m = tiles.take();
    RowRef refs[kMaxTileRows];
    const Real* operand[kMaxTileRows];
    for (Index r = 0; r < m; ++r) {
      refs[r] = row_ref(args.order, s, place + r);
      operand[r] = forward_operand<false>(args, stage.operand, refs[r]);
    }
    Tile<Real> q;
    Tile<Real> u;
    multiply(vectors, m, operand, args.P, args.packed + panel * numbers, args.bias + panel * width, q,
             ahead.take(args.P));
    if (input) {
      for (Index r = 0; r < m; ++r) operand[r] = input_of(*args.input, refs[r].n);
      if (args.input->ready_u)
        gather_gates(stage, operand, m, unit, blocks, args.H, u);
      else
        multiply(vectors, m, operand, args.C, args.w + panel * args.C * width, args.b_w + panel * width, u);
    }
    stage.cell[input](args, refs, m, unit, blocks, q.q, u.q);
    place += m;
  }
}

// Calls f(Count<n>) for a run-time n within [1, kMost].
template <int kValue>
struct Count {
  static constexpr int value = kValue;
};
template <int kMost, class F>
RNNFAST_INLINE void with_count(Index n, const F& f) {
  if (n == kMost)
    f(Count<kMost>{});
  else if constexpr (kMost > 1)
    with_count<kMost - 1>(n, f);
}

// A step of one row. Cells with fixed activations read their accumulators from registers. Those with run-time
// activations read them from memory, through the code that serves tiles. Below, `operand` is the [P] that R reads,
// `input` the [C] that W reads, or u [G H] where that is ready.

template <class Real, int kPanels, int NV>
RNNFAST_INLINE void add_product(Vec<Real> (&acc)[kPanels][NV], Real x, const Real* weights, Index stride) {
  const Vec<Real> all = splat(x);
#pragma GCC unroll 2
  for (int p = 0; p < kPanels; ++p) {
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) acc[p][v] = fma(all, load(weights + p * stride + v * kLanes<Real>), acc[p][v]);
  }
}

template <class Real, int kPanels, int NV>
RNNFAST_INLINE void load_bias(const Real* bias, Index width, Vec<Real> (&acc)[kPanels][NV]) {
#pragma GCC unroll 2
  for (int p = 0; p < kPanels; ++p) {
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) acc[p][v] = load(bias + p * width + v * kLanes<Real>);
  }
}

// q = b_hh + R h on kPanels neighbouring panels.
template <class Real, int kPanels, int NV>
RNNFAST_INLINE void row_products(const ForwardArgs<Real>& args, const Real* operand, Index panel, Index width,
                                 Vec<Real> (&q)[kPanels][NV]) {
  const Index stride = args.P * width;
  const Real* r = args.packed + panel * stride;
  load_bias(args.bias + panel * width, width, q);
  for (Index k = 0; k < args.P; ++k, r += NV * kLanes<Real>) add_product(q, operand[k], r, stride);
}

// q = b_hh + R h and u += W x, x of `C` numbers, side by side: each alone is too few chains to fill the machine.
template <class Real, int NV>
RNNFAST_INLINE void row_products(const ForwardArgs<Real>& args, const Real* operand, const Real* input, Index C,
                                 Index panel, Index width, Vec<Real> (&q)[1][NV], Vec<Real> (&u)[1][NV]) {
  constexpr Index kWidth = NV * kLanes<Real>;
  const Index P = args.P;
  const Real* r = args.packed + panel * P * width;
  const Real* w = args.w + panel * args.C * width;
  load_bias(args.bias + panel * width, width, q);
  const Index both = smaller(C, P);
  for (Index k = 0; k < both; ++k) {
    add_product(u, input[k], w + k * kWidth, 0);
    add_product(q, operand[k], r + k * kWidth, 0);
  }
  for (Index k = both; k < C; ++k) add_product(u, input[k], w + k * kWidth, 0);
  for (Index k = both; k < P; ++k) add_product(q, operand[k], r + k * kWidth, 0);
}

template <class Real, class Stage, bool kInput, int kPanels, int kBlocks>
RNNFAST_NOINLINE void single_row_panels(const ForwardArgs<Real>& args, const ForwardRow<Real>& row, const Real* operand,
                                        [[maybe_unused]] const Real* input, Index panel) {
  constexpr int G = Stage::kGates;
  constexpr int NV = kBlocks * G;
  constexpr int kFull = kMaxVectors / G;
  constexpr Index kWidth = kFull * G * kLanes<Real>;
  const Index unit = panel * kFull * kLanes<Real>;
  Vec<Real> q[kPanels][NV];
  Vec<Real> u[kPanels][NV];
  if constexpr (kInput) {
    const bool ready = args.input->ready_u;
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) {
      const Index first = unit + v / G * kLanes<Real>;
      u[0][v] = ready ? load_first(input + (Stage::kFirstGate + v % G) * args.H + first, args.H - first)
                      : load(args.b_w + panel * kWidth + v * kLanes<Real>);
    }
    row_products(args, operand, input, ready ? 0 : args.C, panel, kWidth, q, u);
  } else {
    row_products(args, operand, panel, kWidth, q);
  }
#pragma GCC unroll 2
  for (int p = 0; p < kPanels; ++p) {
#pragma GCC unroll 4
    for (int block = 0; block < kBlocks; ++block) {
      Vec<Real> own[G];
#pragma GCC unroll 4
      for (int g = 0; g < G; ++g) own[g] = q[p][block * G + g];
      const ForwardUnit<Real, Stage, kInput> m{row, unit + (p * kFull + block) * kLanes<Real>, u[p] + block * G,
                                               args.options};
      apply_stage<Stage>(own, m);
    }
  }
}

// The products of one row in memory, to_q [kPanels, NV, lanes] and, where kInput, to_u [NV, lanes].
template <class Real, bool kInput, int kPanels, int NV>
RNNFAST_NOINLINE void single_row_product(const ForwardArgs<Real>& args, const Real* operand,
                                         [[maybe_unused]] const Real* input, Index panel, Index width, Real* to_q,
                                         [[maybe_unused]] Real* to_u) {
  Vec<Real> q[kPanels][NV];
  if constexpr (kInput) {
    Vec<Real> u[1][NV];
    load_bias(args.b_w + panel * width, width, u);
    row_products(args, operand, input, args.C, panel, width, q, u);
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) store(to_u + v * kLanes<Real>, u[0][v]);
  } else {
    row_products(args, operand, panel, width, q);
  }
#pragma GCC unroll 2
  for (int p = 0; p < kPanels; ++p) {
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) store(to_q + p * width + v * kLanes<Real>, q[p][v]);
  }
}

// One panel, or two full ones, of a cell with run-time activations.
template <class Real, bool kInput>
RNNFAST_INLINE void single_row_in_memory(const ForwardArgs<Real>& args, const ForwardStage<Real>& stage,
                                         const RowRef& ref, const Real* operand, const Real* input, Index panel,
                                         Index panels, Index blocks) {
  const Index width = stage.full * stage.gates * kLanes<Real>;
  const Index unit = panel * stage.full * kLanes<Real>;
  const bool ready = kInput && args.input->ready_u;
  Tile<Real> q;
  Tile<Real> u;
  if (ready) gather_gates(stage, &input, 1, unit, blocks, args.H, u);
  with_count<kMaxVectors>(blocks * stage.gates, [&](auto vectors) __attribute__((always_inline)) {
    constexpr int NV = decltype(vectors)::value;
    if (kInput && !ready) return single_row_product<Real, kInput, 1, NV>(args, operand, input, panel, width, q.q, u.q);
    if constexpr (!kInput && NV > kMaxVectors / 2) {
      if (panels == 2) return single_row_product<Real, false, 2, NV>(args, operand, input, panel, width, q.q, nullptr);
    }
    single_row_product<Real, false, 1, NV>(args, operand, input, panel, width, q.q, nullptr);
  });
  for (Index p = 0; p < panels; ++p)
    stage.cell[kInput](args, &ref, 1, unit + p * stage.full * kLanes<Real>, blocks, q.q + p * width, u.q);
}

// A panel this wide has chains enough to use one cache line a cycle, the rate of L2.
template <class Real>
constexpr int kNumbersForL2 = 4 * kLine<Real>;

// Two panels are computed side by side, because one alone is too few chains to fill the machine. Four chains of 64
// bytes take all that L2 gives, though: where panels come from L2, a step that turns around at a single panel finds
// more of them in L1. With u computed here, a single panel has chains enough.
template <class Real, class Cell, class Stage, bool kInput>
RNNFAST_INLINE void single_row_step(const ForwardArgs<Real>& args, const ForwardStage<Real>& stage, Index s) {
  constexpr int kFull = kMaxVectors / Stage::kGates;
  const RowRef ref = kInput ? only_step(args.order.n0) : row_ref(args.order, s, first_place(args.order, s));
  const ForwardRow<Real> row = forward_row<kInput>(args, ref);
  const Real* operand = forward_operand<kInput>(args, Stage::kOperand, ref);
  const Real* input = kInput ? input_of(*args.input, ref.n) : nullptr;
  // Where units are shared, other cores have written most of it a moment ago.
  for (Index k = 0; k < args.P && !kInput; k += kLine<Real>) __builtin_prefetch(operand + k);
  const bool pairs = !kInput && (kFull * Stage::kGates * kLanes<Real> < kNumbersForL2<Real> || !args.from_l2);
  const Index turn = s + args.turn;
  const Index panels = args.panel1 - args.panel0;
  for (Index i = 0; i < panels;) {
    const Index panel = panel_at(args, turn, i);
    const Index next = pairs && i + 1 < panels ? panel_at(args, turn, i + 1) : panel;
    const Index first = panel < next ? panel : next;
    const Index last = panel < next ? next : panel;
    const bool pair = next != panel && panel_blocks<Real>(args.H, last, kFull) == kFull;
    const Index blocks = pair ? kFull : panel_blocks<Real>(args.H, panel, kFull);
    if constexpr (Cell::kRuntime) {
      single_row_in_memory<Real, kInput>(args, stage, ref, operand, input, pair ? first : panel, pair ? 2 : 1, blocks);
    } else if (pair) {
      if constexpr (!kInput) single_row_panels<Real, Stage, kInput, 2, kFull>(args, row, operand, input, first);
    } else {
      with_count<kFull>(blocks, [&](auto count) __attribute__((always_inline)) {
        single_row_panels<Real, Stage, kInput, 1, decltype(count)::value>(args, row, operand, input, panel);
      });
    }
    i += pair ? 2 : 1;
  }
}

template <class Real, class Cell, class Stage, bool kInput>
RNNFAST_INLINE void forward_step(const ForwardArgs<Real>& args, Index s) {
  static constexpr ForwardStage<Real> kStage = forward_stage<Real, Stage>();
  const Index rows = kInput ? args.order.n1 - args.order.n0 : end_place(args.order, s) - first_place(args.order, s);
  if (rows == 1) return single_row_step<Real, Cell, Stage, kInput>(args, kStage, s);
  const Index turn = s + args.turn;
  for (Index i = 0; i < args.panel1 - args.panel0; ++i)
    forward_panel(args, kStage, s, panel_at(args, turn, i), panel_after(args, turn, i));
}

// Steps of a normalised layer, whose q is given: the cell alone.
template <class Real, class Stage>
RNNFAST_NOINLINE void ready_steps(const ForwardArgs<Real>& args) {
  constexpr int G = Stage::kGates;
  constexpr Index kPanel = kMaxVectors / G * kLanes<Real>;
  const Index H = args.H;
  const Index end = smaller(args.panel1 * kPanel, H);
  for (Index step = 0; step < args.s1 - args.s0; ++step) {
    const Index s = step_at(args.s0, args.s1, args.order.time_step, step);
    for (Index place = first_place(args.order, s); place < end_place(args.order, s); ++place) {
      const RowRef ref = row_ref(args.order, s, place);
      const ForwardRow<Real> row = forward_row<false>(args, ref);
      const Real* q = at(args.q, ref.row, ref.n, ref.t) + Stage::kFirstGate * H;
      for (Index unit = args.panel0 * kPanel; unit < end; unit += kLanes<Real>) {
        Vec<Real> own[G];
#pragma GCC unroll 4
        for (int g = 0; g < G; ++g) own[g] = load_first(q + g * H + unit, H - unit);
        apply_stage<Stage>(own, ForwardUnit<Real, Stage, false>{row, unit, nullptr, args.options});
      }
    }
  }
}

template <class Real, class Cell, class Stage>
static void forward_steps(const ForwardArgs<Real>& args) {
  if (args.q.data != nullptr) return ready_steps<Real, Stage>(args);
  if (args.w != nullptr) return forward_step<Real, Cell, Stage, true>(args, 0);
  for (Index step = 0; step < args.s1 - args.s0; ++step)
    forward_step<Real, Cell, Stage, false>(args, step_at(args.s0, args.s1, args.order.time_step, step));
}

}  // namespace rnnfast::RNNFAST_ISA
