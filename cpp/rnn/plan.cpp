#include "plan.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <numeric>

namespace rnnfast {

namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

}  // namespace

Plan::Plan(const BatchShape& shape)
    : N_(shape.N), steps_(shape.N > 0 ? shape.T : 0), rows_(0), reverse_(shape.reverse) {
  const bool ragged =
      shape.lengths != nullptr && std::any_of(shape.lengths, shape.lengths + N_, [&](Index n) { return n != shape.T; });
  rows_ = checked_product(N_, steps_);
  if ((!ragged && shape.resets == nullptr && !reverse_) || rows_ == 0) return;

  lengths_.assign(at(N_), shape.T);
  if (shape.lengths != nullptr) std::copy_n(shape.lengths, N_, lengths_.begin());
  steps_ = *std::max_element(lengths_.begin(), lengths_.end());
  rows_ = std::accumulate(lengths_.begin(), lengths_.end(), Index{0});
  first_.reserve(at(steps_ + 1));
  slots_.reserve(at(rows_));
  const auto reset_at = [&](Index n, Index t) { return shape.resets != nullptr && shape.resets[n * shape.T + t] != 0; };
  std::vector<Index> latest(at(N_), kInitial);
  for (Index s = 0; s < steps_; ++s) {
    first_.push_back(static_cast<Index>(slots_.size()));
    for (Index n = 0; n < N_; ++n) {
      if (lengths_[at(n)] <= s) continue;
      const Index t = reverse_ ? lengths_[at(n)] - 1 - s : s;
      // A reset separates t - 1 from t: run backwards, it stands before the step at t - 1, and the one at t = 0 after
      // the end.
      const Index boundary = reverse_ ? t + 1 : t;
      const bool reset = boundary < lengths_[at(n)] && reset_at(n, boundary);
      const Index row = static_cast<Index>(slots_.size());
      if (latest[at(n)] >= 0) slots_[at(latest[at(n)])].next = reset ? kCut : row;
      slots_.push_back({n, t, reset ? kZero : latest[at(n)], kEnd});
      latest[at(n)] = row;
    }
  }
  first_.push_back(rows_);
}

Slot Plan::slot(Index s, Index row) const {
  if (!dense()) return slots_[at(row)];
  return {row - s * N_, s, s > 0 ? row - N_ : kInitial, s + 1 < steps_ ? row + N_ : kEnd};
}

Index Plan::last_row(Index n) const {
  const Index s = length(n) - 1;
  if (dense()) return s * N_ + n;
  const auto begin = slots_.begin() + first_[at(s)], end = slots_.begin() + first_[at(s + 1)];
  return std::lower_bound(begin, end, n, [](const Slot& slot, Index value) { return slot.n < value; }) - slots_.begin();
}

bool Plan::resets_at_start(Index n) const {
  if (dense() || length(n) == 0) return false;
  const auto begin = slots_.begin(), end = slots_.begin() + first_[1];
  return std::lower_bound(begin, end, n, [](const Slot& slot, Index value) { return slot.n < value; })->prev == kZero;
}

Index Plan::step_of(Index row) const {
  if (dense()) return row / N_;
  return std::upper_bound(first_.begin(), first_.end(), row) - first_.begin() - 1;
}

Parts::Parts(const Plan& plan, Index count) : plan_(&plan), count_(count) {
  const Index N = plan.sequences();
  cuts_.assign(at(count + 1), N);
  cuts_[0] = 0;
  Index sum = 0, part = 1;
  for (Index n = 0; n < N && part < count; ++n) {
    sum += plan.length(n);
    while (part < count && sum * count >= plan.rows() * part) cuts_[at(part++)] = n + 1;
  }
  if (plan.dense()) return;
  bounds_.resize(at(plan.steps() * (count + 1)));
  for (Index s = 0; s < plan.steps(); ++s) {
    const auto begin = plan.slots_.begin() + plan.first_[at(s)], end = plan.slots_.begin() + plan.first_[at(s + 1)];
    for (Index p = 0; p <= count; ++p)
      bounds_[at(s * (count + 1) + p)] =
          std::lower_bound(begin, end, cuts_[at(p)], [](const Slot& slot, Index n) { return slot.n < n; }) -
          plan.slots_.begin();
  }
}

Walk Parts::walk(Index part) const {
  const Plan& plan = *plan_;
  const bool dense = plan.dense();
  return {plan.N_,
          plan.steps_,
          plan.reverse_ ? Index{-1} : Index{1},
          dense ? nullptr : plan.slots_.data(),
          dense ? nullptr : bounds_.data(),
          count_,
          part,
          cuts_[at(part)],
          cuts_[at(part + 1)]};
}

