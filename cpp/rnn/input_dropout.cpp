#include "input_dropout.hpp"

namespace rnnfast {

template <class Real>
InputDropout<Real>::InputDropout(const LayerPass<Real>& pass, const Randomness& random)
    : pass_(pass),
      p_step_(pass.layer > 0 ? random.dropout : 0),
      p_sequence_(random.input),
      steps_(random, Purpose::kDropout, pass.layer),
      sequences_(random, Purpose::kInput, pass.layer) {}

template <class Real>
void InputDropout<Real>::apply(const Row& row, const Real* x, Real* result) const {
  const auto drop = [&](double p, const RandomStream& stream, Index t) {
    if (p == 0) return;
    pass_.weights.table.dropout(pass_.C, x, result, stream.key(p, row.n, t), kept_scale<Real>(p));
    x = result;
  };
  drop(p_step_, steps_, row.t);
  drop(p_sequence_, sequences_, 0);
}

template class InputDropout<float>;
template class InputDropout<double>;

}  // namespace rnnfast
