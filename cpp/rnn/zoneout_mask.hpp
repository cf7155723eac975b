// Zoneout (Krueger et al. 2017): shares of the states before in the new ones, as the kernels read them. In training of
// one row at a time, each 0 or 1; else the same expected shares for all rows.
#pragma once
#include "layer_pass.hpp"

namespace rnnfast {

template <class Real>
class ZoneoutMask {
 public:
  ZoneoutMask(const LayerPass<Real>& pass, const Randomness& random);
  bool random() const { return random_; }
  Index width() const { return pass_.spec.states * pass_.H; }
  // shares [states, H]
  void draw(const Row& row, Real* shares) const;
  // drawn: of the rows in work, where they are random.
  View<const Real> view(const View<Real>& drawn) const {
    return random_ ? read_only(drawn) : View<const Real>{pass_.weights.options.zoneout, 0, 0, 0, 0};
  }

 private:
  const LayerPass<Real>& pass_;
  const std::array<double, 2> p_;
  const bool random_;
  const std::array<RandomStream, 2> streams_;
};

}  // namespace rnnfast
