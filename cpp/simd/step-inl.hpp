// What a step reads and writes: where its rows are, in a dense batch and in a listed one, in which order it takes its
// panels, and one vector of units of a row as the cell sees it.
#pragma once
#include "gemm-inl.hpp"

namespace rnnfast::RNNFAST_ISA {

// A Row with prev and next in the direction of time, and its time in views.
struct RowRef {
  Index row;
  Index n;
  Index t;  // Row::y_t
  Index prev;
  Index next;
};

RNNFAST_INLINE Index first_place(const RowOrder& order, Index s) {
  return order.bounds != nullptr ? order.bounds[s * (order.parts + 1) + order.part] : s * order.N + order.n0;
}
RNNFAST_INLINE Index end_place(const RowOrder& order, Index s) {
  return order.bounds != nullptr ? order.bounds[s * (order.parts + 1) + order.part + 1] : s * order.N + order.n1;
}

RNNFAST_INLINE RowRef row_ref(const RowOrder& order, Index s, Index place) {
  if (order.rows_by_place != nullptr) {
    const Row& row = order.rows_by_place[place];
    if (order.time_step > 0) return {row.index, row.n, row.y_t, row.prev, row.next};
    return {row.index, row.n, row.y_t, row.next, row.t > 0 ? row.prev : kEnd};
  }
  const Index below = s > 0 ? place - order.N : kInitial;
  const Index above = s + 1 < order.T ? place + order.N : kEnd;
  return {place, place - s * order.N, s, order.time_step > 0 ? below : above, order.time_step > 0 ? above : below};
}

// Step i of [s0, s1), in the direction of time_step.
RNNFAST_INLINE Index step_at(Index s0, Index s1, Index time_step, Index i) {
  return time_step > 0 ? s0 + i : s1 - 1 - i;
}

template <class Real>
RNNFAST_INLINE Real* at(const View<Real>& v, Index row, Index n, Index t) {
  return v.data + (row - v.row0) * v.by_row + n * v.by_n + t * v.by_t;
}

// From the row of a sequence to that of the next one, in a dense batch's step.
template <class Real>
RNNFAST_INLINE Index by_sequence(const View<Real>& view) {
  return view.by_row + view.by_n;
}

// The row of `view` one step back: a row of the sequence, or an initial state.
template <class Real, class ViewReal>
RNNFAST_INLINE const Real* before(const View<ViewReal>& view, const RowOrder& order, const RowRef& ref,
                                  const InitialState<Real>& initial) {
  if (ref.prev >= 0) return at(view, ref.prev, ref.n, ref.t - order.time_step);
  return ref.prev == kInitial ? initial.given + ref.n * initial.width : initial.reset + ref.n * initial.reset_by_n;
}

// Panel `i` of a step's share. Steps walk the panels up and down by turns, so that each begins with the weights that
// the previous step left in the cache.
template <class Args>
RNNFAST_INLINE Index panel_at(const Args& args, Index s, Index i) {
  return s % 2 == 0 || args.one_way ? args.panel0 + i : args.panel1 - 1 - i;
}

// The panel after it in the share; none after the last one, with which the next step begins.
constexpr Index kNoPanel = -1;
template <class Args>
RNNFAST_INLINE Index panel_after(const Args& args, Index s, Index i) {
  return i + 1 < args.panel1 - args.panel0 ? panel_at(args, s, i + 1) : kNoPanel;
}

// The panel to fetch ahead, of `numbers` numbers; nothing unless panels come from beyond L2.
template <class Real, template <class> class Args>
RNNFAST_INLINE Ahead<Real> fetched_ahead(const Args<Real>& args, Index panel, Index numbers) {
  if (!args.fetch_ahead || panel == kNoPanel) return {nullptr, nullptr};
  return {args.packed + panel * numbers, args.packed + (panel + 1) * numbers};
}

// One row as the cell sees it on the way forward. Pointers stand at its first unit and live as long as the step's
// arguments; h_prev and aux_prev may be h and aux.
template <class Real>
struct ForwardRow {
  Real* u;               // [G H] in: u; out: the gates
  Real* h;               // [H]
  Real* aux;             // [H]
  const Real* h_prev;    // [H]
  const Real* aux_prev;  // [H]
  const Real* zones;     // [states H], or null
  Index H;
  bool save;
};

// Row `ref` of a view. Where each call brings one step (kInput), views are by row and row n is sequence n's.
template <bool kInput, class Real>
RNNFAST_INLINE Real* row_at(const View<Real>& view, const RowRef& ref) {
  return kInput ? view.data + ref.n * view.by_row : at(view, ref.row, ref.n, ref.t);
}

// That call's row, which follows an initial state.
RNNFAST_INLINE RowRef only_step(Index n) { return {n, n, 0, kInitial, kEnd}; }

template <bool kInput, class Real>
RNNFAST_INLINE ForwardRow<Real> forward_row(const ForwardArgs<Real>& args, const RowRef& ref) {
  ForwardRow<Real> row;
  row.u = row_at<kInput>(args.u, ref);
  row.h = row_at<kInput>(args.y, ref);
  row.h_prev = before(args.y, args.order, ref, args.h0);
  row.aux = row_at<kInput>(args.aux, ref);
  row.aux_prev = before(args.aux, args.order, ref, args.c0);
  row.zones = args.zone.data != nullptr ? row_at<kInput>(args.zone, ref) : nullptr;
  row.H = args.H;
  row.save = args.save;
  return row;
}

// From a tile's row to its next one, which is ref; in a dense batch without multiplications.
template <bool kInput, class Real>
RNNFAST_INLINE void move_to(const ForwardArgs<Real>& args, const RowRef& ref, ForwardRow<Real>& row) {
  if (kInput || args.order.rows_by_place != nullptr) {
    row = forward_row<kInput>(args, kInput ? only_step(ref.n) : ref);
    return;
  }
  const bool begins = ref.prev < 0;
  row.u += by_sequence(args.u);
  row.h += by_sequence(args.y);
  row.h_prev += begins ? args.h0.width : by_sequence(args.y);
  row.aux += by_sequence(args.aux);
  row.aux_prev += begins ? args.c0.width : by_sequence(args.aux);
  if (row.zones != nullptr) row.zones += by_sequence(args.zone);
}

// One vector of its units, from `unit` on. kInput: u of the stage's gates is in registers, and nothing is kept for a
// backward pass.
template <class Real, class Stage, bool kInput>
struct ForwardUnit {
  ForwardRow<Real> row;
  Index unit;
  const Vec<Real>* products;  // [Stage::kGates] u, where kInput; else null
  const CellOptions<Real>* options;

