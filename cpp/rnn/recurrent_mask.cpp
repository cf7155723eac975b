#include "recurrent_mask.hpp"

#include <algorithm>

#include "../base/fault.hpp"

namespace rnnfast {

template <class Real>
RecurrentMask<Real>::RecurrentMask(const LayerPass<Real>& pass, const Randomness& random) : pass_(pass) {
  const double p = random.recurrent;
  if (p == 0) return;
  mask_ = Buffer<Real>(checked_product(pass.N, pass.P));
  std::fill_n(mask_.data(), mask_.size(), Real(1));
  const RandomStream stream(random, Purpose::kRecurrent, pass.index);
  for (Index n = 0; n < pass.N; ++n) {
    Real* mask = mask_.data() + n * pass.P;
    pass.weights.table.dropout(pass.P, mask, mask, stream.key(p, faulty(Fault::kWrongMask) ? 0 : n, 0),
                               kept_scale<Real>(p));
  }
}

template <class Real>
void RecurrentMask<Real>::keep_states(const InitialState<Real>& h0, bool resets) {
  if (!active()) return;
  h0_ = h0;
  masked_ = Buffer<Real>(pass_.N * pass_.P);
  if (resets) masked_reset_ = Buffer<Real>(pass_.N * pass_.P);
  begin();
}

template <class Real>
void RecurrentMask<Real>::begin() {
  for (Index i = 0; i < masked_.size(); ++i) masked_.data()[i] = h0_.given[i] * mask_.data()[i];
  for (Index i = 0; i < masked_reset_.size(); ++i) masked_reset_.data()[i] = h0_.reset[i % pass_.P] * mask_.data()[i];
}

// A reset to zero reads zeros, which no mask changes.
template <class Real>
InitialState<Real> RecurrentMask<Real>::initial_input() const {
  if (masked_reset_.size() == 0) return {masked_.data(), h0_.reset, pass_.P, 0};
  return {masked_.data(), masked_reset_.data(), pass_.P, pass_.P};
}

template <class Real>
void RecurrentMask<Real>::mask_rows(Index s, Index part, const View<Real>& y, Range units) {
  pass_.parts.for_rows(s, part, [&](const Row& row) {
    const Real* h = row_of(y, row.index, row.n, row.t);
    const Real* mask = mask_.data() + row.n * pass_.P;
    Real* masked = masked_.data() + row.n * pass_.P;
    for (Index i = units.begin; i < units.end; ++i) masked[i] = h[i] * mask[i];
  });
}

template <class Real>
void RecurrentMask<Real>::after_step(const Step& step, const View<Real>& y) {
  mask_rows(step.s, step.part, y, share(pass_.P, step.member));
  step.member.wait();
}

template <class Real>
void RecurrentMask<Real>::read_step(Index s, Index part, const View<Real>& y) {
  if (active()) mask_rows(s, part, y, {0, pass_.P});
}

template class RecurrentMask<float>;
template class RecurrentMask<double>;

}  // namespace rnnfast
