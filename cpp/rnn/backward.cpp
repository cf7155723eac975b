#include "backward.hpp"

#include <algorithm>
#include <cmath>

#include "../cpu/cost.hpp"

namespace rnnfast {

namespace {

template <class Real>
Schedule as_kept(Schedule schedule, const Saved<Real>& saved) {
  if (saved.chunk > 0) schedule.chunk = saved.chunk;
  return schedule;
}

// Of one layer and direction, `size` numbers each; null where there is none.
template <class Number>
Number* part_of(Number* all, Index index, Index size) {
  return all != nullptr ? all + index * size : nullptr;
}

}  // namespace

template <class Real>
BackwardScan<Real>::BackwardScan(const BackwardCall<Real>& call, Index index, const Schedule& schedule,
                                 const Surroundings<Real>& views)
    : call_(call),
      pass_(call.layers, call.directions, index, call.plan, as_kept(schedule, call.saved[at(index)])),
      x_(views.x),
      y_(columns(views.y, pass_.direction * pass_.P)),
      dy_(columns(views.dy, pass_.direction * pass_.P)),
      dx_(views.dx),
      dh_(part_of(call.dh, index, pass_.N * pass_.P)),
      dc_(pass_.spec.has_c ? part_of(call.dc, index, pass_.N * pass_.H) : nullptr),
      dh_reset_(part_of(call.dh_reset, index, pass_.N * pass_.P)),
      dc_reset_(part_of(call.dc_reset, index, pass_.N * pass_.H)),
      norms_{part_of(call.norms, index, pass_.N * call.T), 0, 0, call.T, 1},
      zeros_(Buffer<Real>::zeros(std::max<Index>(pass_.spec.gates, pass_.N) * pass_.H)),
      input_dropout_(pass_, call.random),
      zoneout_(pass_, call.random),
      mask_(pass_, call.random),
      unsaved_(call.plan) {
  h0_ = initial_state(call.h0, call.h_reset, index, pass_.N, pass_.P, zeros_.data());
  c0_ = initial_state(call.c0, call.c_reset, index, pass_.N, pass_.H, zeros_.data());
  if (!call.plan.equal_lengths()) firsts_ = call.plan.entered_at(pass_.time_step);
  const Index chunk_rows = std::max(kRowBlock, pass_.chunks.largest());
  Saved<Real>& saved = call.saved[at(index)];
  allocate_options(saved);
  allocate_rows(saved, chunk_rows);
  if (norms_.data != nullptr && !pass_.weights.output_outside())
    dh_buffer_ = Buffer<Real>(checked_product(chunk_rows, pass_.H));
  gradients_.emplace(pass_, call.gradients[at(index)], input_dropout_, mask_, norm_ ? &*norm_ : nullptr);
  scratch_.resize(at(call.threads));
  for (Scratch& scratch : scratch_) {
    scratch.rows.resize(chunk_rows);
    if (dh_reset_ != nullptr) scratch.resets.resize(at(pass_.N));
    scratch.gradients = gradients_->new_scratch();
  }
}

template <class Real>
void BackwardScan<Real>::allocate_options(Saved<Real>& saved) {
  const Weights<Real>& weights = pass_.weights;
  if (zoneout_.random()) zoneout_shares_ = Buffer<Real>(checked_product(pass_.chunks.largest(), zoneout_.width()));
  if (saved.chunk > 0) recompute_.emplace(call_, pass_, x_);
  if (weights.normed()) norm_.emplace(pass_);
  if (weights.projected()) {
    projection_.emplace(pass_);
    out_ = rows_view<const Real>(saved.out.data(), pass_.H);
  }
  if (!projection_ && !norm_) return;
  // dL/dh stays where all rows are read again: by the gradient of the projection, or by norms.
  const bool norms = norms_.data != nullptr && weights.output_outside();
  hidden_.emplace(pass_, mask_, weights.projected() || norms, dh_);
  if (norms) dh_steps_ = hidden_->rows();
}

// What was saved, and memory for what was not.
template <class Real>
void BackwardScan<Real>::allocate_rows(Saved<Real>& saved, Index chunk_rows) {
  const Index rows = call_.plan.rows();
  const Index H = pass_.H;
  const Index width = pass_.spec.gates * H;
  // A recomputed chunk also needs room for the step before and the step after it; moving these costs little beside it.
  const Index some = recompute_ ? chunk_rows + 2 * pass_.N : kSlidingChunks * chunk_rows;
  const Index held = all_rows_read_again() ? rows : some;
  u_ = rows_view(saved.gates.data(), width);
  aux_ = rows_view(saved.aux.data(), H);
  if (recompute_ || !pass_.spec.saves_gates) unsaved_.add(held, width, u_);
  if (recompute_) unsaved_.add(held, H, aux_);
  if (!norm_) return;
  norm_->raw = rows_view(saved.raw.data(), 2 * width);
  if (recompute_) unsaved_.add(held, 2 * width, norm_->raw);
  unsaved_.add(held, norm_->width_of_d(), norm_->d);
}

// All of du is read again where two directions add to one dx, or where a sequence begins after the first step: the
// gradient of its initial state reads du there.
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
  return call_.plan.first_row(recompute_ && s0 > 0 ? s0 - 1 : s0);
}