  RNNFAST_INLINE_MEMBER Index left() const { return row.H - unit; }
  RNNFAST_INLINE_MEMBER bool save() const { return !kInput && row.save; }
  // u of a gate of this stage
  RNNFAST_INLINE_MEMBER Vec<Real> u(int g) const {
    if constexpr (kInput) return products[g - Stage::kFirstGate];
    return gate(g);
  }
  // Row g of the u array: u before the cell has made the gate, then the gate.
  RNNFAST_INLINE_MEMBER Vec<Real> gate(int g) const { return load_first(row.u + g * row.H + unit, left()); }
  RNNFAST_INLINE_MEMBER void set_gate(int g, Vec<Real> v) const { store_first(row.u + g * row.H + unit, v, left()); }
  RNNFAST_INLINE_MEMBER void set_h(Vec<Real> v) const { store_first(row.h + unit, v, left()); }
  RNNFAST_INLINE_MEMBER void set_aux(Vec<Real> v) const { store_first(row.aux + unit, v, left()); }
  RNNFAST_INLINE_MEMBER Vec<Real> load_h_prev() const { return load_first(row.h_prev + unit, left()); }
  RNNFAST_INLINE_MEMBER Vec<Real> load_aux_prev() const { return load_first(row.aux_prev + unit, left()); }
  RNNFAST_INLINE_MEMBER Vec<Real> peephole(int k) const {
    return load_first(options->peepholes + k * row.H + unit, left());
  }
  RNNFAST_INLINE_MEMBER bool zoned() const { return row.zones != nullptr; }
  RNNFAST_INLINE_MEMBER Vec<Real> zone(int state) const { return load_first(row.zones + state * row.H + unit, left()); }
};

// One row on the way back. Pointers stand at its first unit.
template <class Real>
struct BackwardRow {
  Real* u;    // [G H] in: the gates; out: du
  Real* aux;  // [H] in: as saved; out: dq_n of a GRU
  Real* dh;   // [H] gradient of the sequence's state; the part that bypasses R
  Real* dc;   // [H]
  const Real* dy;
  const Real* h;
  const Real* h_prev;
  const Real* aux_prev;
  const Real* zones;  // [states H], or null
  // From a row of the array to the one a step before it; only a guess where that row is not this one.
  Index u_back;
  Index aux_back;
  Index dy_back;
  Index h_back;
};

// One vector of its units, from `unit` on.
template <class Real>
struct BackwardUnit {
  BackwardRow<Real> row;
  Index unit;
  Index H;
  bool cut;  // no gradient comes back from the step after
  const CellOptions<Real>* options;

