// dL/dh of a layer whose cell's kernels get something else instead of dL/dy: of a projected h, of a normalised c or,
// where products are not the kernels', dL/dh itself.
#include <algorithm>

#include "scans.hpp"

namespace rnnfast {

namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

}  // namespace

// dL/dh stays where all rows are read again: by the gradient of the projection, or by norms.
template <class Real>
void BackwardScan<Real>::place_dh(Index rows, const Saved<Real>& saved) {
  const bool norms = norms_.data != nullptr && weights_.output_outside(), all = weights_.projected() || norms;
  outside_.emplace(
      Outside{Buffer<Real>(checked_product(all ? rows : N_, P_)), Buffer<Real>(N_ * H_), Buffer<Real>::zeros(N_ * H_)});
  Real* dh = outside_->dh.data();
  dh_rows_ = all ? rows_view(dh, P_) : View<Real>{dh, 0, 0, P_, 0};
  running_ = outside_->running.data();
  if (norms) dh_steps_ = dh_rows_;
  if (!weights_.projected()) return;
  gradients_->out_rows = rows_view<const Real>(saved.out.data(), H_), gradients_->dh = read_only(dh_rows_);
}

// What R, the stage's rows of it, is multiplied with on the way back.
template <class Real>
const Real* BackwardScan<Real>::dq_of(int stage, Index row, Index n, Index t) const {
  const Index first = spec_.backward[stage].first_gate * H_;
  return weights_.normed() ? row_of(d_, row, n, t) + spec_.gates * H_ + first : row_of(u_, row, n, t) + first;
}

// dh = R^T dq of the row after, at a sequence's end + dL/d(final h), + what bypasses R, + dy, of the columns in some
// panels. Where the cell's kernel would add what bypasses R, it finds zeros.
template <class Real>
void BackwardScan<Real>::gather_dh(Index s, Index part, Range panels, Scratch& scratch) {
  const Panels<Real>& recurrent = panels_.recurrent[0];
  Index count = 0;
  parts_.for_rows(s, part, [&](const Row& slot) {
    const Index after = row_after(slot, dt_);
    scratch.du[at(count)] = after >= 0 ? dq_of(0, after, slot.n, slot.t + dt_) : zeros_.data();
    scratch.dx[at(count++)] = row_of(dh_rows_, slot.row, slot.n, slot.t);
  });
  multiply_panels(recurrent, panels, count, scratch.du.data(), scratch.dx.data());
  const Range columns = columns_of(recurrent, panels);
  parts_.for_rows(s, part, [&](const Row& slot) {
    Real* dh = row_of(dh_rows_, slot.row, slot.n, slot.t);
    const Real* dy = row_of(dy_, slot.row, slot.n, slot.t);
    const Real* mask = masks_.size() > 0 ? masks_.data() + slot.n * P_ : nullptr;
    const Index after = row_after(slot, dt_);
    const Real* end = after == kEnd ? dh_ + slot.n * P_ : nullptr;
    Real* past = after >= 0 && !weights_.output_outside() ? running_ + slot.n * H_ : nullptr;
    for (Index i = columns.begin; i < columns.end; ++i) {
      if (mask != nullptr) dh[i] *= mask[i];
      if (end != nullptr) dh[i] += end[i];
      if (past != nullptr) dh[i] += past[i], past[i] = 0;
      dh[i] += dy[i];
    }
  });
}

// dh of the initial state before a row.
template <class Real>
void BackwardScan<Real>::enter_outside(Index row, Index n, Index t) {
  Real* dh = dh_ + n * P_;
  const Real* dq = dq_of(0, row, n, t);
  multiply_panels(panels_.recurrent[0], {0, panels_.recurrent[0].count}, 1, &dq, &dh);
  for (Index i = 0; i < P_ && masks_.size() > 0; ++i) dh[i] *= masks_.data()[n * P_ + i];
  for (Index i = 0; i < H_ && !weights_.output_outside(); ++i) dh[i] += running_[n * H_ + i];
}

// dh of the given states of some sequences.
template <class Real>
void BackwardScan<Real>::finish_outside(Range sequences) {
  for (Index n = sequences.begin; n < sequences.end; ++n) {
    const Plan& plan = call_.plan;
    if (plan.length(n) == 0) continue;
    const Index row = dt_ > 0 ? plan.first_row_of(n) : plan.last_row(n), t = dt_ > 0 ? 0 : plan.length(n) - 1;
    if (dt_ > 0 && plan.resets_at_start(n))
      std::fill_n(dh_ + n * P_, P_, Real(0));
    else
      enter_outside(row, n, t);
  }
  cut_dc(sequences);
}

template <class Real>
void BackwardScan<Real>::collect_resets_outside(Index s, Index count, const Scratch& scratch, const Member& member) {
  const Range mine = share(count, member);
  for (Index i = mine.begin; i < mine.end; ++i) {
    const Row slot = call_.plan.slot(s, scratch.resets[at(i)]);
    enter_outside(slot.row, slot.n, slot.t);
    for (Index j = slot.n * P_; j < (slot.n + 1) * P_; ++j) dh_reset_[j] += dh_[j];
    for (Index j = slot.n * H_; dc_reset_ != nullptr && j < (slot.n + 1) * H_; ++j) dc_reset_[j] += dc_[j];
  }
  member.wait();
}

#define RNNFAST_INSTANTIATE(Real)                                                 \
  template void BackwardScan<Real>::place_dh(Index, const Saved<Real>&);          \
  template const Real* BackwardScan<Real>::dq_of(int, Index, Index, Index) const; \
  template void BackwardScan<Real>::gather_dh(Index, Index, Range, Scratch&);     \
  template void BackwardScan<Real>::enter_outside(Index, Index, Index);           \
  template void BackwardScan<Real>::finish_outside(Range);                        \
  template void BackwardScan<Real>::collect_resets_outside(Index, Index, const Scratch&, const Member&);
RNNFAST_INSTANTIATE(float)
RNNFAST_INSTANTIATE(double)
#undef RNNFAST_INSTANTIATE

}  // namespace rnnfast
