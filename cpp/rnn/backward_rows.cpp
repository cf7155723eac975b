// Where the backward pass finds and leaves its rows, what it does with them before and after its steps, and with the
// states that they begin with.
#include <algorithm>
#include <cmath>

#include "scans.hpp"

namespace rnnfast {

namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

constexpr Index kWindowChunks = 5;  // so many chunks are computed until the rows above have to move

}  // namespace

// What was saved, and windows over what was not.
template <class Real>
void BackwardScan<Real>::place_rows(Saved<Real>& saved, Index chunk_rows) {
  const Index rows = call_.plan.rows(), width = spec_.gates * H_;
  const bool again = saved.chunk > 0;
  // Of a chunk that is computed again the step before it and the step after, too: moving these costs little beside it.
  const Index some = again ? chunk_rows + 2 * N_ : kWindowChunks * chunk_rows;
  const Index held = all_rows_read_again() ? rows : some;
  u_ = rows_view(saved.gates.data(), width), aux_ = rows_view(saved.aux.data(), H_);
  if (again || !spec_.saves_gates) add_window(rows, held, width, u_);
  if (again) add_window(rows, held, H_, aux_);
  if (!weights_.normed()) return;
  raw_ = rows_view(saved.raw.data(), 2 * width);
  if (again) add_window(rows, held, 2 * width, raw_);
  add_window(rows, held, 2 * width + (spec_.output_gate >= 0 ? H_ : 0), d_);
}

// du of two directions meets in dx, that of sequences which begin later in the gradient of their initial state.
template <class Real>
bool BackwardScan<Real>::all_rows_read_again() const {
  const Index first_step = call_.plan.steps() > 0 ? call_.plan.first_row(1) : 0;
  return call_.directions > 1 ||
         std::any_of(firsts_.begin(), firsts_.end(), [&](Index row) { return row >= first_step; });
}

// The lowest row that a chunk from s0 on touches: c of the step before it is written there before gates are computed
// again.
template <class Real>
Index BackwardScan<Real>::lowest_row(Index s0) const {
  return call_.plan.first_row(again_ && s0 > 0 ? s0 - 1 : s0);
}

template <class Real>
void BackwardScan<Real>::add_window(Index rows, Index held, Index width, View<Real>& view) {
  windows_.push_back({SlidingRows<Real>(rows, held, width), &view});
  view = windows_.back().window.view();
}

// Makes room for the steps below s1. Of the rows above, those of the step s1 and of the first `blocks` blocks stay.
template <class Real>
void BackwardScan<Real>::slide_windows(Index s1, Index blocks) {
  const Plan& plan = call_.plan;
  const Index above = plan.first_row(smaller(s1 + 1, plan.steps()));
  const Index begin = plan.first_row(s1), end = std::max(above, smaller(blocks * kRowBlock, plan.rows()));
  for (Sliding& sliding : windows_) {
    sliding.window.slide(begin, end);
    *sliding.view = sliding.window.view();
  }
  show_rows();
}

template <class Real>
void BackwardScan<Real>::show_rows() {
  gradients_->u = read_only(u_), gradients_->aux = read_only(aux_);
  gradients_->raw = read_only(raw_), gradients_->d = read_only(d_);
}

// The zones of some rows of the chunk in work.
template <class Real>
void BackwardScan<Real>::draw_zones(Range rows) {
  for_rows(call_.plan, rows, [&](Index row, const Row& slot) {
    zones_.draw(slot, zone_rows_.data() + (row - first_zone_row_) * zones_.width());
  });
}

template <class Real>
void BackwardScan<Real>::write_norms(Range rows) const {
  for_rows(call_.plan, rows, [&](Index row, const Row& slot) {
    const Real* dh = row_of(dh_steps_, row, slot.n, slot.t);
    *row_of(norms_, row, slot.n, slot.t) = std::sqrt(weights_.table.nn.squared_norm(P_, dh));
  });
}

