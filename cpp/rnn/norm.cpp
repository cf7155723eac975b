// A layer with normalised gates, W x and R h: its products are made outside the cell's kernels, because a row must be
// whole before any of its gates can be known. Of an LSTM also h, of a normalised c.
#include "scans.hpp"

namespace rnnfast {

namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

}  // namespace

template <class Real>
void ForwardScan<Real>::place_norms(Index rows) {
  const Index width = spec_.gates * H_;
  q_buffer_ = Buffer<Real>(checked_product(N_, width));
  q_ = {q_buffer_.data(), 0, 0, width, 0};
  if (call_.keep != Keep::kAll) return;
  saved_->raw = Buffer<Real>(checked_product(rows, 2 * width));
  raw_ = rows_view(saved_->raw.data(), 2 * width);
}

// q of a stage's gates, normalised, of the part's sequences at step s.
template <class Real>
void ForwardScan<Real>::make_q(Index s, Index part, int stage, Scratch& scratch, const Member& member) {
  const StageSpec& of = spec_.forward[stage];
  const Panels<Real>& recurrent = weights_.recurrent[at(stage)];
  const auto raw_of = [&](const Row& slot) {
    return raw_.data != nullptr ? row_of(raw_, slot.row, slot.n, slot.t) + spec_.gates * H_
                                : row_of(q_, slot.row, slot.n, slot.t);
  };
  Index count = 0;
  parts_.for_rows(s, part, [&](const Row& slot) {
    scratch.x[at(count)] = of.operand == Operand::kAux
                               ? row_of(aux_, slot.row, slot.n, slot.t)
                               : row_before(recurrent_input(), slot, dt_, initial_recurrent_input());
    scratch.raw[at(count++)] = raw_of(slot) + of.first_gate * H_;
  });
  multiply_panels(recurrent, share(recurrent.count, member), count, scratch.x.data(), scratch.raw.data());
  member.wait();
  parts_.for_rows(s, part, member, [&](const Row& slot) {
    weights_.normalize_recurrent(stage, raw_of(slot), row_of(q_, slot.row, slot.n, slot.t));
  });
  member.wait();
}

// h = o f(norm(c)), o standing where h will.
template <class Real>
void ForwardScan<Real>::make_h(Index s, Index part, const Member& member) {
  parts_.for_rows(s, part, member, [&](const Row& slot) {
    weights_.table.normed_output({weights_.output_norm(), &weights_.options, row_of(aux_, slot.row, slot.n, slot.t),
                                  row_of(y_, slot.row, slot.n, slot.t)});
  });
  member.wait();
}

// From dL/dh to dL/do, and to dc.
template <class Real>
void BackwardScan<Real>::through_output(Index s, Index part, const Member& member) {
  const Index width = spec_.gates * H_;
  parts_.for_rows(s, part, member, [&](const Row& slot) {
    weights_.table.normed_output_back(
        {weights_.output_norm(), &weights_.options, row_of(aux_, slot.row, slot.n, slot.t),
         row_of(u_, slot.row, slot.n, slot.t) + spec_.output_gate * H_, row_of(dh_rows_, slot.row, slot.n, slot.t),
         outside_->given.data() + slot.n * H_, row_of(d_, slot.row, slot.n, slot.t) + 2 * width, dc_ + slot.n * H_,
         row_after(slot, dt_) == kCut});
  });
  member.wait();
}

// The gradient of what a later stage's product reads, of the columns in some panels.
template <class Real>
void BackwardScan<Real>::through_stage(Index s, Index part, int stage, Range panels, Scratch& scratch) {
  Index count = 0;
  parts_.for_rows(s, part, [&](const Row& slot) {
    scratch.du[at(count)] = dq_of(stage, slot.row, slot.n, slot.t);
    scratch.dx[at(count++)] = outside_->given.data() + slot.n * H_;
  });
  multiply_panels(panels_.recurrent[at(stage)], panels, count, scratch.du.data(), scratch.dx.data());
}

// From the gradients of u and q to those of W x and R h, of the gates whose gradients the stage has made.
template <class Real>
void BackwardScan<Real>::through_norms(Index s, Index part, int stage, const Member& member) {
  const Index width = spec_.gates * H_;
  for (int i = 0; i < spec_.segments; ++i) {
    const SegmentSpec& segment = spec_.segment[i];
    if (segment.stage != stage) continue;
    const Norm<Real> of_u = weights_.input_norm(i), of_q = weights_.recurrent_norm(i);
    const Index first = segment.first_gate * H_;
    parts_.for_rows(s, part, member, [&](const Row& slot) {
      Real *raw = row_of(raw_, slot.row, slot.n, slot.t) + first, *d = row_of(d_, slot.row, slot.n, slot.t) + first;
      const View<Real>& dq = segment.dq == Source::kGates ? u_ : aux_;
      weights_.table.normalize_back(of_u, raw, row_of(u_, slot.row, slot.n, slot.t) + first, d);
      weights_.table.normalize_back(of_q, raw + width, row_of(dq, slot.row, slot.n, slot.t) + segment.dq_gate * H_,
                                    d + width);
    });
  }
  member.wait();
}

#define RNNFAST_INSTANTIATE(Real)                                                      \
  template void ForwardScan<Real>::place_norms(Index);                                 \
  template void ForwardScan<Real>::make_q(Index, Index, int, Scratch&, const Member&); \
  template void ForwardScan<Real>::make_h(Index, Index, const Member&);                \
  template void BackwardScan<Real>::through_output(Index, Index, const Member&);       \
  template void BackwardScan<Real>::through_stage(Index, Index, int, Range, Scratch&); \
  template void BackwardScan<Real>::through_norms(Index, Index, int, const Member&);
RNNFAST_INSTANTIATE(float)
RNNFAST_INSTANTIATE(double)
#undef RNNFAST_INSTANTIATE

}  // namespace rnnfast