template <class Real>
DqRows<Real> BackwardScan<Real>::dq_rows() const {
  const Index first = pass_.spec.backward[0].first_gate * pass_.H;
  if (norm_) return {norm_->d, norm_->width() + first};
  return {u_, first};
}

template <class Real>
GradientRows<Real> BackwardScan<Real>::gradient_rows() const {
  GradientRows<Real> rows{};
  rows.x = x_;
  rows.y = y_;
  rows.u = read_only(u_);
  rows.aux = read_only(aux_);
  rows.out = out_;
  if (projection_) rows.dh = read_only(hidden_->rows());
  rows.h0 = h0_;
  rows.c0 = c0_;
  return rows;
}

template <class Real>
BackwardArgs<Real> BackwardScan<Real>::stage_args(int stage, const RowOrder& order) {
  const Weights<Real>& weights = pass_.weights;
  BackwardArgs<Real> args{};
  args.order = order;
  args.panel1 = weights.backward_panels();
  args.H = pass_.H;
  args.u = u_;
  args.aux = aux_;
  args.y = y_;
  args.h0 = h0_;
  args.c0 = c0_;
  args.zero = zeros_.data();
  args.entered = kInitial;
  args.dc = dc_;
  args.options = &weights.options;
  args.one_way = one_way_panels();
  args.zone = zoneout_.view(rows_view(zoneout_shares_.data(), zoneout_.width(), first_share_row_));
  if (!hidden_) {
    args.packed = weights.backward().r[at(stage)].data();
    args.mask = mask_.data();
    args.dy = dy_;
    args.dh_steps = dh_steps_;
    args.dh = dh_;
    args.fetch_ahead = pass_.schedule.fetch_ahead;
    return args;
  }
  const bool outside = weights.output_outside();
  const View<const Real> cell_gradient{hidden_->cell_gradient(), 0, 0, pass_.H, 0};
  args.dy = outside || stage > 0 ? cell_gradient : read_only(hidden_->rows());
  if (!outside) args.dh_steps = dh_steps_;
  if (projection_) args.h0 = {zeros_.data(), zeros_.data(), pass_.H, 0};
  args.dh = hidden_->bypass();
  return args;
}

template <class Real>
void BackwardScan<Real>::run_step(const Step& step, const RowOrder& order, Scratch& scratch) {
  const auto& kernel = pass_.weights.table.backward[pass_.cell()];
  if (hidden_) hidden_->before_step_back(step, dq_rows(), dy_, scratch.rows);
  if (projection_) projection_->before_step_back(step, hidden_->rows(), hidden_->cell_gradient(), scratch.rows);
  if (norm_) norm_->before_step_back(step, {u_, aux_, hidden_->rows(), hidden_->cell_gradient(), dc_});
  for (int stage = 0; stage < pass_.spec.stages; ++stage) {
    if (norm_ && stage > 0) norm_->before_stage_back(stage, step, hidden_->cell_gradient(), scratch.rows);
    BackwardArgs<Real> args = stage_args(stage, order);
    const Range panels = share(args.panel1, step.member);
    args.s0 = step.s;
    args.s1 = step.s + 1;
    args.panel0 = panels.begin;
    args.panel1 = panels.end;
    kernel[stage](args);
    if (stage + 1 < pass_.spec.stages || norm_ || dh_reset_ != nullptr) step.member.wait();
    if (norm_) norm_->after_stage_back(stage, step, u_, aux_);
  }
  if (dh_reset_ != nullptr) collect_resets(step, find_resets(step.s, step.part, scratch), scratch);
}

