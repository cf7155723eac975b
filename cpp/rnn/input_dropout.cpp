#include "input_dropout.hpp"

namespace rnnfast {

template <class Real>
InputDropout<Real>::InputDropout(const LayerPass<Real>& pass, const Randomness& random)
    : pass_(pass), p_(pass.layer > 0 ? random.dropout : 0), stream_(random, Purpose::kDropout, pass.layer) {}

template <class Real>
void InputDropout<Real>::apply(const Row& row, const Real* x, Real* result) const {
  pass_.weights.table.dropout(pass_.C, x, result, stream_.key(p_, row.n, row.t), kept_scale<Real>(p_));
}

template class InputDropout<float>;
template class InputDropout<double>;

}  // namespace rnnfast