  RNNFAST_INLINE_MEMBER Index left() const { return H - unit; }
  RNNFAST_INLINE_MEMBER Vec<Real> gate(int g) const { return load_first(row.u + g * H + unit, left()); }
  RNNFAST_INLINE_MEMBER void set_du(int g, Vec<Real> v) const { store_first(row.u + g * H + unit, v, left()); }
  RNNFAST_INLINE_MEMBER Vec<Real> load_aux() const { return load_first(row.aux + unit, left()); }
  RNNFAST_INLINE_MEMBER void set_aux(Vec<Real> v) const { store_first(row.aux + unit, v, left()); }
  RNNFAST_INLINE_MEMBER Vec<Real> load_h() const { return load_first(row.h + unit, left()); }
  RNNFAST_INLINE_MEMBER Vec<Real> load_h_prev() const { return load_first(row.h_prev + unit, left()); }
  RNNFAST_INLINE_MEMBER Vec<Real> load_aux_prev() const { return load_first(row.aux_prev + unit, left()); }
  RNNFAST_INLINE_MEMBER Vec<Real> saved_dc() const { return load_first(row.dc + unit, left()); }
  RNNFAST_INLINE_MEMBER Vec<Real> load_dc() const { return cut ? Vec<Real>{} : saved_dc(); }
  RNNFAST_INLINE_MEMBER void set_dc(Vec<Real> v) const { store_first(row.dc + unit, v, left()); }
  RNNFAST_INLINE_MEMBER Vec<Real> load_dh() const { return load_first(row.dh + unit, left()); }
  RNNFAST_INLINE_MEMBER void set_dh(Vec<Real> v) const { store_first(row.dh + unit, v, left()); }
  RNNFAST_INLINE_MEMBER Vec<Real> load_dy() const { return load_first(row.dy + unit, left()); }
  RNNFAST_INLINE_MEMBER Vec<Real> peephole(int k) const {
    return load_first(options->peepholes + k * H + unit, left());
  }
  RNNFAST_INLINE_MEMBER bool zoned() const { return row.zones != nullptr; }
  RNNFAST_INLINE_MEMBER Vec<Real> zone(int state) const { return load_first(row.zones + state * H + unit, left()); }
};

// Tells the compiler how many vectors of units (blocks) a panel has, so that it unrolls loops over them.
RNNFAST_INLINE void assume_blocks(Index blocks, Index full) {
  if (blocks < 1 || blocks > full) __builtin_unreachable();
}

// A stage's cell on one vector. A stage of two parts passes two vectors from begin() to end(); other vectors may begin
// in between, so that the chains of several run side by side.
template <class Stage, class V, class Unit>
RNNFAST_INLINE void begin_stage(const V (&q)[Stage::kGates], const Unit& m, V (&kept)[2]) {
  if constexpr (Stage::kParts == 2)
    Stage::begin(q, m, kept);
  else
    Stage::apply(q, m);
}
template <class Stage, class V, class Unit>
RNNFAST_INLINE void end_stage(const V (&kept)[2], const Unit& m) {
  if constexpr (Stage::kParts == 2) Stage::end(kept, m);
}
template <class Stage, class V, class Unit>
RNNFAST_INLINE void apply_stage(const V (&q)[Stage::kGates], const Unit& m) {
  V kept[2];
  begin_stage<Stage>(q, m, kept);
  end_stage<Stage>(kept, m);
}

// Zoneout (Krueger et al. 2017), for cells with run-time activations: z * before + (1 - z) * now.
template <class Real, class Act, class Unit>
RNNFAST_INLINE Vec<Real> zoned(const Unit& m, int state, Vec<Real> now, Vec<Real> before) {
  if constexpr (Act::kRuntime) {
    if (m.zoned()) {
      const Vec<Real> z = m.zone(state);
      return fma(z, before, (splat(Real(1)) - z) * now);
    }
  }
  return now;
}

// Zoneout backward: returns the part of the gradient that skips the cell; `d` keeps the part that enters it.
template <class Real, class Act, class Unit>
RNNFAST_INLINE Vec<Real> passed_by(const Unit& m, int state, Vec<Real>& d) {
  Vec<Real> past{};
  if constexpr (Act::kRuntime) {
    if (m.zoned()) {
      const Vec<Real> z = m.zone(state);
      past = z * d;
      d *= splat(Real(1)) - z;
    }
  }
  return past;
}

// The operand of a backward stage's product: gates [first_gate, first_gate + gates) of du of the row after (or of this
// row), then `aux_gates` blocks of H numbers of aux.
struct DqRange {
  int first_gate;
  int gates;
  int aux_gates;
  bool own_row;
};

}  // namespace rnnfast::RNNFAST_ISA
