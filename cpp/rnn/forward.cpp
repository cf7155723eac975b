#include <algorithm>
#include <cmath>

#include "scans.hpp"

namespace rnnfast {

namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

// Chunks so large that their starts are a small part of y, and so small that the gates of one are, too.
Schedule sparse(Schedule schedule, const Plan& plan) {
  constexpr Index kFewest = 8;
  const Index root = static_cast<Index>(std::sqrt(static_cast<double>(plan.steps()) / 5));
  schedule.chunk = std::max(schedule.chunk, std::max(kFewest, root) * plan.sequences());
  return schedule;
}

}  // namespace

template <class Real>
ForwardScan<Real>::ForwardScan(const ForwardCall<Real>& call, Index index, const Schedule& schedule, View<const Real> x,
                               View<Real> y)
    : call_(call),
      index_(index),
      layer_(index / call.directions),
      dt_(time_step(index % call.directions)),
      weights_(*call.layers[at(index)]),
      spec_(weights_.spec()),
      H_(weights_.arrays.H),
      P_(weights_.arrays.P),
      C_(weights_.arrays.C),
      N_(call.plan.sequences()),
      schedule_(call.keep == Keep::kStarts ? sparse(schedule, call.plan) : schedule),
      parts_(call.plan, schedule_.split == Split::kBatch ? schedule_.threads : 1),
      chunks_(call.plan, schedule_.chunk),
      x_(x),
      y_(y),
      hn_(call.hn + index * N_ * P_),
      cn_(spec_.has_c ? call.cn + index * N_ * H_ : nullptr),
      zones_(call.dropout, index, weights_),
      noise_stream_(noise_stream(call.dropout, index)),
      zeros_(Buffer<Real>::zeros(std::max<Index>(1, N_) * H_)),
      masks_(recurrent_masks<Real>(call.dropout, index, N_, P_)) {
  h0_ = initial_state(call.h0, call.h_reset, index, N_, P_, zeros_.data());
  c0_ = initial_state(call.c0, call.c_reset, index, N_, H_, zeros_.data());
  const Index rows = call.plan.rows(), G = spec_.gates;
  if (call.saved != nullptr) saved_ = &(*call.saved)[at(index)];
  if (call.keep == Keep::kAll) {
    if (spec_.saves_gates) saved_->gates = Buffer<Real>(checked_product(rows, G * H_));
    saved_->aux = Buffer<Real>(checked_product(rows, spec_.aux * H_));
    gates_ = rows_view(saved_->gates.data(), G * H_), aux_ = rows_view(saved_->aux.data(), H_);
  } else if (call.keep == Keep::kAgain) {
    y_buffer_ = Buffer<Real>(checked_product(chunks_.largest() + N_, P_));
  } else {
    // Without a backward pass one row a sequence is enough; a cell state is then updated where it is returned.
    if (!spec_.has_c && spec_.aux > 0) aux_buffer_ = Buffer<Real>(N_ * H_);
    aux_ = {spec_.has_c ? cn_ : aux_buffer_.data(), 0, 0, H_, 0};
  }
  if (weights_.projected()) place_out(rows);
  if (weights_.normed()) place_norms(rows);
  if (call.keep == Keep::kStarts && spec_.saves_gates) {
    saved_->chunk = schedule_.chunk;
    const Index starts = spec_.has_c && chunks_.count() > 0 ? chunks_.count() - 1 : 0;
    saved_->starts = Buffer<Real>(checked_product(starts, N_ * H_));
  }
  if (masks_.size() > 0) masked_ = Buffer<Real>(N_ * P_);
  if (masks_.size() > 0 && call.h_reset != nullptr) masked_reset_ = Buffer<Real>(N_ * P_);
  mask_initial_state();
  if (shares_units() && !weights_.normed()) weights_.stream_panels();  // made here, where it may throw
  scratch_.resize(at(call.threads));
  for (Scratch& scratch : scratch_) {
    scratch.x.resize(at(chunks_.largest()));
    scratch.u.resize(at(chunks_.largest()));
    if (weights_.normed()) scratch.raw.resize(at(chunks_.largest()));
    const bool own_gates = &scratch - scratch_.data() < parts_.count();
    if (own_gates && gates_.data == nullptr && call.keep != Keep::kAgain)
      scratch.gates = Buffer<Real>(checked_product(chunks_.largest(), G * H_));
    if (own_gates && zones_.random()) scratch.zones = Buffer<Real>(checked_product(chunks_.largest(), zones_.width()));
    if (layer_ > 0 && call.dropout.p > 0) scratch.dropped = Buffer<Real>(checked_product(chunks_.largest(), C_));
  }
}

// What R reads after step s, of the part's sequences.
template <class Real>
void ForwardScan<Real>::mask_state(Index s, Index part, Range units) {
  parts_.for_rows(s, part, [&](const Row& slot) {
    const Real *h = row_of(y_, slot.row, slot.n, slot.t), *mask = masks_.data() + slot.n * P_;
    for (Index i = units.begin; i < units.end; ++i) masked_.data()[slot.n * P_ + i] = h[i] * mask[i];
  });
}

