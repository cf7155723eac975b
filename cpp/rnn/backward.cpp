#include <algorithm>

#include "scans.hpp"

namespace rnnfast {

namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

template <class Real>
Schedule as_kept(Schedule schedule, const Saved<Real>& saved) {
  if (saved.chunk > 0) schedule.chunk = saved.chunk;
  return schedule;
}

// The forward call whose gates were not kept. It writes into the states' gradients, which it never returns.
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
  again.dropout = call.dropout;
  again.threads = call.threads;
  return again;
}

}  // namespace

template <class Real>
BackwardScan<Real>::BackwardScan(const BackwardCall<Real>& call, Index index, const Schedule& schedule,
                                 const Surroundings<Real>& views)
    : call_(call),
      layer_(index / call.directions),
      direction_(index % call.directions),
      weights_(*call.layers[at(index)]),
      panels_(weights_.backward()),
      spec_(weights_.spec()),
      H_(weights_.arrays.H),
      P_(weights_.arrays.P),
      C_(weights_.arrays.C),
      N_(call.plan.sequences()),
      dt_(time_step(direction_)),
      schedule_(as_kept(schedule, call.saved[at(index)])),
      parts_(call.plan, schedule_.split == Split::kBatch ? schedule_.threads : 1),
      chunks_(call.plan, schedule_.chunk),
      x_(views.x),
      y_(columns(views.y, direction_ * P_)),
      dy_(columns(views.dy, direction_ * P_)),
      dx_(views.dx),
      dh_(call.dh + index * N_ * P_),
      dc_(spec_.has_c ? call.dc + index * N_ * H_ : nullptr),
      dh_reset_(call.dh_reset != nullptr ? call.dh_reset + index * N_ * P_ : nullptr),
      dc_reset_(call.dc_reset != nullptr ? call.dc_reset + index * N_ * H_ : nullptr),
      norms_{call.norms != nullptr ? call.norms + index * N_ * call.T : nullptr, 0, 0, call.T, 1},
      zones_(call.dropout, index, weights_),
      zeros_(Buffer<Real>::zeros(std::max<Index>(spec_.gates, N_) * H_)),
      masks_(recurrent_masks<Real>(call.dropout, index, N_, P_)) {
  h0_ = initial_state(call.h0, call.h_reset, index, N_, P_, zeros_.data());
  c0_ = initial_state(call.c0, call.c_reset, index, N_, H_, zeros_.data());
  if (!call.plan.even()) firsts_ = call.plan.entered_at(dt_);
  const Index chunk_rows = std::max(kRowBlock, chunks_.largest());
  if (norms_.data != nullptr && !weights_.output_outside()) dh_buffer_ = Buffer<Real>(checked_product(chunk_rows, H_));
  Saved<Real>& saved = call.saved[at(index)];
  place_rows(saved, chunk_rows);
  if (saved.chunk > 0) {
    again_call_.emplace(call_again(call));
    again_.emplace(*again_call_, index, schedule_, x_, View<Real>{});
  }
  if (zones_.random()) zone_rows_ = Buffer<Real>(checked_product(chunks_.largest(), zones_.width()));
  gradients_.emplace(BlockGradients<Real>{call.plan, spec_, call.gradients[at(index)], C_, H_, P_, dt_, x_,
                                          read_only(u_), read_only(aux_), y_, h0_, c0_, masks_.data(), layer_,
                                          layer_ > 0 ? call.dropout : Dropout{}});
  gradients_->eps = weights_.arrays.norm.eps;
  show_rows();
  if (weights_.projected() || weights_.normed()) place_dh(call.plan.rows(), saved);
  scratch_.resize(at(call.threads));
  for (Scratch& scratch : scratch_) {
    scratch.du.resize(at(chunk_rows));
    scratch.dx.resize(at(chunk_rows));
    if (dh_reset_ != nullptr) scratch.resets.resize(at(N_));
    scratch.gradients = gradients_->new_scratch();
  }
}

template <class Real>
BackwardArgs<Real> BackwardScan<Real>::stage_args(int stage, const RowOrder& order) const {
  BackwardArgs<Real> args{};
  args.order = order, args.H = H_;
  args.panel0 = 0, args.panel1 = weights_.backward_panels();
  args.packed = panels_.r[at(stage)].data();
  args.u = u_, args.aux = aux_, args.y = y_, args.dy = dy_, args.dh_steps = dh_steps_;
  args.h0 = h0_, args.c0 = c0_, args.zero = zeros_.data(), args.entered = kInitial;
  args.mask = masks_.data(), args.dh = running_, args.dc = dc_, args.options = &weights_.options;
  args.one_way = one_way_panels(), args.fetch_ahead = schedule_.fetch_ahead && !outside_;
  args.zone =
      zones_.random() ? rows_view<const Real>(zone_rows_.data(), zones_.width(), first_zone_row_) : zones_.expected();
  if (outside_) {
    args.packed = args.mask = nullptr;
    args.dy = read_only(dh_rows_);
    if (weights_.output_outside() || stage > 0) args.dy = {outside_->given.data(), 0, 0, H_, 0};
    if (weights_.output_outside()) args.dh_steps = {};
    if (weights_.projected()) args.h0 = {zeros_.data(), zeros_.data(), H_, 0};
  }
  return args;
}

