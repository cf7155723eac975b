// A layer's projection h = W_hr out, of which its cell's kernels know nothing: they write out, and get dL/dout instead
// of dL/dy.
#include <algorithm>

#include "scans.hpp"

namespace rnnfast {

namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

// The row after, whose dq reaches this one's h, or kEnd or kCut.
Index row_after(const Slot& slot, Index dt) {
  if (dt > 0) return slot.next;
  return slot.t > 0 ? slot.prev : kEnd;
}

}  // namespace

// Where the cell writes: in rows that the backward pass reads, also when it computes gates again, or by sequence.
template <class Real>
void ForwardScan<Real>::place_out(Index rows) {
  if (saved_ == nullptr) {
    out_buffer_ = Buffer<Real>(N_ * H_);
    out_ = {out_buffer_.data(), 0, 0, H_, 0};
    return;
  }
  if (saved_->out.size() == 0) saved_->out = Buffer<Real>(checked_product(rows, H_));
  out_ = rows_view(saved_->out.data(), H_);
}

// h = W_hr out, of the part's sequences after step s.
template <class Real>
void ForwardScan<Real>::project_out(Index s, Index part, Range panels, Scratch& scratch) {
  Index count = 0;
  parts_.for_rows(s, part, [&](const Slot& slot) {
    scratch.x[at(count)] = row_of(out_, slot.row, slot.n, slot.t);
    scratch.u[at(count++)] = row_of(y_, slot.row, slot.n, slot.t);
  });
  multiply_panels(weights_.projection, panels, count, scratch.x.data(), scratch.u.data());
}

template <class Real>
void BackwardScan<Real>::place_dh(Index rows, const Saved<Real>& saved) {
  unprojected_.emplace(
      Unprojected{Buffer<Real>(checked_product(rows, P_)), Buffer<Real>(N_ * H_), Buffer<Real>::zeros(N_ * H_)});
  running_ = unprojected_->end.data();
  const View<Real> dh = rows_view(unprojected_->dh.data(), P_);
  gradients_->out_rows = rows_view<const Real>(saved.out.data(), H_), gradients_->dh = read_only(dh);
  if (norms_.data != nullptr) dh_steps_ = dh;
}

// dh = dy + R^T dq of the row after, at a sequence's end + dL/d(final h), of the columns in some panels.
template <class Real>
void BackwardScan<Real>::gather_dh(Index s, Index part, Range panels, Scratch& scratch) {
  Real* rows = unprojected_->dh.data();
  Index count = 0;
  parts_.for_rows(s, part, [&](const Slot& slot) {
    const Index after = row_after(slot, dt_);
    scratch.du[at(count)] = after >= 0 ? row_of(u_, after, slot.n, slot.t + dt_) : zeros_.data();
    scratch.dx[at(count++)] = rows + slot.row * P_;
  });
  multiply_panels(panels_.fed, panels, count, scratch.du.data(), scratch.dx.data());
  const Range columns = columns_of(panels_.fed, panels);
  parts_.for_rows(s, part, [&](const Slot& slot) {
    Real* dh = rows + slot.row * P_;
    const Real* dy = row_of(dy_, slot.row, slot.n, slot.t);
    const Real* mask = masks_.size() > 0 ? masks_.data() + slot.n * P_ : nullptr;
    const Real* end = row_after(slot, dt_) == kEnd ? dh_ + slot.n * P_ : nullptr;
    for (Index i = columns.begin; i < columns.end; ++i) {
      if (mask != nullptr) dh[i] *= mask[i];
      if (end != nullptr) dh[i] += end[i];
      dh[i] += dy[i];
    }
  });
}

// dL/dout = W_hr^T dh, of the columns in some panels.
template <class Real>
void BackwardScan<Real>::unproject(Index s, Index part, Range panels, Scratch& scratch) {
  Index count = 0;
  parts_.for_rows(s, part, [&](const Slot& slot) {
    scratch.du[at(count)] = unprojected_->dh.data() + slot.row * P_;
    scratch.dx[at(count++)] = unprojected_->out.data() + slot.n * H_;
  });
  multiply_panels(panels_.projection, panels, count, scratch.du.data(), scratch.dx.data());
}

// dh of the initial states of some sequences.
template <class Real>
void BackwardScan<Real>::finish_projected(Range sequences) {
  for (Index n = sequences.begin; n < sequences.end; ++n) {
    const Plan& plan = call_.plan;
    if (plan.length(n) == 0) continue;
    const Index row = dt_ > 0 ? plan.first_row_of(n) : plan.last_row(n), t = dt_ > 0 ? 0 : plan.length(n) - 1;
    Real* dh = dh_ + n * P_;
    if (dt_ > 0 && plan.resets_at_start(n)) {
      std::fill_n(dh, P_, Real(0));
      continue;
    }
    const Real* dq = row_of(u_, row, n, t);
    multiply_panels(panels_.fed, {0, panels_.fed.count}, 1, &dq, &dh);
    for (Index i = 0; i < P_ && masks_.size() > 0; ++i) dh[i] *= masks_.data()[n * P_ + i];
  }
  cut_dc(sequences);
}

#define RNNFAST_INSTANTIATE(Real)                                              \
  template void ForwardScan<Real>::place_out(Index);                           \
  template void ForwardScan<Real>::project_out(Index, Index, Range, Scratch&); \
  template void BackwardScan<Real>::place_dh(Index, const Saved<Real>&);       \
  template void BackwardScan<Real>::gather_dh(Index, Index, Range, Scratch&);  \
  template void BackwardScan<Real>::unproject(Index, Index, Range, Scratch&);  \
  template void BackwardScan<Real>::finish_projected(Range);
RNNFAST_INSTANTIATE(float)
RNNFAST_INSTANTIATE(double)
#undef RNNFAST_INSTANTIATE

}  // namespace rnnfast
