// Dropout of what a layer reads of the one below, anew at every step; both directions read the same.
#pragma once
#include "layer_pass.hpp"

namespace rnnfast {

template <class Real>
class InputDropout {
 public:
  InputDropout(const LayerPass<Real>& pass, const Randomness& random);
  bool active() const { return p_ > 0; }
  // x and result [C], which may be the same: x under the row's mask. The way back is the same function.
  void apply(const Row& row, const Real* x, Real* result) const;

 private:
  const LayerPass<Real>& pass_;
  const double p_;
  const RandomStream stream_;
};

}  // namespace rnnfast