// Steps of a part's sequences by the one stage alone: in one call, or where the gradients of resets are wanted in a
// call for each run of steps that ends at one.
template <class Real>
void BackwardScan<Real>::run_part(Index s0, Index s1, Index part, const RowOrder& order, Scratch& scratch) {
  const auto& kernel = pass_.weights.table.backward[pass_.cell()][0];
  const Index time_step = pass_.time_step;
  BackwardArgs<Real> args = stage_args(0, order);
  args.s0 = s0;
  args.s1 = s1;
  if (dh_reset_ == nullptr) return kernel(args);
  const Member alone{0, 1, nullptr};
  const Index last = time_step > 0 ? s0 : s1 - 1;
  for_steps(s0, s1, -time_step, [&](Index s) {
    const Index count = find_resets(s, part, scratch);
    if (count == 0 && s != last) return;
    (time_step > 0 ? args.s0 : args.s1) = time_step > 0 ? s : s + 1;
    kernel(args);
    collect_resets({s, part, alone}, count, scratch);
    (time_step > 0 ? args.s1 : args.s0) = time_step > 0 ? s : s + 1;
  });
}

template <class Real>
void BackwardScan<Real>::run_steps(Index s0, Index s1, const Member& member) {
  Scratch& scratch = scratch_[at(member.rank)];
  if (pass_.shares_units()) {
    const RowOrder order = pass_.parts.order(0, pass_.time_step);
    return member.share_steps(s1 - s0, [&](Index i, const Member& present) {
      run_step({nth_step(s0, s1, -pass_.time_step, i), 0, present}, order, scratch);
    });
  }
  const Member alone{0, 1, nullptr};
  parts_.for_parts(pass_, member, [&](Index part) {
    const RowOrder order = pass_.parts.order(part, pass_.time_step);
    if (pass_.spec.stages == 1 && !hidden_)
      run_part(s0, s1, part, order, scratch);
    else
      for_steps(s0, s1, -pass_.time_step, [&](Index s) { run_step({s, part, alone}, order, scratch); });
  });
}

// Steps [s0, s1), whose gates are chunk `again` of the forward pass.
template <class Real>
void BackwardScan<Real>::run_chunk(Index s0, Index s1, Index again, const Member& member) {
  const Index begin = call_.plan.first_row(s0);
  const Index end = call_.plan.first_row(s1);
  const Range part = share(end - begin, member);
  const Range mine = {begin + part.begin, begin + part.end};
  if (recompute_) recompute_->chunk(again, {y_, u_, aux_, norm_ ? norm_->raw : View<Real>{}}, member);
  if (zoneout_.random()) {
    draw_zoneout(mine);
    member.wait();
  }
  run_steps(s0, s1, member);
  member.wait();
  if (norms_.data != nullptr) write_norms(mine);
  if (dx_.data != nullptr && call_.directions == 1) add_dx(mine, member.rank);
}

// Chunk i, counted against time, and the gradients of the blocks of rows that are whole after it. False: interrupted.
template <class Real>
bool BackwardScan<Real>::take_chunk(Index i, const Member& member, Interrupt& interrupt, const Link& link) {
  const Range steps = pass_.chunks.steps(i, -pass_.time_step);
  Index done = i > 0 ? gradients_->done_after(pass_.chunks.steps(i - 1, -pass_.time_step)) : 0;
  link.await(call_.plan.steps() - steps.begin, interrupt);
  if (member.rank == 0) {
    const Index blocks = ceil_div(call_.plan.rows(), kRowBlock);
    if (unsaved_.must_slide(lowest_row(steps.begin))) unsaved_.slide(steps.end, blocks - done);
    first_share_row_ = call_.plan.first_row(steps.begin);
    if (dh_buffer_.size() > 0) dh_steps_ = rows_view(dh_buffer_.data(), pass_.H, first_share_row_);
    parts_.refill();
    interrupt.check();
    stop_ = interrupt.stopped();
  }
  member.wait();
  if (stop_) {
    link.give_up();
    return false;
  }
  run_chunk(steps.begin, steps.end, pass_.chunks.count() - 1 - i, member);
  link.publish(steps.end - steps.begin);
  for (const Index end = gradients_->done_after(steps); done < end; ++done)
    gradients_->add(done, gradient_rows(), member, scratch_[at(member.rank)].gradients);
  return true;
}

template <class Real>
void BackwardScan<Real>::run(const Member& member, Interrupt& interrupt, const Link& link) {
  bool stopped = false;
  member.share_steps(pass_.chunks.count(), [&](Index i, const Member& present) {
    stopped = stopped || !take_chunk(i, present, interrupt, link);
  });
  if (!stopped && call_.plan.rows() > 0) finish(member);
}

// Shares of the states before in some rows of the chunk in work.
template <class Real>
void BackwardScan<Real>::draw_zoneout(Range rows) {
  for_rows(call_.plan, rows, [&](const Row& row) {
    zoneout_.draw(row, zoneout_shares_.data() + (row.index - first_share_row_) * zoneout_.width());
  });
}

