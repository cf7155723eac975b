// The rows of a chunk before its steps: where they lie, what they read, their input products, what is random of them.
#include "scans.hpp"

namespace rnnfast {

namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

}  // namespace

template <class Real>
typename ForwardScan<Real>::ChunkViews ForwardScan<Real>::views_of(Index s0, Scratch& scratch) {
  const Index row0 = call_.plan.first_row(s0), width = spec_.gates * H_;
  ChunkViews views{};
  views.u = scratch.gates.data() != nullptr ? rows_view(scratch.gates.data(), width, row0) : gates_;
  if (zones_.random()) views.zones = rows_view(scratch.zones.data(), zones_.width(), row0);
  return views;
}

// Pointer i of the scratch's: the slot's x, under the dropout mask where there is one, and u.
template <class Real>
void ForwardScan<Real>::gather(const Row& slot, Index i, Scratch& scratch, const View<Real>& u) {
  const Real* x = row_of(x_, slot.row, slot.n, slot.t);
  if (scratch.dropped.data() != nullptr) {
    Real* dropped = scratch.dropped.data() + i * C_;
    const Real scale = static_cast<Real>(1 / (1 - call_.dropout.p));
    weights_.table.dropout(C_, x, dropped, dropout_key(call_.dropout, layer_, slot), scale);
    x = dropped;
  }
  scratch.x[at(i)] = x;
  scratch.u[at(i)] = row_of(u, slot.row, slot.n, slot.t);
  if (weights_.normed())
    scratch.raw[at(i)] = raw_.data != nullptr ? row_of(raw_, slot.row, slot.n, slot.t) : scratch.u[at(i)];
}

// Pointers to the rows of some steps of a part's sequences; returns how many. Rows of equally long sequences lie at
// equal distances.
template <class Real>
Index ForwardScan<Real>::gather_steps(Index s0, Index s1, Index part, Scratch& scratch, const View<Real>& u) {
  Index count = 0;
  if (!call_.plan.even() || weights_.normed() || scratch.dropped.data() != nullptr) {
    for (Index s = s0; s < s1; ++s)
      parts_.for_rows(s, part, [&](const Row& slot) { gather(slot, count++, scratch, u); });
    return count;
  }
  const RowOrder order = parts_.order(part, dt_);
  for (Index s = s0; s < s1; ++s) {
    const Real* x = row_of(x_, s * N_ + order.n0, order.n0, s);
    Real* to = row_of(u, s * N_ + order.n0, order.n0, s);
    for (Index n = order.n0; n < order.n1; ++n, ++count) {
      scratch.x[at(count)] = x, scratch.u[at(count)] = to;
      x += x_.by_row + x_.by_n, to += u.by_row + u.by_n;
    }
  }
  return count;
}

// What is random of a row, before the steps.
template <class Real>
void ForwardScan<Real>::make_random(const Row& slot, const ChunkViews& views) const {
  if (call_.dropout.noise > 0)
    weights_.table.add_noise(spec_.gates * H_, row_of(views.u, slot.row, slot.n, slot.t),
                             noise_key(noise_stream_, slot), static_cast<Real>(call_.dropout.noise));
  if (zones_.random()) zones_.draw(slot, row_of(views.zones, slot.row, slot.n, slot.t));
}

// Input products of a chunk's rows, by members that share the units: each makes what its own units read, of all rows,
// unless a row is normalised as a whole. Nobody waits before there was something to compute: a thread that has just
// begun may still share a core with the one that would wait for it.
template <class Real>
void ForwardScan<Real>::project_shared(Index s0, Index s1, const ChunkViews& views, const Member& member) {
  const Range rows = {call_.plan.first_row(s0), call_.plan.first_row(s1)};
  const bool normed = weights_.normed(), drops = scratch_.front().dropped.data() != nullptr;
  const Range share_of_all = share(rows.end - rows.begin, member);
  const Range mine = {rows.begin + share_of_all.begin, rows.begin + share_of_all.end};
  Scratch& scratch = drops ? scratch_.front() : scratch_[at(member.rank)];
  if (normed || drops)
    for_rows(call_.plan, mine, [&](Index row, const Row& slot) { gather(slot, row - rows.begin, scratch, views.u); });
  else
    gather_steps(s0, s1, 0, scratch, views.u);
  if (drops) member.wait();
  const Real* const* x = scratch.x.data();
  Real* const* u = scratch.u.data();
  if (normed)
    weights_.project_input(mine.end - mine.begin, x + share_of_all.begin, scratch.raw.data() + share_of_all.begin,
                           u + share_of_all.begin, schedule_.fetch_input);
  for (int stage = 0; stage < spec_.stages && !normed; ++stage)
    weights_.project_units(stage, share(weights_.forward_panels(stage), member), rows.end - rows.begin, x, u,
                           schedule_.fetch_input);
  if (!normed && !random()) return;
  member.wait();
  if (!random()) return;
  for_rows(call_.plan, mine, [&](Index, const Row& slot) { make_random(slot, views); });
  member.wait();
}

#define RNNFAST_INSTANTIATE(Real)                                                                   \
  template ForwardScan<Real>::ChunkViews ForwardScan<Real>::views_of(Index, Scratch&);              \
  template void ForwardScan<Real>::gather(const Row&, Index, Scratch&, const View<Real>&);          \
  template Index ForwardScan<Real>::gather_steps(Index, Index, Index, Scratch&, const View<Real>&); \
  template void ForwardScan<Real>::make_random(const Row&, const ChunkViews&) const;                \
  template void ForwardScan<Real>::project_shared(Index, Index, const ChunkViews&, const Member&);
RNNFAST_INSTANTIATE(float)
RNNFAST_INSTANTIATE(double)
#undef RNNFAST_INSTANTIATE

}  // namespace rnnfast
