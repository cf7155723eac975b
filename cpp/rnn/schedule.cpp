#include "schedule.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "../cpu/cost.hpp"
#include "../cpu/probe.hpp"

namespace rnnfast {

namespace {

constexpr int kNotForced = -1;
std::atomic<int> split_of_all{kNotForced};
std::atomic<int> lanes_of_all{kNotForced};

// Floating-point operations a ns (a multiply-add is two); half as many of doubles.
double flops_per_ns(const Core& core, double bytes) { return core.flops * sizeof(float) / bytes; }

// K: inner dimension of the products, H, or C + H where the input's is made in the step.
double step_ns(const Core& core, double rows, double units, double K, const CellSpec& cell, double bytes,
               double vector_bytes = kVectorBytes) {
  const double flops = flops_per_ns(core, bytes);
  const double columns = cell.gates * std::ceil(units * bytes / vector_bytes) * vector_bytes / bytes;
  const double vectors = columns / cell.gates * bytes / kVectorBytes;
  const double weights = bytes * K * columns;
  const double reads = weights > kUsable * core.l2_bytes   ? rate_beyond_l2()
                       : weights > kUsable * core.l1_bytes ? core.l2_rate
                                                           : kL1OverL2 * core.l2_rate;
  const double products = std::max(2 * K * columns * rows / flops, weights / reads);
  return products + kFlopsPerGate / flops * columns * rows + kNsPerVector * vectors * rows + kNsPerStage;
}

// The same with sequences in lanes, which fill vectors where units would not; W x is made in the step. Two vectors
// share what is read of the weights.
double lanes_step_ns(const Core& core, double rows, double lanes, double C, double H, const CellSpec& cell,
                     double bytes) {
  const double vectors = std::ceil(rows / lanes);
  const double slots = lanes * (vectors + (std::fmod(vectors, 2) > 0 ? kLoneVector - 1 : 0)) * H;
  return (2 * (C + H) + kFlopsPerGate) * cell.gates * slots / flops_per_ns(core, bytes) +
         kNsPerVector * slots * bytes / kVectorBytes + kNsPerStage;
}

// How a layer takes a step of a share of the sequences: with units or with sequences in lanes, whichever costs less.
class StepChoice {
 public:
  StepChoice(const Core& core, const LayerSize& layer, double rows, bool saves)
      : core_(core),
        cell_(*layer.cell),
        C_(static_cast<double>(layer.C)),
        H_(static_cast<double>(layer.H)),
        bytes_(static_cast<double>(layer.bytes)),
        vector_(static_cast<double>(layer.lanes)),
        saved_(saves ? ((cell_.saves_gates ? cell_.gates : 0) + cell_.aux) * H_ * bytes_ / kVectorBytes : 0),
        forced_(forced_lanes()),
        lanes_(layer.lanes > 0 && (forced_ || rows >= kFewestForLanes)) {
    if (lanes_) few_ = std::min(vector_ - 1, std::floor(lanes_ns(1) / (units_ns(vector_) / vector_)));
  }

  double input_ns(double rows) const { return 2 * cell_.gates * C_ * H_ * rows / flops_per_ns(core_, bytes_); }
  double ns(double rows) const { return lanes_ ? std::min(units_ns(rows), mixed_ns(rows)) : units_ns(rows); }
  bool in_lanes(double rows) const {
    if (!lanes_ || forced_) return lanes_ && *forced_;
    const double beside = kNsPerRowOfUnits * rows * vector_ * bytes_ / kVectorBytes;
    return mixed_ns(rows) < kWorthLanes * (units_ns(rows) + beside);
  }
  Index few() const { return static_cast<Index>(few_); }

 private:
  double units_ns(double rows) const {
    const double vector_bytes = lanes_ ? vector_ * bytes_ : kVectorBytes;
    return input_ns(rows) + step_ns(core_, rows, H_, H_, cell_, bytes_, vector_bytes);
  }
  double lanes_ns(double rows) const {
    return lanes_step_ns(core_, rows, vector_, C_, H_, cell_, bytes_) + kNsPerSavedVector * saved_ * rows;
  }
  double mixed_ns(double rows) const {
    const double rest = std::fmod(rows, vector_);
    return rest > 0 && rest <= few_ ? lanes_ns(rows - rest) + units_ns(rest) : lanes_ns(rows);
  }

