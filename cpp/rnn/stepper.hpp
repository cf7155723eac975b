// A stack that advances one step a call and keeps its states: what generation and streaming stand on.
#pragma once
#include <vector>

#include "rnn.hpp"

namespace rnnfast {

// The rows of a step: C numbers each, `ld` apart from x on, or where `rows` points if it is not null; if `projected`,
// `rows` points to G H numbers W x + b_w of the first layer.
template <class Real>
struct StepInput {
  const Real* x;
  Index ld;
  const Real* const* rows;
  bool projected;
};

// Allocates at construction only. The same bits as forward() over the same steps. The weights must outlive it.
template <class Real>
class Stepper {
 public:
  Stepper(const Stack<Real>& layers, Index batch);

  // One step of the first `rows` sequences on the calling thread; the others' states are lost. Returns the last layer's
  // h [rows, H], valid until the next call.
  const Real* step(const StepInput<Real>& x, Index rows);

  // The same in a team: compute() by every member, with the same split, then advance() by one when all are done.
  // After a hidden split's compute() every member may read all of next_h(), after a batch split's only its own rows,
  // share(rows, size, rank).
  void compute(const StepInput<Real>& x, Index rows, Split split, const Member& member);
  void advance();
  const Real* next_h() const { return h_next_.data() + last_layer(); }

  // States of all layers, [batch, P] and [batch, H] each, one behind the other; c is null for cells without one.
  Real* h(Index layer = 0) { return h_.data() + layer * batch_ * P_; }
  Real* c(Index layer = 0) { return c_.size() > 0 ? c_.data() + layer * batch_ * H_ : nullptr; }
  const Real* last_h() const { return h_.data() + last_layer(); }

  // The states in h_after() and c_after(), laid out as h() and c(), replace the present ones.
  Real* h_after() { return h_next_.data(); }
  Real* c_after() { return c_next_.data(); }
  void replace_states();

  // Row n < count of every state becomes what row from[n] was.
  void reorder(const Index* from, Index count);

 private:
  struct Stage {
    void (*kernel)(const StreamStepArgs<Real>&);
    StreamStepArgs<Real> args;
    Index layer;
    const Panels<Real>* projection;  // of what the stage has written, or null
    const Weights<Real>* normed;     // of a normalised layer, whose stages have no kernel of their own here; else null
    int index;                       // of the layer's stages
  };
  Index last_layer() const { return (layers_ - 1) * batch_ * P_; }
  void project(const Stage& stage, Range rows, Range panels);
  void compute_rows(const StepInput<Real>& x, Index rows, Split split, const Member& member);
  void compute_normed(const Stage& stage, const StepInput<Real>& x, Range rows);
  ForwardArgs<Real> normed_args(const Stage& stage, Range rows);
  void swap_h();

  const Index batch_;
  const Index layers_;
  const Index H_;
  const Index P_;
  Buffer<Real> h_, h_next_, c_, c_next_, between_;  // between_: rows from one stage to the next, aux and gates
  Buffer<Real> out_;                                // [batch, H], what is projected
  Buffer<Real> u_, q_;                              // [batch, G H] of a normalised layer
  std::vector<const Real*> from_rows_;              // [batch] operands and results of its products
  std::vector<Real*> to_rows_;
  std::vector<const Real*> out_rows_;
  std::vector<Real*> h_rows_, h_next_rows_;  // of all layers
  std::vector<Stage> stages_;                // of all layers, in order
  bool descending_ = false;
};

}  // namespace rnnfast
