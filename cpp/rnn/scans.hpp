// One direction of one layer over a batch: memory first (may throw), then run() inside the team (does not).
#pragma once
#include <optional>

#include "directions.hpp"
#include "gradients.hpp"
#include "rnn.hpp"
#include "wavefront.hpp"
#include "window.hpp"

namespace rnnfast {

template <class Real>
class ForwardScan {
 public:
  // index: of the weights and states. y: of this direction.
  ForwardScan(const ForwardCall<Real>& call, Index index, const Schedule& schedule, View<const Real> x, View<Real> y);
  void run(const Member& member, Interrupt& interrupt, const Link& link = {});
  // Of a call that kept starts, whose h is y: chunk i again, gates and aux into these rows, of which aux has room for
  // the step before, too. All members wait for each other at the end.
  void rebuild(Index i, const View<const Real>& y, const View<Real>& gates, const View<Real>& aux,
               const Member& member);

 private:
  struct Scratch {
    std::vector<const Real*> x;
    std::vector<Real*> u;
    Buffer<Real> gates;    // input products of a chunk, where they are not saved
    Buffer<Real> dropped;  // its inputs under the dropout mask
  };

  void run_chunk(Index s0, Index s1, const Member& member);
  Real* start_of(Index i, Index n) const { return saved_->starts.data() + ((i - 1) * N_ + n) * H_; }
  void keep_start(Index i, const Member& member) const;
  void return_to(Index i, const View<const Real>& y);
  void run_batch_chunk(Index s0, Index s1, Index part);
  void run_hidden_chunk(Index s0, Index s1, const Member& member);
  void gather(const Slot& slot, Index i, Scratch& scratch, const View<Real>& u);
  void project(Index count, Scratch& scratch);
  void add_noise(const Slot& slot, const View<Real>& u) const;
  void feed_initial();
  void feed(Index s, Index part, Range units);
  ForwardArgs<Real> stage_args(Index s0, Index s1, int stage, const Walk& walk, const View<Real>& u) const;
  View<Real> gates_view(Index s0, Scratch& scratch);
  void copy_states(Range sequences) const;

  const ForwardCall<Real>& call_;
  const Index index_, layer_, dt_;
  const Weights<Real>& weights_;
  const CellSpec& spec_;
  const Index H_, C_, N_;
  const Schedule schedule_;
  const Parts parts_;
  const Chunks chunks_;
  const View<const Real> x_;
  View<Real> y_, gates_{}, aux_{};
  const Real *h0_ = nullptr, *c0_ = nullptr;
  Real *hn_, *cn_;
  Buffer<Real> zeros_, aux_buffer_, y_buffer_;
  Buffer<Real> masks_, fed_;  // [N, H] each, or none: h under the mask, of the latest step
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
    GradientScratch<Real> gradients;
  };
  bool all_rows_read_again() const;
  Index lowest_row(Index s0) const;
  void slide_windows(Index s1, Index blocks);
  void run_steps(Index s0, Index s1, const Member& member);
  void finish(const Member& member);
  void write_norms(Range rows) const;
  BackwardArgs<Real> stage_args(int stage, const Walk& walk) const;

  const BackwardCall<Real>& call_;
  const Index layer_, direction_;
  const Weights<Real>& weights_;
  const typename Weights<Real>::Backward& panels_;
  const CellSpec& spec_;
  const Index H_, C_, N_, dt_;
  const Schedule schedule_;
  const Parts parts_;
  const Chunks chunks_;
  const View<const Real> x_, y_, dy_;
  const View<Real> dx_;
  View<Real> u_{}, aux_{}, dh_steps_{};
  const Real *h0_ = nullptr, *c0_ = nullptr;
  Real *dh_, *dc_;
  const View<double> norms_;
  Buffer<Real> zeros_, masks_, dh_buffer_;       // the last of a chunk, where norms are wanted
  Window<Real> window_, aux_window_;             // of u and aux, where they were not saved
  std::optional<ForwardCall<Real>> again_call_;  // where gates are computed again
  std::optional<ForwardScan<Real>> again_;
  std::optional<BlockGradients<Real>> gradients_;
  std::vector<Scratch> scratch_;
  std::vector<Index> firsts_;
  bool stop_ = false;  // what the first member of those that wait for each other has seen
};

}  // namespace rnnfast
