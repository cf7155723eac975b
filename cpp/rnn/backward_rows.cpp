// What the backward pass does with rows before and after its steps, and with the states that they begin with.
#include <algorithm>
#include <cmath>

#include "scans.hpp"

namespace rnnfast {

namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

}  // namespace

// The zones of some rows of the chunk in work.
template <class Real>
void BackwardScan<Real>::draw_zones(Range rows) {
  for_rows(call_.plan, rows, [&](Index row, const Slot& slot) {
    zones_.draw(slot, zone_rows_.data() + (row - first_zone_row_) * zones_.width());
  });
}

template <class Real>
void BackwardScan<Real>::write_norms(Range rows) const {
  for_rows(call_.plan, rows, [&](Index row, const Slot& slot) {
    const Real* dh = row_of(dh_steps_, row, slot.n, slot.t);
    *row_of(norms_, row, slot.n, slot.t) = std::sqrt(weights_.table.nn.squared_norm(P_, dh));
  });
}

template <class Real>
void BackwardScan<Real>::add_dx(Range rows, Index rank) {
  Scratch& scratch = scratch_[at(rank)];
  Index count = 0;
  for_rows(call_.plan, rows, [&](Index row, const Slot& slot) {
    scratch.du[at(count)] = row_of(weights_.normed() ? d_ : u_, row, slot.n, slot.t);
    scratch.dx[at(count++)] = row_of(dx_, row, slot.n, slot.t);
  });
  if (direction_ == 0)
    multiply<Real>(panels_.w, count, scratch.du.data(), scratch.dx.data(), nullptr);
  else
    multiply_add<Real>(panels_.w, count, scratch.du.data(), scratch.dx.data());
  if (layer_ == 0 || call_.dropout.p == 0 || direction_ + 1 < call_.directions) return;
  const Real scale = static_cast<Real>(1 / (1 - call_.dropout.p));
  for_rows(call_.plan, rows, [&](Index row, const Slot& slot) {
    Real* dx = row_of(dx_, row, slot.n, slot.t);
    weights_.table.dropout(C_, dx, dx, dropout_key(call_.dropout, layer_, slot), scale);
  });
}

// No gradient of c crosses a reset at the start.
template <class Real>
void BackwardScan<Real>::cut_dc(Range sequences) {
  for (Index n = sequences.begin; n < sequences.end; ++n)
    if (dt_ > 0 && dc_ != nullptr && call_.plan.resets_at_start(n)) std::fill_n(dc_ + n * H_, H_, Real(0));
}

template <class Real>
void BackwardScan<Real>::finish(const Member& member) {
  if (outside_) return finish_outside(share(N_, member.size, member.rank));
  const auto& kernel = weights_.table.finish[static_cast<int>(weights_.arrays.cell)];
  const Range panels = share(weights_.backward_panels(), member.size, member.rank);
  BackwardArgs<Real> args = stage_args(0, call_.plan.walk(dt_));
  args.panel0 = panels.begin, args.panel1 = panels.end;
  if (!call_.plan.even()) args.firsts = firsts_.data(), args.first_count = static_cast<Index>(firsts_.size());
  kernel(args);
  cut_dc(share(N_, member.size, member.rank));
}

#define RNNFAST_INSTANTIATE(Real)                             \
  template void BackwardScan<Real>::draw_zones(Range);        \
  template void BackwardScan<Real>::write_norms(Range) const; \
  template void BackwardScan<Real>::add_dx(Range, Index);     \
  template void BackwardScan<Real>::cut_dc(Range);            \
  template void BackwardScan<Real>::finish(const Member&);
RNNFAST_INSTANTIATE(float)
RNNFAST_INSTANTIATE(double)
#undef RNNFAST_INSTANTIATE

}  // namespace rnnfast
