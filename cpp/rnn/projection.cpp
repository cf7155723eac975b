// A layer's projection h = W_hr out, of which its cell's kernels know nothing.
#include <algorithm>

#include "scans.hpp"

namespace rnnfast {

namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

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
  parts_.for_rows(s, part, [&](const Row& slot) {
    scratch.x[at(count)] = row_of(out_, slot.row, slot.n, slot.t);
    scratch.u[at(count++)] = row_of(y_, slot.row, slot.n, slot.t);
  });
  multiply_panels(weights_.projection, panels, count, scratch.x.data(), scratch.u.data());
}

// dL/dout = W_hr^T dh, of the columns in some panels.
template <class Real>
void BackwardScan<Real>::unproject(Index s, Index part, Range panels, Scratch& scratch) {
  Index count = 0;
  parts_.for_rows(s, part, [&](const Row& slot) {
    scratch.du[at(count)] = row_of(dh_rows_, slot.row, slot.n, slot.t);
    scratch.dx[at(count++)] = outside_->given.data() + slot.n * H_;
  });
  multiply_panels(panels_.projection, panels, count, scratch.du.data(), scratch.dx.data());
}

#define RNNFAST_INSTANTIATE(Real)                                              \
  template void ForwardScan<Real>::place_out(Index);                           \
  template void ForwardScan<Real>::project_out(Index, Index, Range, Scratch&); \
  template void BackwardScan<Real>::unproject(Index, Index, Range, Scratch&);
RNNFAST_INSTANTIATE(float)
RNNFAST_INSTANTIATE(double)
#undef RNNFAST_INSTANTIATE

}  // namespace rnnfast
