// Dropout of what a layer reads, the same for both directions: of the layer below, anew at every step; and of every
// layer's input, one mask for all steps of a sequence (Gal, Ghahramani 2016).
#pragma once
#include "layer_pass.hpp"

namespace rnnfast {

template <class Real>
class InputDropout {
 public:
  InputDropout(const LayerPass<Real>& pass, const Randomness& random);
  bool active() const { return p_step_ > 0 || p_sequence_ > 0; }
  // x and result [C], which may be the same: x under the row's masks. The way back is the same function.
  void apply(const Row& row, const Real* x, Real* result) const;

 private:
  const LayerPass<Real>& pass_;
  const double p_step_;
  const double p_sequence_;
  const RandomStream steps_;
  const RandomStream sequences_;
};

}  // namespace rnnfast
