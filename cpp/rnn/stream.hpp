// A stack that is fed from outside, step by step or in blocks of steps. Its outputs are h, or those of a linear head on
// h.
#pragma once
#include "stepper.hpp"

namespace rnnfast {

// outputs = W h + b of K numbers; bias empty for none. K = 0: no head.
template <class Real>
struct StreamHead {
  Panels<Real> weights;
  Buffer<Real> bias;
  Index K = 0;
};

// Shares its layers' packed weights; the arrays they were packed from may change or go once it is built. A step
// allocates nothing.
template <class Real>
class Stream {
 public:
  Stream(Stack<Real> layers, Index batch, StreamHead<Real> head);

  // out: [batch, width()], which may not overlap x.
  void step(const StepInput<Real>& x, Real* out);

  // T steps. x: (batch, T, C); y: (batch, T, width()), which may not overlap x. False: interrupted, only y has changed.
  bool process(const View<const Real>& x, const View<Real>& y, Index T, Interrupt& interrupt);

  // Whether a step is long enough for other threads to be let in.
  bool slow() const { return slow_; }
  Index batch() const { return batch_; }
  const Stack<Real>& stack() const { return layers_; }
  Index layers() const { return static_cast<Index>(layers_.size()); }
  Index inputs() const { return layers_.front()->arrays.C; }
  Index units() const { return layers_.front()->arrays.H; }
  Index outputs() const { return layers_.front()->arrays.P; }  // numbers of h
  Index width() const { return head_.K > 0 ? head_.K : outputs(); }
  Real* h() { return stepper_.h(); }
  Real* c() { return stepper_.c(); }

 private:
  void emit(Range rows, const Real* h, Real* out);
  void read_heads(Range rows, Index T, const Real* h, const View<Real>& y) const;
  Schedule schedule();

  const Stack<Real> layers_;
  const Index batch_;
  const StreamHead<Real> head_;
  Stepper<Real> stepper_;
  std::vector<const Real*> h_rows_;
  std::vector<Real*> out_rows_;
  Schedule awake_{Split::kBatch, 1, 1};
  Schedule asleep_{Split::kBatch, 1, 1};
  int scheduled_for_ = 0;  // threads
  Clock::time_point last_end_{};
  bool slow_;
};

}  // namespace rnnfast
