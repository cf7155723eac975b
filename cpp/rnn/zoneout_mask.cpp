#include "zoneout_mask.hpp"

#include <algorithm>

namespace rnnfast {

template <class Real>
ZoneoutMask<Real>::ZoneoutMask(const LayerPass<Real>& pass, const Randomness& random)
    : pass_(pass),
      p_(random.zoneout),
      random_(p_[0] > 0 || p_[1] > 0),
      streams_{RandomStream(random, Purpose::kZoneoutH, pass.index),
               RandomStream(random, Purpose::kZoneoutC, pass.index)} {}

template <class Real>
void ZoneoutMask<Real>::draw(const Row& row, Real* shares) const {
  const Index H = pass_.H;
  for (std::size_t state = 0; state < at(pass_.spec.states); ++state) {
    std::fill_n(shares, H, p_[state] > 0 ? Real(1) : Real(0));
    if (p_[state] > 0)
      pass_.weights.table.dropout(H, shares, shares, streams_[state].key(1 - p_[state], row.n, row.t), Real(1));
    shares += H;
  }
}

template class ZoneoutMask<float>;
template class ZoneoutMask<double>;

}  // namespace rnnfast
