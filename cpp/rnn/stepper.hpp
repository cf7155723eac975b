// A stack that advances by one step a call and keeps its states, for generation and streams.
#pragma once
#include <vector>

#include "rnn.hpp"

namespace rnnfast {

// Gives the same bits as forward() over the same steps. Allocates at construction only. The weights must outlive it.
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
  // One of the stages of all layers, in order.
  struct Stage {
    const Weights<Real>* weights;
    Index layer;
    int index;  // of the layer's stages
    void (*kernel)(const ForwardArgs<Real>&);
    ForwardArgs<Real> args;  // of the last step on one thread; the members of a team have copies
  };

  void allocate(const Weights<Real>& weights);
  ForwardArgs<Real> first_args(const Weights<Real>& weights, int stage);
  Index last_layer() const { return (layers_ - 1) * batch_ * P_; }
  void run(const Stage& stage, const StepInput<Real>& x, const Member& member, ForwardArgs<Real>& args);
  void normalize(const Stage& stage, const ForwardArgs<Real>& args);
  void normalize_output(const Stage& stage, const ForwardArgs<Real>& args) const;
  void project(const Stage& stage, Range rows, const Member& member) const;
  void swap_h();

  const Index batch_;
  const Index layers_;
  const Index H_;
  const Index P_;
  // [layers, batch, P] and [layers, batch, H] states, now and after the step
  Buffer<Real> h_;
  Buffer<Real> h_next_;
  Buffer<Real> c_;
  Buffer<Real> c_next_;
  // from one stage of a layer to its next
  Buffer<Real> aux_;    // [batch, H], of cells without c
  Buffer<Real> gates_;  // [batch, G H]
  // of a projected layer
  Buffer<Real> out_;  // [batch, H] what is projected
  std::vector<const Real*> out_rows_;
  std::vector<Real*> h_rows_;  // of all layers
  std::vector<Real*> h_next_rows_;
  // of a normalised layer
  Buffer<Real> q_;                      // [batch, G H]; u is in gates_
  std::vector<const Real*> from_rows_;  // [batch] operands and results of its products
  std::vector<Real*> to_rows_;
  std::vector<Stage> stages_;
  Index turn_ = 0;
};

}  // namespace rnnfast
