#include "plan.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <numeric>

#include "../cpu/probe.hpp"

namespace rnnfast {

namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

}  // namespace

Plan::Plan(const BatchShape& shape) : N_(shape.N), steps_(shape.T), rows_(checked_product(shape.N, shape.T)) {
  if (N_ == 0) steps_ = 0;
  if (shape.lengths != nullptr && N_ > 0) {
    steps_ = *std::max_element(shape.lengths, shape.lengths + N_);
    rows_ = std::accumulate(shape.lengths, shape.lengths + N_, Index{0});
  }
  const bool unequal = rows_ != N_ * steps_;
  if (!unequal && (shape.resets == nullptr || rows_ == 0)) return;

  if (unequal) lengths_.assign(shape.lengths, shape.lengths + N_), first_.reserve(at(steps_ + 1));
  slots_ = Buffer<Row>(rows_);
  std::vector<Index> latest(at(N_), kInitial);
  Row* slot = slots_.data();
  Index row = 0;
  for (Index s = 0; s < steps_; ++s) {
    if (unequal) first_.push_back(row);
    for (Index n = 0; n < N_; ++n) {
      if (unequal && lengths_[at(n)] <= s) continue;
      const bool reset = shape.resets != nullptr && shape.resets[n * shape.T + s] != 0;
      const Index before = latest[at(n)];
      if (before >= 0) slot[before].next = reset ? kCut : row;
      slot[row] = {row, n, s, reset ? kReset : before, kEnd};
      latest[at(n)] = row++;
    }
  }
  if (unequal) first_.push_back(rows_);
}

Index Plan::row_at(Index s, Index n) const {
  if (even()) return s * N_ + n;
  const Row *begin = slots_.data() + first_[at(s)], *end = slots_.data() + first_[at(s + 1)];
  return std::lower_bound(begin, end, n, [](const Row& slot, Index value) { return slot.n < value; })->row;
}

std::vector<Index> Plan::entered_at(Index dt) const {
  std::vector<Index> rows;
  rows.reserve(at(N_));
  for (Index n = 0; n < N_; ++n) {
    if (length(n) == 0) continue;
    rows.push_back(dt > 0 ? first_row_of(n) : last_row(n));
  }
  return rows;
}

bool Plan::resets_at_start(Index n) const {
  return !dense() && length(n) > 0 && slots_.data()[first_row_of(n)].prev == kReset;
}

Index Plan::step_of(Index row) const {
  if (even()) return row / N_;
  return std::upper_bound(first_.begin(), first_.end(), row) - first_.begin() - 1;
}

RowOrder Plan::order(Index dt) const { return {N_, steps_, dt, slots_.data(), nullptr, 1, 0, 0, N_}; }

RowPartition::RowPartition(const Plan& plan, Index count) : plan_(&plan), count_(count) {
  if (plan.even()) return;
  bounds_.resize(at(plan.steps() * (count + 1)));
  if (count > 1) {
    deal();
    return;
  }
  for (Index s = 0; s < plan.steps(); ++s)
    bounds_[at(2 * s)] = plan.first_row(s), bounds_[at(2 * s + 1)] = plan.first_row(s + 1);
}

void RowPartition::deal() {
  std::vector<Index> order(at(plan_->sequences())), part_of(order.size()), totals(at(count_)), places(at(count_));
  std::iota(order.begin(), order.end(), Index{0});
  std::stable_sort(order.begin(), order.end(), [&](Index a, Index b) { return plan_->length(a) > plan_->length(b); });
  for (const Index n : order) {
    const Index part = std::min_element(totals.begin(), totals.end()) - totals.begin();
    part_of[at(n)] = part;
    totals[at(part)] += plan_->length(n);
  }
  own_ = Buffer<Row>(plan_->rows());
  const Row* slots = plan_->slots_.data();
  for (Index s = 0; s < plan_->steps(); ++s) {
    const Index begin = plan_->first_row(s), end = plan_->first_row(s + 1);
    Index* bounds = bounds_.data() + s * (count_ + 1);
    std::fill(places.begin(), places.end(), 0);
    for (Index row = begin; row < end; ++row) ++places[at(part_of[at(slots[row].n)])];
    bounds[0] = begin;
    for (Index part = 0; part < count_; ++part) {
      bounds[part + 1] = bounds[part] + places[at(part)];
      places[at(part)] = bounds[part];
    }
    for (Index row = begin; row < end; ++row) own_.data()[places[at(part_of[at(slots[row].n)])]++] = slots[row];
  }
}

RowOrder RowPartition::order(Index part, Index dt) const {
  RowOrder order = plan_->order(dt);
  const Range sequences = share(plan_->sequences(), count_, part);
  order.parts = count_, order.part = part;
  order.n0 = sequences.begin, order.n1 = sequences.end;
  if (!plan_->even()) order.bounds = bounds_.data();
  if (own_.size() > 0) order.slots = own_.data();
  return order;
}

