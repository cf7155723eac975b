// One direction of one layer over a batch, back through time: memory first (may throw), then run() inside the team
// (does not).
#pragma once
#include "gradients.hpp"
#include "hidden_gradient.hpp"
#include "recompute.hpp"
#include "unsaved_rows.hpp"

namespace rnnfast {

// The arrays around one direction of a layer.
template <class Real>
struct Surroundings {
  View<const Real> x;
  View<const Real> y;
  View<const Real> dy;
  View<Real> dx;
};

//   1. the steps against time, a chunk at a time; du and dq replace the gates, saved or computed again
//   2. behind each chunk dx and the gradients of weights, by rows that are whole
//   3. the gradient of the initial state
template <class Real>
class BackwardScan {
 public:
  BackwardScan(const BackwardCall<Real>& call, Index index, const Schedule& schedule, const Surroundings<Real>& views);
  void run(const Member& member, Interrupt& interrupt, const Link& link = {});
  // Of two directions the second one adds to what the first one has written.
  void add_dx(Range rows, Index rank);

 private:
  // A thread's own.
  struct Scratch {
    ProductRows<Real> rows;     // du and dx
    std::vector<Index> resets;  // rows of a step that are ones
    GradientScratch<Real> gradients;
  };

  void allocate_rows(Saved<Real>& saved, Index chunk_rows);
  void allocate_options(Saved<Real>& saved);
  bool all_rows_read_again() const;
  Index lowest_row(Index s0) const;
  DqRows<Real> dq_rows() const;
  GradientRows<Real> gradient_rows() const;

  BackwardArgs<Real> stage_args(int stage, const RowOrder& order);
  void run_step(const Step& step, const RowOrder& order, Scratch& scratch);
  void run_part(Index s0, Index s1, Index part, const RowOrder& order, Scratch& scratch);
  void run_steps(Index s0, Index s1, const Member& member);
  void run_chunk(Index s0, Index s1, Index again, const Member& member);
  bool take_chunk(Index i, const Member& member, Interrupt& interrupt, const Link& link);
  void draw_zoneout(Range rows);
  void write_norms(Range rows) const;

  Index find_resets(Index s, Index part, Scratch& scratch) const;
  void collect_resets(const Step& step, Index count, const Scratch& scratch);
  void add_reset(Index n, Range units_h, Range units_c);
  void finish(const Member& member);

  const BackwardCall<Real>& call_;
  const LayerPass<Real> pass_;
  const View<const Real> x_;
  const View<const Real> y_;
  const View<const Real> dy_;
  const View<Real> dx_;
  View<Real> u_{};
  View<Real> aux_{};
  View<Real> dh_steps_{};  // dL/dh of a chunk, or of all rows, where norms are wanted
  InitialState<Real> h0_{};
  InitialState<Real> c0_{};
  Real* const dh_;        // [N, P]
  Real* const dc_;        // [N, H] or null
  Real* const dh_reset_;  // [N, P] sums of a sequence's resets; null: not wanted
  Real* const dc_reset_;  // [N, H]
  const View<double> norms_;
  Buffer<Real> zeros_;
  Buffer<Real> dh_buffer_;
  Buffer<Real> zoneout_shares_;
  Index first_share_row_ = 0;
  const InputDropout<Real> input_dropout_;
  const ZoneoutMask<Real> zoneout_;
  const RecurrentMask<Real> mask_;
  std::optional<Projection<Real>> projection_;
  std::optional<LayerNorm<Real>> norm_;
  std::optional<HiddenGradient<Real>> hidden_;  // of a projected or normalised layer
  std::optional<Recompute<Real>> recompute_;    // where gates were not kept
  UnsavedRows<Real> unsaved_;
  View<const Real> out_{};  // what was projected
  std::optional<BlockGradients<Real>> gradients_;
  std::vector<Scratch> scratch_;
  PartQueue parts_;
  std::vector<Index> firsts_;  // of unequal sequences: the rows that initial states enter
  bool stop_ = false;          // what the first member of those that wait for each other has seen
};

}  // namespace rnnfast
