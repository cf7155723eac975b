// What a call that keeps no gates leaves behind, and how a chunk is computed again from it.
#include <algorithm>

#include "scans.hpp"

namespace rnnfast {

template <class Real>
void ForwardScan<Real>::rebuild(Index i, const View<const Real>& y, const View<Real>& gates, const View<Real>& aux,
                                const View<Real>& raw, const Member& member) {
  if (member.rank == 0) {
    gates_ = gates, aux_ = aux, raw_ = raw;
    return_to(i, y);
  }
  member.wait();
  const auto [s0, s1] = chunks_.steps(i, dt_);
  run_chunk(s0, s1, member);
  member.wait();
}

// What R reads of an initial state.
template <class Real>
InitialState<Real> ForwardScan<Real>::initial_recurrent_input() const {
  if (masks_.size() == 0) return h0_;
  if (masked_reset_.size() == 0) return {masked_.data(), zeros_.data(), P_, 0};
  return {masked_.data(), masked_reset_.data(), P_, P_};
}

// Makes it, where it is under the masks.
template <class Real>
void ForwardScan<Real>::mask_initial_state() {
  for (Index i = 0; i < masked_.size(); ++i) masked_.data()[i] = h0_.given[i] * masks_.data()[i];
  for (Index i = 0; i < masked_reset_.size(); ++i) masked_reset_.data()[i] = h0_.reset[i % P_] * masks_.data()[i];
}

// What the first step of chunk i reads of the one before: h, also under its mask, and c.
template <class Real>
void ForwardScan<Real>::return_to(Index i, const View<const Real>& y) {
  const auto [s0, s1] = chunks_.steps(i, dt_);
  const Index before = dt_ > 0 ? s0 - 1 : s1;
  y_ = rows_view(y_buffer_.data(), P_, call_.plan.first_row(i > 0 ? smaller(s0, before) : s0));
  mask_initial_state();
  if (i == 0) return;
  for (Index part = 0; part < parts_.count(); ++part) {
    parts_.for_rows(before, part, [&](const Row& slot) {
      std::copy_n(row_of(y, slot.row, slot.n, slot.t), P_, row_of(y_, slot.row, slot.n, slot.t));
      if (spec_.has_c) std::copy_n(start_of(i, slot.n), H_, row_of(aux_, slot.row, slot.n, slot.t));
    });
    if (masks_.size() > 0) mask_state(before, part, {0, P_});
  }
}

// c as it enters the chunk behind chunk i, of the sequences whose steps are this member's.
template <class Real>
void ForwardScan<Real>::keep_start(Index i, const Member& member) const {
  if (call_.keep != Keep::kStarts || !spec_.saves_gates || !spec_.has_c || i + 1 == chunks_.count()) return;
  const auto [s0, s1] = chunks_.steps(i, dt_);
  for (Index part = member.rank; part < parts_.count(); part += member.size)
    parts_.for_rows(dt_ > 0 ? s1 - 1 : s0, part, [&](const Row& slot) {
      std::copy_n(row_of(aux_, slot.row, slot.n, slot.t), H_, start_of(i + 1, slot.n));
    });
}

template void ForwardScan<float>::rebuild(Index, const View<const float>&, const View<float>&, const View<float>&,
                                          const View<float>&, const Member&);
template void ForwardScan<double>::rebuild(Index, const View<const double>&, const View<double>&, const View<double>&,
                                           const View<double>&, const Member&);
template InitialState<float> ForwardScan<float>::initial_recurrent_input() const;
template InitialState<double> ForwardScan<double>::initial_recurrent_input() const;
template void ForwardScan<float>::mask_initial_state();
template void ForwardScan<double>::mask_initial_state();
template void ForwardScan<float>::keep_start(Index, const Member&) const;
template void ForwardScan<double>::keep_start(Index, const Member&) const;

}  // namespace rnnfast
