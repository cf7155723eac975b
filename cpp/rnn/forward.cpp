#include "forward.hpp"

#include <algorithm>

#include "../base/fault.hpp"

namespace rnnfast {

template <class Real>
ForwardScan<Real>::ForwardScan(const ForwardCall<Real>& call, Index index, const Schedule& schedule, View<const Real> x,
                               View<Real> y)
    : call_(call),
      pass_(call.layers, call.directions, index, call.plan,
            call.keep == Keep::kStarts ? with_spaced_starts(schedule, call.plan) : schedule),
      x_(x),
      y_(y),
      saved_(call.saved != nullptr ? &(*call.saved)[at(index)] : nullptr),
      zeros_(Buffer<Real>::zeros(std::max<Index>(1, pass_.N) * pass_.H)),
      input_dropout_(pass_, call.random),
      zoneout_(pass_, call.random),
      noise_(call.random, Purpose::kNoise, index),
      mask_(pass_, call.random) {
  allocate_states();
  allocate_options();
  allocate_scratch();
}

template <class Real>
void ForwardScan<Real>::allocate_states() {
  const Index rows = call_.plan.rows();
  const Index H = pass_.H;
  const Index N = pass_.N;
  h0_ = initial_state(call_.h0, call_.h_reset, pass_.index, N, pass_.P, zeros_.data());
  c0_ = initial_state(call_.c0, call_.c_reset, pass_.index, N, H, zeros_.data());
  if (call_.keep == Keep::kAll) {
    const Index width = pass_.spec.gates * H;
    if (pass_.spec.saves_gates) saved_->gates = Buffer<Real>(checked_product(rows, width));
    saved_->aux = Buffer<Real>(checked_product(rows, pass_.spec.aux * H));
    gates_ = rows_view(saved_->gates.data(), width);
    aux_ = rows_view(saved_->aux.data(), H);
  } else if (call_.keep == Keep::kAgain) {
    y_buffer_ = Buffer<Real>(checked_product(pass_.chunks.largest() + N, pass_.P));
  } else {
    // Without a backward pass one row a sequence is enough; a cell state is then updated where it is returned.
    if (!pass_.spec.has_c && pass_.spec.aux > 0) aux_buffer_ = Buffer<Real>(N * H);
    aux_ = {pass_.spec.has_c ? call_.cn + pass_.index * N * H : aux_buffer_.data(), 0, 0, H, 0};
  }
}

template <class Real>
void ForwardScan<Real>::allocate_options() {
  if (pass_.weights.projected()) projection_.emplace(pass_).allocate(saved_);
  if (pass_.weights.normed()) {
    norm_ = std::make_unique<LayerNorm<Real>>(pass_);
    norm_->allocate(call_.keep == Keep::kAll ? saved_ : nullptr);
  }
  if (saved_ != nullptr && call_.keep != Keep::kAll && pass_.spec.saves_gates) starts_.emplace(pass_, *saved_);
  if (call_.keep == Keep::kStarts && starts_) starts_->allocate();
  mask_.keep_states(h0_, call_.h_reset != nullptr);
  if (pass_.shares_units() && !norm_) pass_.weights.input_unit_panels();  // made here, where it may throw
}

template <class Real>
void ForwardScan<Real>::allocate_scratch() {
  const Index rows = pass_.chunks.largest();
  scratch_.resize(at(call_.threads));
  if (pass_.schedule.lanes) {
    const Kernels<Real>& table = pass_.weights.table;
    const Index lanes = table.lanes;
    const Index units = pass_.weights.lane_units();
    const Index numbers =
        larger(pass_.C, kLaneRun) + 2 * larger(units, kLaneRun + lanes) + (1 + pass_.spec.gates) * units;
    pass_.weights.lane_weights();  // made here, where it may throw
    const Index rest = pass_.schedule.few * ceil_div(rows, std::max<Index>(pass_.N, 1));
    for (int rank = 0; rank < pass_.schedule.threads; ++rank) {
      Scratch& scratch = scratch_[at(rank)];
      scratch.lanes = Buffer<Real>::zeros(checked_product(numbers, static_cast<Index>(table.lane_block)));
      scratch.rows.resize(rest);
      if (gates_.data == nullptr) scratch.gates = Buffer<Real>(checked_product(rest, pass_.spec.gates * pass_.H));
    }
    return;
  }
  const Index chunks_at_once = pass_.shares_units() ? 1 : pass_.schedule.threads;
  for (Scratch& scratch : scratch_) {
    scratch.rows.resize(rows);
    if (norm_) scratch.raw.resize(at(rows));
    const bool own_rows = &scratch - scratch_.data() < chunks_at_once;
    if (own_rows && gates_.data == nullptr && call_.keep != Keep::kAgain)
      scratch.gates = Buffer<Real>(checked_product(rows, pass_.spec.gates * pass_.H));
    if (own_rows && zoneout_.random()) scratch.zoneout_shares = Buffer<Real>(checked_product(rows, zoneout_.width()));
    if (input_dropout_.active()) scratch.dropped = Buffer<Real>(checked_product(rows, pass_.C));
  }
}

template <class Real>
typename ForwardScan<Real>::ChunkViews ForwardScan<Real>::views_of(Index s0, Scratch& scratch) {
  const Index row0 = call_.plan.first_row(s0);
  ChunkViews views{};
  views.u = gates_;
  if (scratch.gates.data() != nullptr) views.u = rows_view(scratch.gates.data(), pass_.spec.gates * pass_.H, row0);
  if (zoneout_.random()) views.zoneout_shares = rows_view(scratch.zoneout_shares.data(), zoneout_.width(), row0);
  return views;
}

// Sets pointers i of the scratch to the row's x, after dropout, and to its u.
template <class Real>
void ForwardScan<Real>::gather(const Row& row, Index i, Scratch& scratch, const View<Real>& u) {
  const Real* x = row_of(x_, row);
  if (scratch.dropped.data() != nullptr) {
    Real* dropped = scratch.dropped.data() + i * pass_.C;
    input_dropout_.apply(row, x, dropped);
    x = dropped;
  }
  scratch.rows.from[at(i)] = x;
  scratch.rows.to[at(i)] = row_of(u, row);
  if (norm_) scratch.raw[at(i)] = norm_->raw.data != nullptr ? row_of(norm_->raw, row) : scratch.rows.to[at(i)];
}

// Pointers to the rows of some steps of a part's sequences; returns how many. Rows of equally long sequences lie at
// equal distances, unless each sequence has a start of its own.
template <class Real>
Index ForwardScan<Real>::gather_steps(Index s0, Index s1, const RowOrder& order, Scratch& scratch,
                                      const View<Real>& u) {
  Index count = 0;
  if (!evenly_spaced(call_.plan, x_) || norm_ || scratch.dropped.data() != nullptr) {
    for (Index s = s0; s < s1; ++s)
      pass_.parts.for_rows(s, order.part, [&](const Row& row) { gather(row, count++, scratch, u); });
    return count;
  }
  const bool all = order.n1 - order.n0 == pass_.N;
  const Index steps = all ? s1 - s0 : 1;  // whose rows follow each other
  for (Index s = s0; s < s1; s += steps) {
    const Range rows = {s * pass_.N + order.n0, (s + steps - 1) * pass_.N + order.n1};
    list_rows(call_.plan, rows, x_, scratch.rows.from.data() + count);
    list_rows(call_.plan, rows, u, scratch.rows.to.data() + count);
    count += rows.end - rows.begin;
  }
  return count;
}

// What is random of a row, before the steps.
template <class Real>
void ForwardScan<Real>::make_random(const Row& row, const ChunkViews& views) const {
  if (call_.random.noise > 0)
    pass_.weights.table.add_noise(pass_.spec.gates * pass_.H, row_of(views.u, row), noise_.key(0, row.n, row.t),
                                  static_cast<Real>(call_.random.noise));
  if (zoneout_.random()) zoneout_.draw(row, row_of(views.zoneout_shares, row));
}

// Under unit splitting, each thread computes the input products of its own units, of all rows, unless a row is
// normalised as a whole. Without dropout nobody waits before there was something to compute: a thread that has just
// begun may still share a core with the one that would wait for it.
template <class Real>
void ForwardScan<Real>::multiply_shared_input(Index s0, Index s1, const ChunkViews& views, const Member& member) {
  const Weights<Real>& weights = pass_.weights;
  const bool fetch = pass_.schedule.fetch_input;
  const bool drops = input_dropout_.active();
  const Range rows = {call_.plan.first_row(s0), call_.plan.first_row(s1)};
  const Range share_of_all = share(rows.end - rows.begin, member);
  const Range mine = {rows.begin + share_of_all.begin, rows.begin + share_of_all.end};
  Scratch& scratch = drops ? scratch_.front() : scratch_[at(member.rank)];
  if (norm_ || drops)
    for_rows(call_.plan, mine, [&](const Row& row) { gather(row, row.index - rows.begin, scratch, views.u); });
  else
    gather_steps(s0, s1, pass_.parts.order(0, pass_.time_step), scratch, views.u);
  if (drops) member.wait();
  const Real* const* x = scratch.rows.from.data();
  Real* const* u = scratch.rows.to.data();
  if (norm_)
    weights.multiply_input(mine.end - mine.begin, x + share_of_all.begin, scratch.raw.data() + share_of_all.begin,
                           u + share_of_all.begin, fetch);
  for (int stage = 0; stage < pass_.spec.stages && !norm_; ++stage)
    weights.multiply_input_units(stage, share(weights.forward_panels(stage), member), rows.end - rows.begin, x, u,
                                 fetch);
  if (!norm_ && !random()) return;
  member.wait();
  if (!random()) return;
  for_rows(call_.plan, mine, [&](const Row& row) { make_random(row, views); });
  member.wait();
}

template <class Real>
ForwardArgs<Real> ForwardScan<Real>::stage_args(Index s0, Index s1, int stage, const RowOrder& order,
                                                const ChunkViews& views) const {
  const Weights<Real>& weights = pass_.weights;
  ForwardArgs<Real> args{};
  args.order = order;
  args.s0 = s0;
  args.s1 = s1;
  args.panel1 = weights.forward_panels(stage);
  args.H = pass_.H;
  args.P = pass_.P;
  args.packed = weights.r[at(stage)].data();
  args.bias = weights.bias[at(stage)].data();
  args.u = views.u;
  args.y = projection_ ? projection_->out() : y_;
  args.aux = aux_;
  args.zone = zoneout_.view(views.zoneout_shares);
  args.recurrent_input = recurrent_input();
  args.recurrent_input0 = initial_input();
  if (norm_) args.q = read_only(norm_->q());
  args.h0 = projection_ ? InitialState<Real>{zeros_.data(), zeros_.data(), pass_.H, 0} : h0_;
  args.c0 = c0_;
  args.save = call_.keep == Keep::kAll || call_.keep == Keep::kAgain;
  args.one_way = one_way_panels();
  args.options = &weights.options;
  args.from_l2 = pass_.schedule.from_l2;
  args.fetch_ahead = pass_.schedule.fetch_ahead;
  return args;
}

template <class Real>
void ForwardScan<Real>::run_step(const Step& step, const RowOrder& order, const ChunkViews& views, Scratch& scratch) {
  const auto& kernel = pass_.weights.table.forward[pass_.cell()];
  for (int stage = 0; stage < pass_.spec.stages; ++stage) {
    if (norm_) norm_->before_stage(stage, step, recurrent_input(), initial_input(), aux_, scratch.rows);
    ForwardArgs<Real> args = stage_args(step.s, step.s + 1, stage, order, views);
    const Range panels = share(args.panel1, step.member);
    args.panel0 = panels.begin;
    args.panel1 = panels.end;
    kernel[stage](args);
    if (stage + 1 < pass_.spec.stages || between_steps()) step.member.wait();
  }
  if (norm_) norm_->after_step(step, aux_, y_);
  if (projection_) projection_->after_step(step, y_, scratch.rows);
  if (mask_.active()) mask_.after_step(step, y_);
}

template <class Real>
void ForwardScan<Real>::run_steps(Index s0, Index s1, const RowOrder& order, const ChunkViews& views,
                                  Scratch& scratch) {
  const Index part = order.part;
  const Index count = gather_steps(s0, s1, order, scratch, views.u);
  pass_.weights.multiply_input(count, scratch.rows.from.data(), scratch.raw.data(), scratch.rows.to.data(),
                               pass_.schedule.fetch_input);
  if (random())
    for (Index s = s0; s < s1; ++s) pass_.parts.for_rows(s, part, [&](const Row& row) { make_random(row, views); });
  if (pass_.spec.stages == 1 && !between_steps())
    return pass_.weights.table.forward[pass_.cell()][0](stage_args(s0, s1, 0, order, views));
  const Member alone{0, 1, nullptr};
  for_steps(s0, s1, pass_.time_step, [&](Index s) { run_step({s, part, alone}, order, views, scratch); });
}

// Whole vectors of sequences in lanes, then the few that are left by units.
template <class Real>
void ForwardScan<Real>::run_lanes_chunk(Index s0, Index s1, Index part, Scratch& scratch) {
  ForwardArgs<Real> args = stage_args(s0, s1, 0, pass_.parts.order(part, pass_.time_step), {gates_, {}});
  RowOrder rest = args.order;
  const Index left = (rest.n1 - rest.n0) % pass_.weights.table.lanes;
  rest.n0 = args.order.n1 = rest.n1 - (left <= pass_.schedule.few ? left : 0);
  const auto& weights = pass_.weights.lane_weights();
  args.packed = weights.packed.data();
  args.bias = weights.bias.data();
  args.x = x_;
  args.C = pass_.C;
  args.scratch = scratch.lanes.data();
  pass_.weights.table.forward_lanes[pass_.cell()](args);
  if (rest.n0 == rest.n1) return;
  View<Real> u = gates_;
  if (u.data == nullptr) {
    const Index width = pass_.spec.gates * pass_.H;
    u = {scratch.gates.data(), 0, 0, width, (rest.n1 - rest.n0) * width};
    u.data -= rest.n0 * u.by_n + s0 * u.by_t;
  }
  run_steps(s0, s1, rest, {u, {}}, scratch);
}

template <class Real>
void ForwardScan<Real>::run_hidden_chunk(Index s0, Index s1, const Member& member) {
  const ChunkViews views = views_of(s0, scratch_.front());
  multiply_shared_input(s0, s1, views, member);
  const RowOrder order = pass_.parts.order(0, pass_.time_step);
  Scratch& scratch = scratch_[at(member.rank)];
  member.share_steps(s1 - s0, [&](Index i, const Member& present) {
    run_step({nth_step(s0, s1, pass_.time_step, i), 0, present}, order, views, scratch);
  });
}

template <class Real>
void ForwardScan<Real>::run_batch_chunk(Index s0, Index s1, Index part, Scratch& scratch) {
  if (pass_.schedule.lanes) return run_lanes_chunk(s0, s1, part, scratch);
  run_steps(s0, s1, pass_.parts.order(part, pass_.time_step), views_of(s0, scratch), scratch);
}

// Restores what the first step of chunk i reads of the step before: h, h under its mask, and c.
template <class Real>
void ForwardScan<Real>::restore_before_chunk(Index i, const View<const Real>& y) {
  const auto [s0, s1] = pass_.chunks.steps(i, pass_.time_step);
  const Index before = pass_.time_step > 0 ? s0 - 1 : s1;
  y_ = rows_view(y_buffer_.data(), pass_.P, call_.plan.first_row(i > 0 ? smaller(s0, before) : s0));
  mask_.begin();
  if (i == 0) return;
  for (Index part = 0; part < pass_.parts.count(); ++part) {
    pass_.parts.for_rows(before, part, [&](const Row& row) {
      std::copy_n(row_of(y, row), pass_.P, row_of(y_, row));
      starts_->restore(i, row, aux_);
    });
    mask_.read_step(before, part, y_);
  }
}

template <class Real>
void ForwardScan<Real>::rebuild(Index i, const RecomputedRows<Real>& rows, const Member& member) {
  if (member.rank == 0) {
    gates_ = rows.gates;
    aux_ = rows.aux;
    if (norm_) norm_->raw = rows.raw;
    restore_before_chunk(i, rows.y);
    parts_.refill();
  }
  member.wait();
  const auto [s0, s1] = pass_.chunks.steps(i, pass_.time_step);
  if (pass_.shares_units()) {
    run_hidden_chunk(s0, s1, member);
  } else {
    Scratch& scratch = scratch_[at(member.rank)];
    parts_.for_parts(pass_, member, [&](Index part) { run_batch_chunk(s0, s1, part, scratch); });
  }
  member.wait();
}

template <class Real>
void ForwardScan<Real>::copy_states(Range sequences) const {
  const Plan& plan = call_.plan;
  const auto copy = [&](Index n, Index width, const View<const Real>& view, const Real* initial, Real* out) {
    const Index length = plan.length(n);
    const Real* from = initial + n * width;
    if (length > 1 && faulty(Fault::kOffByOneRow) && pass_.time_step > 0 && plan.equal_lengths())
      from = row_of(view, plan.last_row(n) - pass_.N, n, length - 2);
    else if (length > 0)
      from = pass_.time_step > 0 ? row_of(view, plan.last_row(n), n, length - 1)
                                 : row_of(view, plan.first_row_of(n), n, 0);
    // c of a call that keeps nothing is already there.
    if (from != out + n * width) std::copy_n(from, width, out + n * width);
  };
  Real* hn = call_.hn + pass_.index * pass_.N * pass_.P;
  for (Index n = sequences.begin; n < sequences.end; ++n) {
    copy(n, pass_.P, read_only(y_), h0_.given, hn);
    if (pass_.spec.has_c) copy(n, pass_.H, read_only(aux_), c0_.given, call_.cn + pass_.index * pass_.N * pass_.H);
  }
}

// Each part from its first chunk to its last one, without a wait for others.
template <class Real>
void ForwardScan<Real>::run_by_parts(const Member& member, Interrupt& interrupt, const Link& link) {
  Scratch& scratch = scratch_[at(member.rank)];
  parts_.for_parts(pass_, member, [&](Index part) {
    for (Index i = 0; i < pass_.chunks.count(); ++i) {
      const auto [s0, s1] = pass_.chunks.steps(i, pass_.time_step);
      link.await(s1, interrupt);
      if (member.rank == 0) interrupt.check();
      if (interrupt.stopped()) return link.give_up();
      run_batch_chunk(s0, s1, part, scratch);
      if (call_.keep == Keep::kStarts && starts_) starts_->after_chunk(i, aux_, part);
      link.publish(s1 - s0);
    }
  });
}

template <class Real>
void ForwardScan<Real>::run_by_units(const Member& member, Interrupt& interrupt) {
  for (Index i = 0; i < pass_.chunks.count(); ++i) {
    const auto [s0, s1] = pass_.chunks.steps(i, pass_.time_step);
    if (member.rank == 0) {
      interrupt.check();
      stop_ = interrupt.stopped();
    }
    member.wait();
    if (stop_) return;
    run_hidden_chunk(s0, s1, member);
    if (member.rank == 0 && call_.keep == Keep::kStarts && starts_) starts_->after_chunk(i, aux_, 0);
  }
}

template <class Real>
void ForwardScan<Real>::run(const Member& member, Interrupt& interrupt, const Link& link) {
  if (pass_.shares_units())
    run_by_units(member, interrupt);
  else
    run_by_parts(member, interrupt, link);
  member.wait();
  copy_states(share(pass_.N, member.size, member.rank));
}

template class ForwardScan<float>;
template class ForwardScan<double>;

}  // namespace rnnfast