// A step of a part's sequences, by members that share its units.
template <class Real>
void BackwardScan<Real>::run_step(Index s, Index part, const RowOrder& order, Scratch& scratch, const Member& member) {
  const auto& kernel = weights_.table.backward[static_cast<int>(weights_.arrays.cell)];
  if (outside_) {
    gather_dh(s, part, share(panels_.recurrent[0].count, member), scratch);
    member.wait();
    if (weights_.projected()) {
      unproject(s, part, share(panels_.projection.count, member), scratch);
      member.wait();
    }
    if (weights_.options.normed_output) through_output(s, part, member);
  }
  for (int stage = 0; stage < spec_.stages; ++stage) {
    if (outside_ && stage > 0) {
      through_stage(s, part, stage, share(panels_.recurrent[at(stage)].count, member), scratch);
      member.wait();
    }
    BackwardArgs<Real> args = stage_args(stage, order);
    const Range panels = share(args.panel1, member);
    args.s0 = s, args.s1 = s + 1, args.panel0 = panels.begin, args.panel1 = panels.end;
    kernel[stage](args);
    member.wait();
    if (weights_.normed()) through_norms(s, part, stage, member);
  }
  if (dh_reset_ != nullptr) collect_resets(s, find_resets(s, part, scratch), scratch, member);
}

// Steps of a part's sequences by the one stage alone: in one call, or where the gradients of resets are wanted in a
// call for each run of steps that ends at one.
template <class Real>
void BackwardScan<Real>::run_part(Index s0, Index s1, Index part, const RowOrder& order, Scratch& scratch) {
  const auto& kernel = weights_.table.backward[static_cast<int>(weights_.arrays.cell)][0];
  BackwardArgs<Real> args = stage_args(0, order);
  args.s0 = s0, args.s1 = s1;
  if (dh_reset_ == nullptr) return kernel(args);
  const Index last = dt_ > 0 ? s0 : s1 - 1;
  for_steps(s0, s1, -dt_, [&](Index s) {
    const Index count = find_resets(s, part, scratch);
    if (count == 0 && s != last) return;
    (dt_ > 0 ? args.s0 : args.s1) = dt_ > 0 ? s : s + 1;
    kernel(args);
    collect_resets(s, count, scratch, {0, 1, nullptr});
    (dt_ > 0 ? args.s1 : args.s0) = dt_ > 0 ? s : s + 1;
  });
}

template <class Real>
void BackwardScan<Real>::run_steps(Index s0, Index s1, const Member& member) {
  Scratch& scratch = scratch_[at(member.rank)];
  if (schedule_.split == Split::kHidden) {
    const RowOrder order = parts_.order(0, dt_);
    return for_steps(s0, s1, -dt_, [&](Index s) { run_step(s, 0, order, scratch, member); });
  }
  for (Index part = member.rank; part < parts_.count(); part += member.size) {
    const RowOrder order = parts_.order(part, dt_);
    if (spec_.stages == 1 && !outside_)
      run_part(s0, s1, part, order, scratch);
    else
      for_steps(s0, s1, -dt_, [&](Index s) { run_step(s, part, order, scratch, {0, 1, nullptr}); });
  }
}

template <class Real>
void BackwardScan<Real>::run(const Member& member, Interrupt& interrupt, const Link& link) {
  const Plan& plan = call_.plan;
  const Index blocks = ceil_div(plan.rows(), kRowBlock);
  Index done = 0;  // blocks, from the last one or, where time runs backwards, from the first one
  for (Index i = 0; i < chunks_.count(); ++i) {
    const auto [s0, s1] = chunks_.steps(i, -dt_);
    const Index begin = plan.first_row(s0), end = plan.first_row(s1);
    const bool slides = !windows_.empty() && lowest_row(s0) < windows_.front().view->row0;
    link.await(plan.steps() - s0, interrupt);
    if (slides || norms_.data != nullptr) member.wait();
    if (member.rank == 0) {
      if (slides) slide_windows(s1, blocks - done);
      if (dh_buffer_.size() > 0) dh_steps_ = rows_view(dh_buffer_.data(), H_, begin);
      interrupt.check();
      stop_ = interrupt.stopped();
      first_zone_row_ = begin;
    }
    member.wait();
    if (stop_) return link.give_up();
    if (again_) again_->rebuild(chunks_.count() - 1 - i, y_, u_, aux_, raw_, member);
    if (zones_.random()) {
      const Range mine = share(end - begin, member.size, member.rank);
      draw_zones({begin + mine.begin, begin + mine.end});
      member.wait();
    }
    run_steps(s0, s1, member);
    member.wait();
    const Range part = share(end - begin, member.size, member.rank), mine = {begin + part.begin, begin + part.end};
    if (norms_.data != nullptr) write_norms(mine);
    if (dx_.data != nullptr && call_.directions == 1) add_dx(mine, member.rank);
    link.publish(s1 - s0);
    for (; done < blocks; ++done) {
      const Index block = dt_ > 0 ? blocks - 1 - done : done;
      if (dt_ > 0 ? block * kRowBlock < begin : smaller((block + 1) * kRowBlock, plan.rows()) > end) break;
      gradients_->add(block, member.rank, member.size, scratch_[at(member.rank)].gradients);
    }
  }
  if (plan.rows() > 0) finish(member);
}

template class BackwardScan<float>;
template class BackwardScan<double>;

}  // namespace rnnfast
