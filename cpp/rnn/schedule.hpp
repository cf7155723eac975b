// How a layer's steps are shared among threads, decided by what the ways would cost (cpu/cost.hpp).
#pragma once
#include <array>
#include <optional>

#include "plan.hpp"

namespace rnnfast {

// How a layer's steps are shared: parts of the batch without barriers, or parts of the hidden units with one a stage.
enum class Split { kBatch, kUnits };
struct Schedule {
  Split split;
  int threads;
  Index chunk;               // rows whose input products are made at once
  double ns = 0;             // estimated time
  bool from_l2 = false;      // a thread's part of R does not fit L1
  bool fetch_ahead = false;  // nor L2, and rows are enough to fetch it meanwhile
  bool fetch_input = false;  // nor do its parts of W and R together
  bool lanes = false;        // a part's sequences are taken in the lanes of vectors, not its units,
  Index few = 0;             // but of a vector with at most so many sequences the units
  Index parts = 1;           // of the batch, which threads take one after the other
  Index grain = 1;           // sequences of which a part has a multiple
};
// What the cost of a layer depends on.
struct LayerSize {
  const CellSpec* cell;
  Index C;
  Index H;
  Index bytes;  // of a number
  Index lanes;  // sequences that it can take in the lanes of a vector, or 0
};
Schedule make_schedule(const Plan& plan, const LayerSize& layer, int threads, bool saves);

// How the one or two directions of a layer share a team: one after the other, each with all of it, or side by side,
// each with a part.
class LayerSchedule {
 public:
  LayerSchedule(Index count, const Plan& plan, const LayerSize& layer, int threads, bool saves);
  const Schedule& schedule(Index direction) const { return schedules_[static_cast<std::size_t>(direction)]; }
  int threads() const;  // of the team
  void limit_chunk(Index rows);

  // Calls run(direction, member of its part) where the member has to do with it; all wait for all. A team smaller than
  // asked for takes one direction after the other.
  template <class Run>
  void share(const Member& member, const Run& run) {
    if (side_by_side_ && member.size >= threads()) {
      int first = 0;
      for (Index direction = 0; direction < 2; ++direction) {
        const int size = schedule(direction).threads;
        const int rank = member.rank - first;
        std::optional<Barrier>& barrier = barriers_[static_cast<std::size_t>(direction)];
        if (rank >= 0 && rank < size) run(direction, Member{rank, size, barrier ? &*barrier : nullptr});
        first += size;
      }
      member.wait();
      return;
    }
    for (Index direction = 0; direction < count_; ++direction) {
      run(direction, member);
      member.wait();
    }
  }

 private:
  const Index count_;
  bool side_by_side_ = false;
  std::array<Schedule, 2> schedules_;
  std::array<std::optional<Barrier>, 2> barriers_;  // of the parts, where they have several members
};

// For tests: how layers of several threads are shared, whatever it costs; none: as the costs say.
void force_split(std::optional<Split> split);
std::optional<Split> forced_split();

// The same of layers that can take sequences in lanes.
void force_lanes(std::optional<bool> lanes);
std::optional<bool> forced_lanes();

// For measurements: whether panels of weights are walked in one order in every step, not up and down by turns.
bool one_way_panels();
void set_one_way_panels(bool value);

// The same for calls of one step each. Times in nanoseconds.
class StepCost {
 public:
  StepCost(Index rows, Index bytes, int threads);
  void add(const CellSpec& cell, Index C, Index H);  // a layer
  double alone() const { return alone_; }
  Schedule schedule(bool awake) const;  // whether the team still waits for work, or sleeps

 private:
  const double rows_, bytes_;
  const int threads_;
  double alone_ = 0;
  double batch_ = 0;
  double hidden_ = 0;
};

}  // namespace rnnfast