template <class Real>
ForwardArgs<Real> ForwardScan<Real>::stage_args(Index s0, Index s1, int stage, const RowOrder& order,
                                                const ChunkViews& views) const {
  ForwardArgs<Real> args{};
  args.order = order, args.s0 = s0, args.s1 = s1;
  args.panel0 = 0, args.panel1 = weights_.forward_panels(stage), args.H = H_, args.P = P_;
  args.packed = weights_.r[at(stage)].data(), args.bias = weights_.bias[at(stage)].data();
  args.u = views.u, args.y = weights_.projected() ? out_ : y_, args.aux = aux_;
  args.zone = zones_.random() ? read_only(views.zones) : zones_.expected();
  args.recurrent_input = recurrent_input(), args.recurrent_input0 = initial_recurrent_input(), args.q = read_only(q_);
  args.h0 = weights_.projected() ? InitialState<Real>{zeros_.data(), zeros_.data(), H_, 0} : h0_, args.c0 = c0_;
  args.save = call_.keep == Keep::kAll || call_.keep == Keep::kAgain;
  args.one_way = one_way_panels(), args.options = &weights_.options;
  args.from_l2 = schedule_.from_l2, args.fetch_ahead = schedule_.fetch_ahead;
  return args;
}

// A step of a part's sequences, by members that share its units.
template <class Real>
void ForwardScan<Real>::run_step(Index s, Index part, const RowOrder& order, const ChunkViews& views, Scratch& scratch,
                                 const Member& member) {
  const auto& kernel = weights_.table.forward[static_cast<int>(weights_.arrays.cell)];
  for (int stage = 0; stage < spec_.stages; ++stage) {
    if (weights_.normed()) make_q(s, part, stage, scratch, member);
    ForwardArgs<Real> args = stage_args(s, s + 1, stage, order, views);
    const Range panels = share(args.panel1, member);
    args.panel0 = panels.begin, args.panel1 = panels.end;
    kernel[stage](args);
    member.wait();
  }
  if (weights_.options.normed_output) make_h(s, part, member);
  if (weights_.projected()) {
    project_out(s, part, share(weights_.projection.count, member), scratch);
    member.wait();
  }
  if (masks_.size() == 0) return;
  mask_state(s, part, share(P_, member));
  member.wait();
}

template <class Real>
void ForwardScan<Real>::run_batch_chunk(Index s0, Index s1, Index part) {
  Scratch& scratch = scratch_[at(part)];
  const ChunkViews views = views_of(s0, scratch);
  const Index count = gather_steps(s0, s1, part, scratch, views.u);
  weights_.project_input(count, scratch.x.data(), scratch.raw.data(), scratch.u.data(), schedule_.fetch_input);
  if (random())
    for (Index s = s0; s < s1; ++s) parts_.for_rows(s, part, [&](const Row& slot) { make_random(slot, views); });
  const RowOrder order = parts_.order(part, dt_);
  if (spec_.stages == 1 && !between_steps())
    return weights_.table.forward[static_cast<int>(weights_.arrays.cell)][0](stage_args(s0, s1, 0, order, views));
  for_steps(s0, s1, dt_, [&](Index s) { run_step(s, part, order, views, scratch, {0, 1, nullptr}); });
}

template <class Real>
void ForwardScan<Real>::run_hidden_chunk(Index s0, Index s1, const Member& member) {
  const ChunkViews views = views_of(s0, scratch_.front());
  project_shared(s0, s1, views, member);
  const RowOrder order = parts_.order(0, dt_);
  for_steps(s0, s1, dt_, [&](Index s) { run_step(s, 0, order, views, scratch_[at(member.rank)], member); });
}

template <class Real>
void ForwardScan<Real>::run_chunk(Index s0, Index s1, const Member& member) {
  if (shares_units())
    run_hidden_chunk(s0, s1, member);
  else
    for (Index part = member.rank; part < parts_.count(); part += member.size) run_batch_chunk(s0, s1, part);
}

template <class Real>
void ForwardScan<Real>::copy_states(Range sequences) const {
  const auto copy = [&](Index n, Index width, const View<const Real>& view, const Real* initial, Real* out) {
    const Index length = call_.plan.length(n);
    const Real* from = initial + n * width;
    if (length > 0)
      from = dt_ > 0 ? row_of(view, call_.plan.last_row(n), n, length - 1)
                     : row_of(view, call_.plan.first_row_of(n), n, 0);
    if (from != out + n * width) std::copy_n(from, width, out + n * width);
  };
  for (Index n = sequences.begin; n < sequences.end; ++n) {
    copy(n, P_, read_only(y_), h0_.given, hn_);
    if (cn_ != nullptr) copy(n, H_, read_only(aux_), c0_.given, cn_);
  }
}

template <class Real>
void ForwardScan<Real>::run(const Member& member, Interrupt& interrupt, const Link& link) {
  const bool hidden = shares_units();
  for (Index i = 0; i < chunks_.count(); ++i) {
    const auto [s0, s1] = chunks_.steps(i, dt_);
    link.await(s1, interrupt);
    if (member.rank == 0) {
      interrupt.check();
      if (hidden) stop_ = interrupt.stopped();
    }
    if (hidden) member.wait();
    if (hidden ? stop_ : interrupt.stopped()) {
      link.give_up();
      break;
    }
    run_chunk(s0, s1, member);
    keep_start(i, member);
    link.publish(s1 - s0);
  }
  member.wait();
  copy_states(share(N_, member.size, member.rank));
}

template class ForwardScan<float>;
template class ForwardScan<double>;

}  // namespace rnnfast
