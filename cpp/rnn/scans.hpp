// One direction of one layer over a batch: memory first (may throw), then run() inside the team (does not).
#pragma once
#include <optional>

#include "bidirectional.hpp"
#include "gradients.hpp"
#include "rnn.hpp"
#include "sliding_rows.hpp"
#include "wavefront.hpp"

namespace rnnfast {

template <class Real>
class ForwardScan {
 public:
  // index: of the weights and states. y: of this direction.
  ForwardScan(const ForwardCall<Real>& call, Index index, const Schedule& schedule, View<const Real> x, View<Real> y);
  void run(const Member& member, Interrupt& interrupt, const Link& link = {});
  // Of a call that kept starts, whose h is y: chunk i again, gates, aux and raw into these rows, of which aux has room
  // for the step before, too. All members wait for each other at the end.
  void rebuild(Index i, const View<const Real>& y, const View<Real>& gates, const View<Real>& aux,
               const View<Real>& raw, const Member& member);

 private:
  struct Scratch {
    std::vector<const Real*> x;
    std::vector<Real*> u, raw;
    Buffer<Real> gates;    // input products of a chunk, where they are not saved
    Buffer<Real> dropped;  // its inputs under the dropout mask
    Buffer<Real> zones;    // of a chunk, where they are random
  };

  struct ChunkViews {
    View<Real> u, zones;
  };

  bool shares_units() const { return schedule_.split == Split::kHidden && schedule_.threads > 1; }
  void run_chunk(Index s0, Index s1, const Member& member);
  Real* start_of(Index i, Index n) const { return saved_->starts.data() + ((i - 1) * N_ + n) * H_; }
  void keep_start(Index i, const Member& member) const;
  void return_to(Index i, const View<const Real>& y);
  void run_step(Index s, Index part, const RowOrder& order, const ChunkViews& views, Scratch& scratch,
                const Member& member);
  void run_batch_chunk(Index s0, Index s1, Index part);
  void project_shared(Index s0, Index s1, const ChunkViews& views, const Member& member);
  void run_hidden_chunk(Index s0, Index s1, const Member& member);
  void gather(const Row& slot, Index i, Scratch& scratch, const View<Real>& u);
  Index gather_steps(Index s0, Index s1, Index part, Scratch& scratch, const View<Real>& u);
  void make_random(const Row& slot, const ChunkViews& views) const;
  void place_out(Index rows);
  void project_out(Index s, Index part, Range panels, Scratch& scratch);
  void place_norms(Index rows);
  void make_q(Index s, Index part, int stage, Scratch& scratch, const Member& member);
  void make_h(Index s, Index part, const Member& member);
  View<const Real> recurrent_input() const {
    return masks_.size() > 0 ? View<const Real>{masked_.data(), 0, 0, P_, 0} : read_only(y_);
  }
  InitialState<Real> initial_recurrent_input() const;
  void mask_initial_state();
  void mask_state(Index s, Index part, Range units);
  ForwardArgs<Real> stage_args(Index s0, Index s1, int stage, const RowOrder& order, const ChunkViews& views) const;
  ChunkViews views_of(Index s0, Scratch& scratch);
  bool random() const { return call_.dropout.noise > 0 || zones_.random(); }
  // Whether more than the cell's stages happens between two steps.
  bool between_steps() const { return masks_.size() > 0 || weights_.projected() || weights_.normed(); }
  void copy_states(Range sequences) const;

  const ForwardCall<Real>& call_;
  const Index index_, layer_, dt_;
  const Weights<Real>& weights_;
  const CellSpec& spec_;
  const Index H_, P_, C_, N_;
  const Schedule schedule_;
  const RowPartition parts_;
  const Chunks chunks_;
  const View<const Real> x_;
  View<Real> y_, gates_{}, aux_{};
  View<Real> out_{};        // what is projected
  View<Real> raw_{}, q_{};  // of a normalised layer: W x and R h, where they are kept; a step's q
  InitialState<Real> h0_{}, c0_{};
  Real *hn_, *cn_;
  const ZoneoutMask<Real> zones_;
  const std::uint64_t noise_stream_;
  Buffer<Real> zeros_, aux_buffer_, y_buffer_, out_buffer_, q_buffer_;
  Buffer<Real> masks_, masked_,
      masked_reset_;  // [N, P] each, or none: h under the mask, of the latest step and of a reset
  std::vector<Scratch> scratch_;
  Saved<Real>* saved_ = nullptr;
  bool stop_ = false;  // of a team that waits for each other: what its first member has seen
};

// The arrays around one direction of a layer.
template <class Real>
struct Surroundings {
  View<const Real> x, y, dy;
  View<Real> dx;
};

//   1. the steps against time, a chunk at a time; du and dq replace the gates, saved or computed again
//   2. behind each chunk, while it is in cache: dW += du^T x, dR += dq^T h_prev, db += du, dq by blocks of rows, and
//   dx = du W, unless that is a sum over two directions
//   3. the gradient of the initial state
template <class Real>
class BackwardScan {
 public:
  BackwardScan(const BackwardCall<Real>& call, Index index, const Schedule& schedule, const Surroundings<Real>& views);
  void run(const Member& member, Interrupt& interrupt, const Link& link = {});
  // Of two directions the second one adds to what the first one has written.
  void add_dx(Range rows, Index rank);