template <class Real>
void BackwardScan<Real>::write_norms(Range rows) const {
  for_rows(call_.plan, rows, [&](const Row& row) {
    *row_of(norms_, row) = std::sqrt(pass_.weights.table.nn.squared_norm(pass_.P, row_of(dh_steps_, row)));
  });
}

template <class Real>
void BackwardScan<Real>::add_dx(Range rows, Index rank) {
  ProductRows<Real>& scratch = scratch_[at(rank)].rows;
  const Panels<Real>& w = pass_.weights.backward().w;
  const View<Real> du = norm_ ? norm_->d : u_;
  const Index count = rows.end - rows.begin;
  list_rows(call_.plan, rows, du, scratch.from.data());
  list_rows(call_.plan, rows, dx_, scratch.to.data());
  if (pass_.direction == 0)
    multiply<Real>(w, count, scratch.from.data(), scratch.to.data(), nullptr, pass_.schedule.fetch_input);
  else
    multiply_add<Real>(w, count, scratch.from.data(), scratch.to.data());
  if (!input_dropout_.active() || pass_.direction + 1 < call_.directions) return;
  for_rows(call_.plan, rows, [&](const Row& row) {
    Real* dx = row_of(dx_, row);
    input_dropout_.apply(row, dx, dx);
  });
}

// Lists those of the part's rows of step s that are resets; returns how many.
template <class Real>
Index BackwardScan<Real>::find_resets(Index s, Index part, Scratch& scratch) const {
  Index count = 0;
  pass_.parts.for_rows(s, part, [&](const Row& row) {
    if (row_entering(row, pass_.time_step) != kReset) return;
    scratch.resets[at(count)] = row.index;
    ++count;
  });
  return count;
}

// Adds the gradient of the state that sequence n has just entered by a reset.
template <class Real>
void BackwardScan<Real>::add_reset(Index n, Range units_h, Range units_c) {
  const Index first_h = n * pass_.P;
  const Index first_c = n * pass_.H;
  for (Index i = first_h + units_h.begin; i < first_h + units_h.end; ++i) dh_reset_[i] += dh_[i];
  if (dc_reset_ == nullptr) return;
  for (Index i = first_c + units_c.begin; i < first_c + units_c.end; ++i) dc_reset_[i] += dc_[i];
}

// Adds the gradient of the state that the listed resets begin with: what `finish` makes of a given one. dh of their
// sequences is free for it, because nothing of it crosses a reset.
template <class Real>
void BackwardScan<Real>::collect_resets(const Step& step, Index count, const Scratch& scratch) {
  if (count == 0) return;
  if (hidden_) {
    const Range mine = share(count, step.member);
    for (Index i = mine.begin; i < mine.end; ++i) {
      const Row row = call_.plan.row(step.s, scratch.resets[at(i)]);
      hidden_->enter(row, dq_rows());
      add_reset(row.n, {0, pass_.P}, {0, pass_.H});
    }
    return step.member.wait();
  }
  BackwardArgs<Real> args = stage_args(0, call_.plan.order(pass_.time_step));
  const Range panels = share(args.panel1, step.member);
  args.panel0 = panels.begin;
  args.panel1 = panels.end;
  args.entered = kReset;
  args.firsts = scratch.resets.data();
  args.first_count = count;
  pass_.weights.table.finish[pass_.cell()](args);
  const Index width = pass_.weights.table.backward_blocks * pass_.weights.table.lanes;
  const Range units = {panels.begin * width, smaller(panels.end * width, pass_.H)};
  for (Index i = 0; i < count; ++i) add_reset(call_.plan.row(step.s, scratch.resets[at(i)]).n, units, units);
}

template <class Real>
void BackwardScan<Real>::finish(const Member& member) {
  const Range sequences = share(pass_.N, member);
  if (hidden_) {
    hidden_->finish(sequences, dq_rows());
  } else {
    BackwardArgs<Real> args = stage_args(0, call_.plan.order(pass_.time_step));
    const Range panels = share(args.panel1, member);
    args.panel0 = panels.begin;
    args.panel1 = panels.end;
    if (!call_.plan.equal_lengths()) {
      args.firsts = firsts_.data();
      args.first_count = static_cast<Index>(firsts_.size());
    }
    pass_.weights.table.finish[pass_.cell()](args);
  }
  // No gradient of c crosses a reset at the start.
  for (Index n = sequences.begin; n < sequences.end; ++n)
    if (pass_.time_step > 0 && dc_ != nullptr && call_.plan.resets_at_start(n))
      std::fill_n(dc_ + n * pass_.H, pass_.H, Real(0));
}

template class BackwardScan<float>;
template class BackwardScan<double>;

}  // namespace rnnfast