  const Core core_;
  const CellSpec& cell_;
  const double C_, H_, bytes_;
  const double vector_;  // lanes
  const double saved_;   // vectors of gates and aux that a row keeps for the way back
  const std::optional<bool> forced_;
  const bool lanes_;
  double few_ = 0;  // so many sequences of a vector cost less by units
};

// Of a step whose units are shared: barriers, and the others' part of the state on its way.
double sharing_ns(const CellSpec& cell, const Together& team, double numbers, double bytes) {
  return cell.stages * team.barrier_ns * (1 + numbers * bytes / kVectorBytes / kLinesPerBarrier);
}

// Units of the thread that has most, where panels of 64 bytes are shared out.
double largest_share(double units, double threads, double bytes) {
  const double panel = kVectorBytes / bytes;
  return std::min(units, panel * std::ceil(std::ceil(units / panel) / threads));
}

// One part for each thread, or several where a thread may lose its processor: the others take what it leaves.
void set_parts(Index sequences, Index lanes, Schedule& schedule) {
  if (schedule.split == Split::kUnits || schedule.threads == 1) return;
  schedule.parts = schedule.threads;
  if (!team_restless()) return;
  const Index fewest = schedule.lanes ? lanes : kFewestOfPart;
  const Index each = smaller(sequences / (fewest * schedule.threads), kPartsOfThread);
  if (each < 2) return;
  schedule.parts *= each;
  if (schedule.lanes) schedule.grain = lanes;
}

}  // namespace

Schedule make_schedule(const Plan& plan, const LayerSize& layer, int threads, bool saves) {
  const CellSpec& cell = *layer.cell;
  const Index H = layer.H;
  const double steps = static_cast<double>(std::max<Index>(plan.steps(), 1));
  const double rows = static_cast<double>(plan.rows()) / steps;
  const double h = static_cast<double>(H);
  const double C = static_cast<double>(layer.C);
  const double p = threads;
  const double size = static_cast<double>(layer.bytes);
  const Core core = this_core();
  const StepChoice choice(core, layer, rows, saves);
  // The way back, which has no lanes, has to share alike: half of a tape that another processor wrote takes longer to
  // read than to compute.
  const StepChoice split_by =
      saves ? StepChoice(core, {layer.cell, layer.C, layer.H, layer.bytes, 0}, rows, saves) : choice;
  const double input = split_by.input_ns(rows);
  const double serial = steps * split_by.ns(rows);
  const double region = kNsPerRegion + (saves ? kNsPerWayBack : 0);
  double batch = region + steps * split_by.ns(std::ceil(rows / p));
  const double units = largest_share(h, p, size);
  double hidden = region + steps * (input / p + step_ns(core, rows, units, h, cell, size));
  if (threads > 1 && std::min(batch, hidden) < serial) {
    const Together team = together(threads);
    batch = region + (batch - region) / team.efficiency;
    hidden = region + (hidden - region) / team.efficiency + steps * sharing_ns(cell, team, rows * (h - units), size);
  }
  Schedule schedule{Split::kBatch, 1, 1, serial};
  if (threads > 1 && std::min(batch, hidden) < kWorthATeam * serial)
    schedule = {hidden < batch ? Split::kUnits : Split::kBatch, threads, 1, std::min(batch, hidden)};
  if (const std::optional<Split> split = forced_split(); split && threads > 1) schedule = {*split, threads, 1, serial};
  const bool shares_units = schedule.split == Split::kUnits;
  const double own_rows = shares_units ? rows : rows / schedule.threads;
  schedule.lanes = !shares_units && choice.in_lanes(std::ceil(own_rows));
  schedule.few = choice.few();
  const double own_units = shares_units ? units : h;
  const double weights = size * cell.gates * h * own_units;
  schedule.from_l2 = weights > core.l1_bytes;
  schedule.fetch_ahead = own_rows >= kRowsToFetch && weights > kUsable * core.l2_bytes;
  schedule.fetch_input = weights * (C + h) > kUsable * core.l2_bytes * h;
  set_parts(plan.sequences(), layer.lanes, schedule);
  const Index by_bytes = kChunkBytes * schedule.threads / std::max<Index>(1, cell.gates * H * layer.bytes);
  // Chunks of one size: a short one at the end would read all of W for a few rows. Training keeps below the limit,
  // since it may hold more of a chunk than its input products.
  Index most = std::max(saves ? kRowBlock : kChunkRows, by_bytes);
  if (schedule.lanes) most = std::max(most, kLaneSteps * plan.sequences());
  const Index chunks = std::max<Index>(1, (plan.rows() + (saves ? most - 1 : most / 2)) / most);
  schedule.chunk = std::max<Index>(1, ceil_div(plan.rows(), chunks));
  return schedule;
}

void force_split(std::optional<Split> split) { split_of_all = split ? static_cast<int>(*split) : kNotForced; }
std::optional<Split> forced_split() {
  const int split = split_of_all.load(std::memory_order_relaxed);
  return split == kNotForced ? std::nullopt : std::optional<Split>(static_cast<Split>(split));
}

void force_lanes(std::optional<bool> lanes) { lanes_of_all = lanes ? static_cast<int>(*lanes) : kNotForced; }
std::optional<bool> forced_lanes() {
  const int lanes = lanes_of_all.load(std::memory_order_relaxed);
  return lanes == kNotForced ? std::nullopt : std::optional<bool>(lanes != 0);
}

namespace {
std::atomic<bool> one_way{false};
}
bool one_way_panels() { return one_way.load(std::memory_order_relaxed); }
void set_one_way_panels(bool value) { one_way = value; }

StepCost::StepCost(Index rows, Index bytes, int threads)
    : rows_(static_cast<double>(rows)), bytes_(static_cast<double>(bytes)), threads_(threads) {}

void StepCost::add(const CellSpec& cell, Index C, Index H) {
  const double h = static_cast<double>(H);
  const double K = static_cast<double>(C + H);
  const double p = threads_;
  const Core core = this_core();
  alone_ += step_ns(core, rows_, h, K, cell, bytes_);
  const Together team = threads_ > 1 ? together(threads_) : Together{0, 1};
  batch_ += step_ns(core, std::ceil(rows_ / p), h, K, cell, bytes_) / team.efficiency;
  const double units = largest_share(h, p, bytes_);
  hidden_ += step_ns(core, rows_, units, K, cell, bytes_) / team.efficiency;
  if (threads_ > 1) hidden_ += sharing_ns(cell, team, rows_ * (h - units), bytes_);
}

Schedule StepCost::schedule(bool awake) const {
  if (threads_ > 1 && std::min(batch_, hidden_) + (awake ? kNsPerCall : kNsPerWake) < kWorthATeam * alone_)
    return {hidden_ < batch_ ? Split::kUnits : Split::kBatch, threads_, 1};
  return {Split::kBatch, 1, 1};
}

LayerSchedule::LayerSchedule(Index count, const Plan& plan, const LayerSize& layer, int threads, bool saves)
    : count_(count) {
  const auto planned = [&](int own) { return make_schedule(plan, layer, own, saves); };
  schedules_.fill(planned(threads));
  if (count == 1 || threads == 1) return;
  const std::array<Schedule, 2> parts = {planned(threads - threads / 2), planned(threads / 2)};
  const double together = std::max(parts[0].ns, parts[1].ns) + kNsPerPart;
  const double apart = 2 * schedules_[0].ns * (schedules_[0].threads > 1 ? 1 : kWorthATeam);
  if (together >= apart) return;
  side_by_side_ = true;
  schedules_ = parts;
  for (std::size_t i = 0; i < 2; ++i)
    if (parts[i].threads > 1) barriers_[i].emplace(parts[i].threads);
}

void LayerSchedule::limit_chunk(Index rows) {
  for (Schedule& schedule : schedules_) schedule.chunk = smaller(schedule.chunk, rows);
}

int LayerSchedule::threads() const {
  return side_by_side_ ? schedules_[0].threads + schedules_[1].threads : schedules_[0].threads;
}

}  // namespace rnnfast
