#include "recompute.hpp"

namespace rnnfast {

namespace {

// It writes into the states' gradients, of which it returns none.
template <class Real>
ForwardCall<Real> call_again(const BackwardCall<Real>& call) {
  ForwardCall<Real> again(call.layers, call.plan);
  again.directions = call.directions;
  again.T = call.T;
  again.x = call.x;
  again.h0 = call.h0;
  again.c0 = call.c0;
  again.h_reset = call.h_reset;
  again.c_reset = call.c_reset;
  again.hn = call.dh;
  again.cn = call.dc;
  again.keep = Keep::kAgain;
  again.saved = &call.saved;
  again.random = call.random;
  again.threads = call.threads;
  return again;
}

}  // namespace

template <class Real>
Recompute<Real>::Recompute(const BackwardCall<Real>& call, const LayerPass<Real>& pass, const View<const Real>& x)
    : call_(call_again(call)) {
  scan_.emplace(call_, pass.index, pass.schedule, x, View<Real>{});
}

template class Recompute<float>;
template class Recompute<double>;

}  // namespace rnnfast