Range RowPartition::places_of(Index s, Index part) const {
  if (!plan_->even()) return {bounds_[at(s * (count_ + 1) + part)], bounds_[at(s * (count_ + 1) + part + 1)]};
  const Range sequences = share(plan_->sequences(), count_, part);
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

namespace {

// Beside what is known of a core, ratios that hold roughly on all of them; they decide only near a draw.
constexpr double kL1OverL2 = 1.8;       // bytes a ns
constexpr double kUsable = 0.75;        // of a cache, for weights read once a step
constexpr double kFlopsPerGate = 45;    // the activation of one unit of one row takes as long as these
constexpr double kNsPerVector = 5;      // what a cell does beside, for a vector of a row's units
constexpr double kLinesPerBarrier = 8;  // cache lines of the state that come from another core while a barrier takes
constexpr double kNsPerCall = 600;      // a region of one step, by a team that is awake
constexpr double kNsPerWake = 100000;   // by one that is asleep, on a machine with other work
constexpr double kNsPerStage = 25;
constexpr Index kChunkBytes = 1 << 18;  // of a thread's input products: they stay in L2 until they are used
constexpr Index kChunkRows = 96;        // below this, streaming W costs more than computing with it

constexpr double kVectorBytes = 64;
constexpr double kRowsToFetch = 12;  // two tiles or more use a panel while the next one comes

constexpr int kNotForced = -1;
std::atomic<int> split_of_all{kNotForced};

// Operations of multiply-adds a ns; of doubles half as many.
double flops_per_ns(const Core& core, double bytes) { return core.flops * sizeof(float) / bytes; }

// K: inner dimension of the products, H, or C + H where the input's is made in the step.
double step_ns(const Core& core, double rows, double units, double K, const CellSpec& cell, double bytes) {
  const double flops = flops_per_ns(core, bytes), vectors = std::ceil(units * bytes / kVectorBytes);
  const double columns = cell.gates * vectors * kVectorBytes / bytes, weights = bytes * K * columns;
  const double reads = weights > kUsable * core.l2_bytes   ? rate_beyond_l2()
                       : weights > kUsable * core.l1_bytes ? core.l2_rate
                                                           : kL1OverL2 * core.l2_rate;
  const double products = std::max(2 * K * columns * rows / flops, weights / reads);
  return products + kFlopsPerGate / flops * columns * rows + kNsPerVector * vectors * rows + kNsPerStage;
}

// Of a step whose units are shared: barriers, and the others' part of the state on its way.
double sharing_ns(const CellSpec& cell, int threads, double numbers, double bytes) {
  return cell.stages * barrier_ns(threads) * (1 + numbers * bytes / kVectorBytes / kLinesPerBarrier);
}

// Units of the thread that has most, where panels of 64 bytes are shared out.
double largest_share(double units, double threads, double bytes) {
  const double panel = kVectorBytes / bytes;
  return std::min(units, panel * std::ceil(std::ceil(units / panel) / threads));
}

}  // namespace

Schedule make_schedule(const Plan& plan, const CellSpec& cell, Index C, Index H, Index bytes, int threads,
                       bool training) {
  const double steps = static_cast<double>(std::max<Index>(plan.steps(), 1));
  const double rows = static_cast<double>(plan.rows()) / steps, h = static_cast<double>(H), p = threads;
  const double size = static_cast<double>(bytes);
  const Core core = this_core();
  const double input = 2.0 * cell.gates * static_cast<double>(C) * h * rows / flops_per_ns(core, size);
  const double serial = steps * (input + step_ns(core, rows, h, h, cell, size));
  const double batch = kNsPerRegion + steps * (input / p + step_ns(core, std::ceil(rows / p), h, h, cell, size));
  const double units = largest_share(h, p, size);
  double hidden = kNsPerRegion + steps * (input / p + step_ns(core, rows, units, h, cell, size));
  if (threads > 1 && hidden < std::min(batch, serial))
    hidden += steps * sharing_ns(cell, threads, rows * (h - units), size);
  Schedule schedule{Split::kBatch, 1, 1, serial};
  if (threads > 1 && std::min(batch, hidden) < kWorthATeam * serial)
    schedule = {hidden < batch ? Split::kHidden : Split::kBatch, threads, 1, std::min(batch, hidden)};
  if (const std::optional<Split> split = forced_split(); split && threads > 1) schedule = {*split, threads, 1, serial};
  const bool shares_units = schedule.split == Split::kHidden;
  const double own_rows = shares_units ? rows : rows / schedule.threads, own_units = shares_units ? units : h;
  const double weights = size * cell.gates * h * own_units;
  schedule.from_l2 = weights > core.l1_bytes;
  schedule.fetch_ahead = own_rows >= kRowsToFetch && weights > kUsable * core.l2_bytes;
  schedule.fetch_input = weights * static_cast<double>(C + H) > kUsable * core.l2_bytes * h;
  const Index by_bytes = kChunkBytes * schedule.threads / std::max<Index>(1, cell.gates * H * bytes);
  // Chunks of one size: a short one at the end would read all of W for a few rows. Training keeps below the limit,
  // since it may hold more of a chunk than its input products.
  const Index most = std::max(training ? kRowBlock : kChunkRows, by_bytes);
  const Index chunks = std::max<Index>(1, (plan.rows() + (training ? most - 1 : most / 2)) / most);
  schedule.chunk = std::max<Index>(1, ceil_div(plan.rows(), chunks));
  return schedule;
}

void force_split(std::optional<Split> split) { split_of_all = split ? static_cast<int>(*split) : kNotForced; }
std::optional<Split> forced_split() {
  const int split = split_of_all.load(std::memory_order_relaxed);
  return split == kNotForced ? std::nullopt : std::optional<Split>(static_cast<Split>(split));
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
  const Core core = this_core();
  alone_ += step_ns(core, rows_, h, K, cell, bytes_);
  batch_ += step_ns(core, std::ceil(rows_ / p), h, K, cell, bytes_);
  const double units = largest_share(h, p, bytes_);
  hidden_ += step_ns(core, rows_, units, K, cell, bytes_);
  if (threads_ > 1) hidden_ += sharing_ns(cell, threads_, rows_ * (h - units), bytes_);
}

Schedule StepCost::schedule(bool awake) const {
  if (threads_ > 1 && std::min(batch_, hidden_) + (awake ? kNsPerCall : kNsPerWake) < kWorthATeam * alone_)
    return {hidden_ < batch_ ? Split::kHidden : Split::kBatch, threads_, 1};
  return {Split::kBatch, 1, 1};
}

}  // namespace rnnfast
