// One direction of one layer over a batch, forward: memory first (may throw), then run() inside the team (does not).
#pragma once
#include <memory>
#include <optional>

#include "input_dropout.hpp"
#include "layer_norm.hpp"
#include "projection.hpp"
#include "recurrent_mask.hpp"
#include "starts.hpp"
#include "wavefront.hpp"
#include "zoneout_mask.hpp"

namespace rnnfast {

// Where a scan that computes gates again leaves them. y: the layer's h; aux has room for the step before, too; raw: of
// a normalised layer.
template <class Real>
struct RecomputedRows {
  View<const Real> y;
  View<Real> gates;
  View<Real> aux;
  View<Real> raw;
};

//   1. a chunk's rows: input products, noise, zoneout shares
//   2. its steps: the cell's stages, and what the layer's options do around them
template <class Real>
class ForwardScan {
 public:
  // index: of the weights and states. y: of this direction.
  ForwardScan(const ForwardCall<Real>& call, Index index, const Schedule& schedule, View<const Real> x, View<Real> y);
  void run(const Member& member, Interrupt& interrupt, const Link& link = {});
  // Of a call that kept starts: chunk i again. All members wait for each other at the end.
  void rebuild(Index i, const RecomputedRows<Real>& rows, const Member& member);

 private:
  // A thread's own.
  struct Scratch {
    ProductRows<Real> rows;       // x and u
    std::vector<Real*> raw;       // W x of a normalised layer
    Buffer<Real> gates;           // input products of a chunk, where they are not saved
    Buffer<Real> dropped;         // its inputs under dropout
    Buffer<Real> zoneout_shares;  // of a chunk, where they are random
    Buffer<Real> lanes;           // states of a block, where each lane has a sequence
  };
  // The rows of a chunk.
  struct ChunkViews {
    View<Real> u;
    View<Real> zoneout_shares;
  };

  void allocate_states();
  void allocate_options();
  void allocate_scratch();
  ChunkViews views_of(Index s0, Scratch& scratch);

  void gather(const Row& row, Index i, Scratch& scratch, const View<Real>& u);
  Index gather_steps(Index s0, Index s1, const RowOrder& order, Scratch& scratch, const View<Real>& u);
  void multiply_shared_input(Index s0, Index s1, const ChunkViews& views, const Member& member);
  bool random() const { return call_.random.noise > 0 || zoneout_.random(); }
  void make_random(const Row& row, const ChunkViews& views) const;

  // Whether more than the cell's stages happens between two steps.
  bool between_steps() const { return mask_.active() || projection_ || norm_; }
  View<const Real> recurrent_input() const { return mask_.active() ? mask_.recurrent_input() : read_only(y_); }
  InitialState<Real> initial_input() const { return mask_.active() ? mask_.initial_input() : h0_; }
  ForwardArgs<Real> stage_args(Index s0, Index s1, int stage, const RowOrder& order, const ChunkViews& views) const;
  void run_step(const Step& step, const RowOrder& order, const ChunkViews& views, Scratch& scratch);
  void run_steps(Index s0, Index s1, const RowOrder& order, const ChunkViews& views, Scratch& scratch);
  void run_lanes_chunk(Index s0, Index s1, Index part, Scratch& scratch);
  void run_batch_chunk(Index s0, Index s1, Index part, Scratch& scratch);
  void run_hidden_chunk(Index s0, Index s1, const Member& member);
  void run_by_parts(const Member& member, Interrupt& interrupt, const Link& link);
  void run_by_units(const Member& member, Interrupt& interrupt);
  void restore_before_chunk(Index i, const View<const Real>& y);
  void copy_states(Range sequences) const;

  const ForwardCall<Real>& call_;
  const LayerPass<Real> pass_;
  const View<const Real> x_;
  View<Real> y_;
  View<Real> gates_{};
  View<Real> aux_{};
  InitialState<Real> h0_{};
  InitialState<Real> c0_{};
  Saved<Real>* const saved_;
  Buffer<Real> zeros_;
  Buffer<Real> aux_buffer_;
  Buffer<Real> y_buffer_;
  const InputDropout<Real> input_dropout_;
  const ZoneoutMask<Real> zoneout_;
  const RandomStream noise_;
  RecurrentMask<Real> mask_;
  std::optional<Projection<Real>> projection_;
  // Elsewhere, because it is large: glibc's malloc is fastest below 1 KB, and a scan of one step notices.
  std::unique_ptr<LayerNorm<Real>> norm_;
  std::optional<Starts<Real>> starts_;
  std::vector<Scratch> scratch_;
  PartQueue parts_;
  bool stop_ = false;  // of a team that waits for each other: what its first member has seen
};

}  // namespace rnnfast
