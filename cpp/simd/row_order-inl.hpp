// Where a step's rows are, in a dense batch and in a listed one; the order of its panels, and which is fetched ahead.
#pragma once
#include "gemm-inl.hpp"

namespace rnnfast::RNNFAST_ISA {

struct RowRef {
  Index row;
  Index n;
  Index t;
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
    if (order.dt > 0) return {row.index, row.n, row.t, row.prev, row.next};
    return {row.index, row.n, row.t, row.next, row.t > 0 ? row.prev : kEnd};
  }
  const Index below = s > 0 ? place - order.N : kInitial;
  const Index above = s + 1 < order.T ? place + order.N : kEnd;
  return {place, place - s * order.N, s, order.dt > 0 ? below : above, order.dt > 0 ? above : below};
}

// Step i of [s0, s1), in the direction of dt.
RNNFAST_INLINE Index step_at(Index s0, Index s1, Index dt, Index i) { return dt > 0 ? s0 + i : s1 - 1 - i; }

template <class Real>
RNNFAST_INLINE Real* at(const View<Real>& v, Index row, Index n, Index t) {
  if (v.starts != nullptr) t += v.starts[n];
  return v.data + (row - v.row0) * v.by_row + n * v.by_n + t * v.by_t;
}

// The row of `view` one step back: of the sequence itself, or of an initial state.
template <class Real, class ViewReal>
RNNFAST_INLINE const Real* before(const View<ViewReal>& view, const RowOrder& order, const RowRef& ref,
                                  const InitialState<Real>& initial) {
  if (ref.prev >= 0) return at(view, ref.prev, ref.n, ref.t - order.dt);
  return ref.prev == kInitial ? initial.given + ref.n * initial.width : initial.reset + ref.n * initial.reset_by_n;
}

// Panel `i` of a step's share: up and down by turns, so that a step begins with the weights that the one before has
// left in the cache.
template <class Args>
RNNFAST_INLINE Index panel_at(const Args& args, Index s, Index i) {
  return s % 2 == 0 || args.one_way ? args.panel0 + i : args.panel1 - 1 - i;
}

// The one behind it in the share; the next step begins with the last one itself.
constexpr Index kNoPanel = -1;
template <class Args>
RNNFAST_INLINE Index panel_after(const Args& args, Index s, Index i) {
  return i + 1 < args.panel1 - args.panel0 ? panel_at(args, s, i + 1) : kNoPanel;
}

// A panel of so many numbers, where args say that panels come from beyond L2.
template <class Real, template <class> class Args>
RNNFAST_INLINE Ahead<Real> fetched_ahead(const Args<Real>& args, Index panel, Index numbers) {
  if (!args.fetch_ahead || panel == kNoPanel) return {nullptr, nullptr};
  return {args.packed + panel * numbers, args.packed + (panel + 1) * numbers};
}

}  // namespace rnnfast::RNNFAST_ISA
