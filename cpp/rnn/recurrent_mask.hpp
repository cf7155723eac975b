// Recurrent dropout (Gal, Ghahramani 2016): R reads h under a mask that a sequence keeps at all its steps.
#pragma once
#include "layer_pass.hpp"

namespace rnnfast {

template <class Real>
class RecurrentMask {
 public:
  // Allocates nothing without recurrent dropout.
  RecurrentMask(const LayerPass<Real>& pass, const Randomness& random);
  bool active() const { return mask_.size() > 0; }
  // [N, P], each 0 or 1 / (1 - p); null without one.
  const Real* data() const { return mask_.data(); }

  // Forward. Keeps h of the latest step under the mask, [N, P]; h0: what it begins with, `resets`: whether a reset may
  // begin with a state other than zero.
  void keep_states(const InitialState<Real>& h0, bool resets);
  void begin();
  void after_step(const Step& step, const View<Real>& y);
  // The same of a part's sequences by one member.
  void read_step(Index s, Index part, const View<Real>& y);
  View<const Real> recurrent_input() const { return {masked_.data(), 0, 0, pass_.P, 0}; }
  InitialState<Real> initial_input() const;

 private:
  void mask_rows(Index s, Index part, const View<Real>& y, Range units);

  const LayerPass<Real>& pass_;
  Buffer<Real> mask_;
  InitialState<Real> h0_{};
  Buffer<Real> masked_;        // [N, P]
  Buffer<Real> masked_reset_;  // [N, P] what a reset begins with, where it is not zero
};

}  // namespace rnnfast
