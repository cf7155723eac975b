#include "plan.hpp"

#include <algorithm>
#include <numeric>

#include "../base/fault.hpp"

namespace rnnfast {

Plan::Plan(const BatchShape& shape) : N_(shape.N), steps_(shape.T), rows_(checked_product(shape.N, shape.T)) {
  if (N_ == 0) steps_ = 0;
  if (shape.lengths != nullptr && N_ > 0) {
    steps_ = *std::max_element(shape.lengths, shape.lengths + N_);
    rows_ = std::accumulate(shape.lengths, shape.lengths + N_, Index{0});
  }
  const bool unequal = rows_ != N_ * steps_;
  if (!unequal && (shape.resets == nullptr || rows_ == 0)) return;

  if (unequal) {
    lengths_.assign(shape.lengths, shape.lengths + N_);
    first_.reserve(at(steps_ + 1));
  }
  listed_ = Buffer<Row>(rows_);
  std::vector<Index> latest(at(N_), kInitial);
  Row* rows = listed_.data();
  Index next = 0;
  for (Index s = 0; s < steps_; ++s) {
    if (unequal) first_.push_back(next);
    for (Index n = 0; n < N_; ++n) {
      if (unequal && lengths_[at(n)] <= s) continue;
      const Index first = shape.starts != nullptr ? shape.starts[n] : n * shape.T;
      const Index in_y = unequal && shape.starts != nullptr ? first : 0;
      const bool reset =
          shape.resets != nullptr && shape.resets[first + s] != 0 && !(faulty(Fault::kMissingReset) && n + 1 == N_);
      const Index before = latest[at(n)];
      if (before >= 0) rows[before].next = reset ? kCut : next;
      rows[next] = {next, n, s, s + in_y, reset ? kReset : before, kEnd};
      latest[at(n)] = next++;
    }
  }
  if (unequal) first_.push_back(rows_);
}

Index Plan::row_at(Index s, Index n) const {
  if (equal_lengths()) return s * N_ + n;
  const Row* begin = listed_.data() + first_[at(s)];
  const Row* end = listed_.data() + first_[at(s + 1)];
  return std::lower_bound(begin, end, n, [](const Row& row, Index value) { return row.n < value; })->index;
}

std::vector<Index> Plan::entered_at(Index time_step) const {
  std::vector<Index> rows;
  rows.reserve(at(N_));
  for (Index n = 0; n < N_; ++n) {
    if (length(n) == 0) continue;
    rows.push_back(time_step > 0 ? first_row_of(n) : last_row(n));
  }
  return rows;
}

bool Plan::resets_at_start(Index n) const {
  return !dense() && length(n) > 0 && listed_.data()[first_row_of(n)].prev == kReset;
}

Index Plan::step_of(Index row) const {
  if (equal_lengths()) return row / N_;
  return std::upper_bound(first_.begin(), first_.end(), row) - first_.begin() - 1;
}

RowOrder Plan::order(Index time_step) const { return {N_, steps_, time_step, listed_.data(), nullptr, 1, 0, 0, N_}; }

RowPartition::RowPartition(const Plan& plan, Index count, Index grain) : plan_(&plan), count_(count), grain_(grain) {
  if (plan.equal_lengths()) return;
  bounds_.resize(at(plan.steps() * (count + 1)));
  if (count > 1) {
    deal();
    return;
  }
  for (Index s = 0; s < plan.steps(); ++s) {
    bounds_[at(2 * s)] = plan.first_row(s);
    bounds_[at(2 * s + 1)] = plan.first_row(s + 1);
  }
}

void RowPartition::deal() {
  std::vector<Index> order(at(plan_->sequences()));
  std::vector<Index> part_of(order.size());
  std::vector<Index> totals(at(count_));
  std::vector<Index> places(at(count_));
  std::iota(order.begin(), order.end(), Index{0});
  std::stable_sort(order.begin(), order.end(), [&](Index a, Index b) { return plan_->length(a) > plan_->length(b); });
  for (const Index n : order) {
    const Index part = std::min_element(totals.begin(), totals.end()) - totals.begin();
    part_of[at(n)] = part;
    totals[at(part)] += plan_->length(n);
  }
  own_ = Buffer<Row>(plan_->rows());
  const Row* rows = plan_->listed_.data();
  for (Index s = 0; s < plan_->steps(); ++s) {
    const Index begin = plan_->first_row(s);
    const Index end = plan_->first_row(s + 1);
    Index* bounds = bounds_.data() + s * (count_ + 1);
    std::fill(places.begin(), places.end(), 0);
    for (Index i = begin; i < end; ++i) ++places[at(part_of[at(rows[i].n)])];
    bounds[0] = begin;
    for (Index part = 0; part < count_; ++part) {
      bounds[part + 1] = bounds[part] + places[at(part)];
      places[at(part)] = bounds[part];
    }
    for (Index i = begin; i < end; ++i) own_.data()[places[at(part_of[at(rows[i].n)])]++] = rows[i];
  }
}

RowOrder RowPartition::order(Index part, Index time_step) const {
  RowOrder order = plan_->order(time_step);
  const Range sequences = share(plan_->sequences(), count_, part, grain_);
  order.parts = count_;
  order.part = part;
  order.n0 = sequences.begin;
  order.n1 = sequences.end;
  if (!plan_->equal_lengths()) order.bounds = bounds_.data();
  if (own_.size() > 0) order.rows_by_place = own_.data();
  return order;
}

Range RowPartition::places_of(Index s, Index part) const {
  if (!plan_->equal_lengths()) return {bounds_[at(s * (count_ + 1) + part)], bounds_[at(s * (count_ + 1) + part + 1)]};
  const Range sequences = share(plan_->sequences(), count_, part, grain_);
  return {s * plan_->sequences() + sequences.begin, s * plan_->sequences() + sequences.end};
}

Chunks::Chunks(const Plan& plan, Index rows) : bounds_{0} {
  for (Index s = 0; s < plan.steps();) {
    const Index begin = plan.first_row(s++);
    while (s < plan.steps() && plan.first_row(s + 1) - begin <= rows) ++s;
    bounds_.push_back(s);
    largest_ = std::max(largest_, plan.first_row(s) - begin);
  }
}

}  // namespace rnnfast