 private:
  struct Scratch {
    std::vector<const Real*> du;
    std::vector<Real*> dx;
    std::vector<Index> resets;  // rows of a step that are ones
    GradientScratch<Real> gradients;
  };
  // Where dL/dh is made outside the cell, of a projected or normalised layer: dL/dh [rows or N, P], what a stage gets
  // [N, H], and dh as the cell sees it [N, H], zeros at first.
  struct Outside {
    Buffer<Real> dh, given, running;
  };
  // A window and its view, which moves with it.
  struct Sliding {
    SlidingRows<Real> window;
    View<Real>* view;
  };
  void place_rows(Saved<Real>& saved, Index chunk_rows);
  bool all_rows_read_again() const;
  Index lowest_row(Index s0) const;
  void add_window(Index rows, Index held, Index width, View<Real>& view);
  void slide_windows(Index s1, Index blocks);
  void show_rows();
  void run_step(Index s, Index part, const RowOrder& order, Scratch& scratch, const Member& member);
  void run_part(Index s0, Index s1, Index part, const RowOrder& order, Scratch& scratch);
  void run_steps(Index s0, Index s1, const Member& member);
  void draw_zones(Range rows);
  void place_dh(Index rows, const Saved<Real>& saved);
  void gather_dh(Index s, Index part, Range panels, Scratch& scratch);
  void unproject(Index s, Index part, Range panels, Scratch& scratch);
  void through_output(Index s, Index part, const Member& member);
  void through_stage(Index s, Index part, int stage, Range panels, Scratch& scratch);
  void through_norms(Index s, Index part, int stage, const Member& member);
  const Real* dq_of(int stage, Index row, Index n, Index t) const;
  void finish(const Member& member);
  void finish_outside(Range sequences);
  void enter_outside(Index row, Index n, Index t);
  void cut_dc(Range sequences);
  Index find_resets(Index s, Index part, Scratch& scratch) const;
  void collect_resets(Index s, Index count, const Scratch& scratch, const Member& member);
  void collect_resets_outside(Index s, Index count, const Scratch& scratch, const Member& member);
  void write_norms(Range rows) const;
  BackwardArgs<Real> stage_args(int stage, const RowOrder& order) const;

  const BackwardCall<Real>& call_;
  const Index layer_, direction_;
  const Weights<Real>& weights_;
  const typename Weights<Real>::Backward& panels_;
  const CellSpec& spec_;
  const Index H_, P_, C_, N_, dt_;
  const Schedule schedule_;
  const RowPartition parts_;
  const Chunks chunks_;
  const View<const Real> x_, y_, dy_;
  const View<Real> dx_;
  View<Real> u_{}, aux_{}, dh_steps_{};
  View<Real> dh_rows_{};    // dL/dh made outside the cell
  View<Real> raw_{}, d_{};  // of a normalised layer [2 G H]: W x and R h, then both as x^; du, dq, then d norm(c)
  InitialState<Real> h0_{}, c0_{};
  Real *dh_, *dc_, *running_ = dh_;  // running: dh as the kernels see it
  Real *dh_reset_, *dc_reset_;       // [N, P], [N, H] sums of a sequence's resets; null: not wanted
  const View<double> norms_;
  const ZoneoutMask<Real> zones_;
  Buffer<Real> zeros_, masks_;
  Buffer<Real> dh_buffer_;  // dh of a chunk, where norms are wanted
  Buffer<Real> zone_rows_;  // of a chunk, from first_zone_row_ on
  Index first_zone_row_ = 0;
  std::optional<Outside> outside_;
  std::vector<Sliding> windows_;                 // of what was not saved
  std::optional<ForwardCall<Real>> again_call_;  // where gates are computed again
  std::optional<ForwardScan<Real>> again_;
  std::optional<BlockGradients<Real>> gradients_;
  std::vector<Scratch> scratch_;
  std::vector<Index> firsts_;
  bool stop_ = false;  // what the first member of those that wait for each other has seen
};

}  // namespace rnnfast
