// The order in which a batch is computed: forward and backward follow the same plan, so that they cannot disagree.
#pragma once
#include <vector>

#include "../base/buffer.hpp"
#include "../cpu/kernels.hpp"
#include "../cpu/team.hpp"

namespace rnnfast {

struct BatchShape {
  Index N, T;
  const Index* lengths;        // [N], each 0..T; null: all T
  const std::uint8_t* resets;  // [N, T]; null: none
  bool reverse;                // time runs from each sequence's own end
};

class Plan {
 public:
  explicit Plan(const BatchShape& shape);

  Index sequences() const { return N_; }
  Index steps() const { return steps_; }
  Index rows() const { return rows_; }
  bool dense() const { return slots_.empty(); }
  bool reverse() const { return reverse_; }
  Index first_row(Index s) const { return dense() ? s * N_ : first_[static_cast<std::size_t>(s)]; }  // s in 0..steps
  Index length(Index n) const { return dense() ? steps_ : lengths_[static_cast<std::size_t>(n)]; }
  Slot slot(Index s, Index row) const;
  Index last_row(Index n) const;  // of sequence n, whose length is above zero
  bool resets_at_start(Index n) const;

  // Step whose rows hold `row`.
  Index step_of(Index row) const;

 private:
  friend class Parts;
  Index N_, steps_, rows_;
  bool reverse_;
  std::vector<Index> lengths_, first_;
  std::vector<Slot> slots_;
};

// A plan's rows dealt to `count` threads by ranges of sequences of about equal total length.
class Parts {
 public:
  Parts(const Plan& plan, Index count);
  Index count() const { return count_; }
  Walk walk(Index part) const;
  // The part's rows of step s.
  Range rows(Index s, Index part) const;

 private:
  const Plan* plan_;
  Index count_;
  std::vector<Index> cuts_, bounds_;
};

// How a layer's steps are shared: parts of the batch without barriers, or parts of the hidden units with one a stage.
enum class Split { kBatch, kHidden };
struct Schedule {
  Split split;
  int threads;
  Index chunk;  // steps whose input products are made at once
};
Schedule make_schedule(const Plan& plan, const CellSpec& cell, Index C, Index H, Index bytes, int threads,
                       bool training);

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
  double alone_ = 0, batch_ = 0, hidden_ = 0;
};

}  // namespace rnnfast
