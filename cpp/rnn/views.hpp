// Pointers to the rows of views, in the order of a plan. Shared by the two drivers.
#pragma once
#include <algorithm>
#include <vector>

#include "plan.hpp"

namespace rnnfast {

template <class Real>
Real* row_of(const View<Real>& view, Index row, Index n, Index t) {
  if (view.starts != nullptr) t += view.starts[n];
  return view.data + (row - view.row0) * view.by_row + n * view.by_n + t * view.by_t;
}

template <class Real>
Real* row_of(const View<Real>& view, const Row& row) {
  return row_of(view, row.index, row.n, row.t);
}

template <class Real>
View<Real> rows_view(Real* data, Index width, Index row0 = 0) {
  return {data, row0, width, 0, 0};
}

template <class Real>
View<const Real> read_only(const View<Real>& view) {
  return {view.data, view.row0, view.by_row, view.by_n, view.by_t, view.starts};
}

// The columns from `first` on.
template <class Real>
View<Real> columns(View<Real> view, Index first) {
  view.data += first;
  return view;
}

// Calls f(step) for the steps [s0, s1) in the direction of time.
template <class F>
void for_steps(Index s0, Index s1, Index time_step, const F& f) {
  for (Index s = time_step > 0 ? s0 : s1 - 1; s0 <= s && s < s1; s += time_step) f(s);
}

// Calls f(row) for the rows [begin, end) in order.
template <class F>
void for_rows(const Plan& plan, Range range, const F& f) {
  if (range.begin >= range.end) return;
  Index s = plan.step_of(range.begin);
  for (Index index = range.begin; index < range.end; ++index) {
    while (index >= plan.first_row(s + 1)) ++s;
    f(plan.row(s, index));
  }
}

// Makes rows of `width` numbers zero from each sequence's length to T; an array (M, .) has no such rows.
template <class Real>
void zero_padding(const Plan& plan, const View<Real>& view, Index T, Index width, Range sequences) {
  if (view.starts != nullptr) return;
  for (Index n = sequences.begin; n < sequences.end; ++n)
    for (Index t = plan.length(n); t < T; ++t) std::fill_n(view.data + n * view.by_n + t * view.by_t, width, Real(0));
}

// The row one step after `row` in the direction of time, or kEnd or kCut.
inline Index row_after(const Row& row, Index time_step) {
  if (time_step > 0) return row.next;
  return row.t > 0 ? row.prev : kEnd;
}

// Of a layer and direction's `index`, from states of all of them, each of which may be null for zeros.
template <class Real>
InitialState<Real> initial_state(const Real* given, const Real* reset, Index index, Index N, Index width,
                                 const Real* zeros) {
  return {given != nullptr ? given + index * N * width : zeros, reset != nullptr ? reset + index * width : zeros, width,
          0};
}

// The row one step before `row` in the direction of time, or kInitial or kReset.
inline Index row_entering(const Row& row, Index time_step) { return time_step > 0 ? row.prev : row.next; }

// What is there: a row of the view, or of an initial state.
template <class Real>
const Real* row_before(const View<const Real>& view, const Row& row, Index time_step,
                       const InitialState<Real>& initial) {
  const Index prev = row_entering(row, time_step);
  if (prev >= 0) return row_of(view, prev, row.n, row.t - time_step);
  return prev == kInitial ? initial.given + row.n * initial.width : initial.reset + row.n * initial.reset_by_n;
}

}  // namespace rnnfast