template <class Real>
void BackwardScan<Real>::add_dx(Range rows, Index rank) {
  Scratch& scratch = scratch_[at(rank)];
  Index count = 0;
  for_rows(call_.plan, rows, [&](Index row, const Row& slot) {
    scratch.du[at(count)] = row_of(weights_.normed() ? d_ : u_, row, slot.n, slot.t);
    scratch.dx[at(count++)] = row_of(dx_, row, slot.n, slot.t);
  });
  if (direction_ == 0)
    multiply<Real>(panels_.w, count, scratch.du.data(), scratch.dx.data(), nullptr, schedule_.fetch_input);
  else
    multiply_add<Real>(panels_.w, count, scratch.du.data(), scratch.dx.data());
  if (layer_ == 0 || call_.dropout.p == 0 || direction_ + 1 < call_.directions) return;
  const Real scale = static_cast<Real>(1 / (1 - call_.dropout.p));
  for_rows(call_.plan, rows, [&](Index row, const Row& slot) {
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

// Lists those of the part's rows of step s that are resets; returns how many.
template <class Real>
Index BackwardScan<Real>::find_resets(Index s, Index part, Scratch& scratch) const {
  Index count = 0;
  parts_.for_rows(s, part, [&](const Row& slot) {
    if (row_entering(slot, dt_) == kReset) scratch.resets[at(count++)] = slot.row;
  });
  return count;
}

// Adds the gradient of the state that the listed resets begin with: what `finish` makes of a given one. dh of their
// sequences is free for it, because nothing of it crosses a reset.
template <class Real>
void BackwardScan<Real>::collect_resets(Index s, Index count, const Scratch& scratch, const Member& member) {
  if (count == 0) return;
  if (outside_) return collect_resets_outside(s, count, scratch, member);
  BackwardArgs<Real> args = stage_args(0, call_.plan.order(dt_));
  const Range panels = share(args.panel1, member);
  args.panel0 = panels.begin, args.panel1 = panels.end;
  args.entered = kReset, args.firsts = scratch.resets.data(), args.first_count = count;
  weights_.table.finish[static_cast<int>(weights_.arrays.cell)](args);
  const Index units = weights_.table.backward_blocks * weights_.table.lanes;
  const Range mine = {panels.begin * units, smaller(panels.end * units, H_)};
  for (Index i = 0; i < count; ++i) {
    const Index first = call_.plan.slot(s, scratch.resets[at(i)]).n * H_;
    for (Index j = first + mine.begin; j < first + mine.end; ++j) {
      dh_reset_[j] += dh_[j];
      if (dc_reset_ != nullptr) dc_reset_[j] += dc_[j];
    }
  }
}

template <class Real>
void BackwardScan<Real>::finish(const Member& member) {
  if (outside_) return finish_outside(share(N_, member.size, member.rank));
  const auto& kernel = weights_.table.finish[static_cast<int>(weights_.arrays.cell)];
  const Range panels = share(weights_.backward_panels(), member.size, member.rank);
  BackwardArgs<Real> args = stage_args(0, call_.plan.order(dt_));
  args.panel0 = panels.begin, args.panel1 = panels.end;
  if (!call_.plan.even()) args.firsts = firsts_.data(), args.first_count = static_cast<Index>(firsts_.size());
  kernel(args);
  cut_dc(share(N_, member.size, member.rank));
}

#define RNNFAST_INSTANTIATE(Real)                                               \
  template void BackwardScan<Real>::place_rows(Saved<Real>&, Index);            \
  template Index BackwardScan<Real>::lowest_row(Index) const;                   \
  template void BackwardScan<Real>::slide_windows(Index, Index);                \
  template void BackwardScan<Real>::show_rows();                                \
  template void BackwardScan<Real>::draw_zones(Range);                          \
  template void BackwardScan<Real>::write_norms(Range) const;                   \
  template void BackwardScan<Real>::add_dx(Range, Index);                       \
  template void BackwardScan<Real>::cut_dc(Range);                              \
  template void BackwardScan<Real>::finish(const Member&);                      \
  template Index BackwardScan<Real>::find_resets(Index, Index, Scratch&) const; \
  template void BackwardScan<Real>::collect_resets(Index, Index, const Scratch&, const Member&);
RNNFAST_INSTANTIATE(float)
RNNFAST_INSTANTIATE(double)
#undef RNNFAST_INSTANTIATE

}  // namespace rnnfast
