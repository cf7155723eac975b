// The rows of a batch and the order in which they are computed: forward and backward, and both directions of time,
// follow the same plan, so that they cannot disagree.
#pragma once
#include <algorithm>
#include <vector>

#include "../base/buffer.hpp"
#include "../cpu/kernels.hpp"
#include "../cpu/team.hpp"

namespace rnnfast {

struct BatchShape {
  Index N;
  Index T;
  const Index* lengths;           // [N], each 0..T; null: all T
  const std::uint8_t* resets;     // [N, T], or where there are starts [rows]; null: none
  const Index* starts = nullptr;  // [N] where the resets of each sequence begin; null: at n * T
};

class Plan {
 public:
  explicit Plan(const BatchShape& shape);

  Index sequences() const { return N_; }
  Index steps() const { return steps_; }
  Index rows() const { return rows_; }
  bool equal_lengths() const { return first_.empty(); }  // all sequences are equally long
  bool dense() const { return listed_.size() == 0; }     // equally long, without resets
  Index first_row(Index s) const {
    return equal_lengths() ? s * N_ : first_[static_cast<std::size_t>(s)];
  }  // s in 0..steps
  Index length(Index n) const { return equal_lengths() ? steps_ : lengths_[static_cast<std::size_t>(n)]; }
  Row row(Index s, Index index) const {
    if (!dense()) return listed_.data()[index];
    return {index, index - s * N_, s, s, s > 0 ? index - N_ : kInitial, s + 1 < steps_ ? index + N_ : kEnd};
  }
  // Of sequence n, whose length is above zero: at t = 0, and at its last step.
  Index first_row_of(Index n) const { return row_at(0, n); }
  Index last_row(Index n) const { return row_at(length(n) - 1, n); }
  // By sequence, where it is longer than zero: its row at t = 0 (time_step > 0), or at its last step.
  std::vector<Index> entered_at(Index time_step) const;
  bool resets_at_start(Index n) const;
  // All rows; of unequal sequences only for `finish`.
  RowOrder order(Index time_step) const;

  // Step whose rows hold `row`.
  Index step_of(Index row) const;

 private:
  friend class RowPartition;
  Index row_at(Index s, Index n) const;

  Index N_;
  Index steps_;
  Index rows_;
  std::vector<Index> lengths_, first_;  // of unequal sequences
  Buffer<Row> listed_;                  // by row
};

// A plan's rows dealt to `count` parts: the same number of sequences each, in multiples of `grain`, or of unequal ones
// the longest first, each to the part with the least so far, so that parts are alike at every step.
class RowPartition {
 public:
  RowPartition(const Plan& plan, Index count, Index grain);
  Index count() const { return count_; }
  RowOrder order(Index part, Index time_step) const;
  // Calls f(row) for the part's rows of step s.
  template <class F>
  void for_rows(Index s, Index part, const F& f) const {
    for_places(s, places_of(s, part), f);
  }
  // Of these the member's share.
  template <class F>
  void for_rows(Index s, Index part, const Member& member, const F& f) const {
    const Range places = places_of(s, part);
    const Range mine = share(places.end - places.begin, member);
    for_places(s, {places.begin + mine.begin, places.begin + mine.end}, f);
  }

 private:
  template <class F>
  void for_places(Index s, Range places, const F& f) const {
    for (Index place = places.begin; place < places.end; ++place)
      f(own_.size() > 0 ? own_.data()[place] : plan_->row(s, place));
  }
  Range places_of(Index s, Index part) const;
  void deal();

  const Plan* plan_;
  Index count_;
  Index grain_;
  std::vector<Index> bounds_;  // of unequal sequences
  Buffer<Row> own_;            // the same dealt to several parts
};

// A plan's steps in runs of at most so many rows, though of one step at least.
class Chunks {
 public:
  Chunks(const Plan& plan, Index rows);
  Index count() const { return static_cast<Index>(bounds_.size()) - 1; }
  Index largest() const { return largest_; }  // rows
  // Steps of chunk i, counted in the direction of time_step.
  Range steps(Index i, Index time_step) const {
    const std::size_t first = static_cast<std::size_t>(time_step > 0 ? i : count() - 1 - i);
    return {bounds_[first], bounds_[first + 1]};
  }

 private:
  std::vector<Index> bounds_;
  Index largest_ = 0;
};

// Pointers to the rows of views, in the order of a plan.

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

// Step i of [s0, s1) in the direction of time.
inline Index nth_step(Index s0, Index s1, Index time_step, Index i) { return time_step > 0 ? s0 + i : s1 - 1 - i; }

// Calls f(step) for the steps [s0, s1) in the direction of time.
template <class F>
void for_steps(Index s0, Index s1, Index time_step, const F& f) {
  for (Index i = 0; i < s1 - s0; ++i) f(nth_step(s0, s1, time_step, i));
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

// Whether the rows of a step lie at equal distances.
template <class Real>
bool evenly_spaced(const Plan& plan, const View<Real>& view) {
  return plan.equal_lengths() && view.starts == nullptr;
}

// Pointers to the rows [begin, end) of a view.
template <class Real, class Pointer>
void list_rows(const Plan& plan, Range rows, const View<Real>& view, Pointer* to) {
  if (!evenly_spaced(plan, view)) return for_rows(plan, rows, [&](const Row& row) { *to++ = row_of(view, row); });
  if (rows.begin >= rows.end) return;
  const Index N = plan.sequences();
  const Index s = plan.step_of(rows.begin);
  Index n = rows.begin - s * N;
  Real* row = row_of(view, rows.begin, n, s);
  for (Index left = rows.end - rows.begin; left > 0; --left) {
    *to++ = row;
    row += view.by_row + view.by_n;
    if (++n < N) continue;
    n = 0;
    row += view.by_t - N * view.by_n;
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

// Pointers to what is there, of the rows [begin, end).
template <class Real>
void list_rows_before(const Plan& plan, Range rows, const View<const Real>& view, Index time_step,
                      const InitialState<Real>& initial, const Real** to) {
  if (!plan.dense() || !evenly_spaced(plan, view))
    return for_rows(plan, rows, [&](const Row& row) { *to++ = row_before(view, row, time_step, initial); });
  const Index N = plan.sequences();
  const Index first = time_step > 0 ? 0 : plan.rows() - N;  // row of the first step in the direction of time
  for (Index row = larger(rows.begin, first); row < smaller(rows.end, first + N); ++row)
    to[row - rows.begin] = initial.given + (row - first) * initial.width;
  if (time_step > 0) {
    const Index begin = larger(rows.begin, N);
    list_rows(plan, {begin - N, rows.end - N}, view, to + (begin - rows.begin));
  } else {
    list_rows(plan, {rows.begin + N, smaller(rows.end, first) + N}, view, to);
  }
}

}  // namespace rnnfast