Range Parts::rows(Index s, Index part) const {
  if (plan_->dense()) return {s * plan_->N_ + cuts_[at(part)], s * plan_->N_ + cuts_[at(part + 1)]};
  return {bounds_[at(s * (count_ + 1) + part)], bounds_[at(s * (count_ + 1) + part + 1)]};
}

namespace {

// Rough constants of today's cores; only their ratios decide, and only near a draw.
constexpr double kFlopsPerNs = 60;    // one core, fma from L1 or L2
constexpr double kBytesPerNsL2 = 60;  // weights read once a step
constexpr double kBytesPerNsL3 = 20;
constexpr double kL2Bytes = 1 << 20;
constexpr double kNsPerUnit = 1.5;  // activations of one unit of one row
constexpr double kNsPerBarrier = 200;
constexpr double kNsPerRegion = 3000;  // of many steps
constexpr double kNsPerCall = 1000;    // a region of one step, by a team that is awake
constexpr double kNsPerWake = 100000;  // by one that is asleep, on a machine with other work
constexpr double kNsPerStage = 25;
constexpr Index kChunkBytes = 1 << 18;  // of a thread's input products: they stay in L2 until they are used
constexpr Index kChunkRows = 96;        // below this, streaming W costs more than computing with it

// K: inner dimension of the products, H, or C + H where the input's is made in the step.
double step_ns(double rows, double units, double K, const CellSpec& cell, double bytes) {
  const double weights = bytes * cell.gates * K * units;
  const double compute = 2 * cell.gates * K * units * rows / kFlopsPerNs;
  const double memory = weights / (weights > kL2Bytes ? kBytesPerNsL3 : kBytesPerNsL2);
  return std::max(compute, memory) + kNsPerUnit * units * rows + kNsPerStage;
}

}  // namespace

Schedule make_schedule(const Plan& plan, const CellSpec& cell, Index C, Index H, Index bytes, int threads,
                       bool training) {
  const double steps = static_cast<double>(std::max<Index>(plan.steps(), 1));
  const double rows = static_cast<double>(plan.rows()) / steps, h = static_cast<double>(H), p = threads;
  const double input = 2.0 * cell.gates * static_cast<double>(C) * h * rows / kFlopsPerNs;
  const double size = static_cast<double>(bytes);
  const double serial = steps * (input + step_ns(rows, h, h, cell, size));
  const double batch = kNsPerRegion + steps * (input / p + step_ns(std::ceil(rows / p), h, h, cell, size));
  const double hidden =
      kNsPerRegion + steps * (input / p + step_ns(rows, std::ceil(h / p), h, cell, size) + cell.stages * kNsPerBarrier);
  Schedule schedule{Split::kBatch, 1, 1};
  if (threads > 1 && std::min(batch, hidden) < 0.9 * serial)
    schedule = {hidden < batch ? Split::kHidden : Split::kBatch, threads, 1};
  const Index by_bytes = kChunkBytes * schedule.threads / std::max<Index>(1, cell.gates * H * bytes);
  const Index target = std::max(training ? kRowBlock : kChunkRows, by_bytes);
  schedule.chunk = std::max<Index>(1, static_cast<Index>(static_cast<double>(target) / std::max(rows, 1.0)));
  return schedule;
}

namespace {
std::atomic<bool> one_way{false};
}
bool one_way_panels() { return one_way.load(std::memory_order_relaxed); }
void set_one_way_panels(bool value) { one_way = value; }

StepCost::StepCost(Index rows, Index bytes, int threads)
    : rows_(static_cast<double>(rows)), bytes_(static_cast<double>(bytes)), threads_(threads) {}

void StepCost::add(const CellSpec& cell, Index C, Index H) {
  const double h = static_cast<double>(H), K = static_cast<double>(C + H), p = threads_;
  alone_ += step_ns(rows_, h, K, cell, bytes_);
  batch_ += step_ns(std::ceil(rows_ / p), h, K, cell, bytes_);
  hidden_ += step_ns(rows_, std::ceil(h / p), K, cell, bytes_) + cell.stages * kNsPerBarrier;
}

Schedule StepCost::schedule(bool awake) const {
  if (threads_ > 1 && std::min(batch_, hidden_) + (awake ? kNsPerCall : kNsPerWake) < 0.9 * alone_)
    return {hidden_ < batch_ ? Split::kHidden : Split::kBatch, threads_, 1};
  return {Split::kBatch, 1, 1};
}

}  // namespace rnnfast
