#include <algorithm>
#include <deque>

#include "rnn.hpp"
#include "rows.hpp"

namespace rnnfast {

namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

// One layer of a forward call: memory first (may throw), then run() inside the team (does not).
template <class Real>
class ForwardLayer {
 public:
  ForwardLayer(const ForwardCall<Real>& call, Index layer, View<const Real> x, View<Real> y);
  void run(const Member& member, Interrupt& interrupt);
  int threads() const { return schedule_.threads; }

 private:
  struct Scratch {
    std::vector<const Real*> x;
    std::vector<Real*> u;
    Buffer<Real> gates;  // input products of a chunk, where they are not saved
  };

  void run_batch_chunk(Index s0, Index s1, Index part);
  void run_hidden_chunk(Index s0, Index s1, const Member& member);
  Index gather(Range rows, Index count, Scratch& scratch, const View<Real>& u);
  void project(Index count, Scratch& scratch);
  ForwardArgs<Real> stage_args(Index s0, Index s1, int stage, const Walk& walk, const View<Real>& u) const;
  View<Real> gates_view(Index s0, Scratch& scratch);
  void copy_states(Range sequences) const;

  const ForwardCall<Real>& call_;
  const Index layer_;
  const Weights<Real>& weights_;
  const CellSpec& spec_;
  const Index H_, C_, N_;
  const Schedule schedule_;
  const Parts parts_;
  const View<const Real> x_;
  const View<Real> y_;
  View<Real> aux_{};
  const Real *h0_ = nullptr, *c0_ = nullptr;
  Real *hn_, *cn_;
  Buffer<Real> zeros_, aux_buffer_, dropped_;
  std::vector<Scratch> scratch_;
};

template <class Real>
ForwardLayer<Real>::ForwardLayer(const ForwardCall<Real>& call, Index layer, View<const Real> x, View<Real> y)
    : call_(call),
      layer_(layer),
      weights_(*call.layers[at(layer)]),
      spec_(weights_.spec()),
      H_(weights_.arrays.H),
      C_(weights_.arrays.C),
      N_(call.plan.sequences()),
      schedule_(make_schedule(call.plan, spec_, C_, H_, sizeof(Real), call.threads, call.saved != nullptr)),
      parts_(call.plan, schedule_.split == Split::kBatch ? schedule_.threads : 1),
      x_(x),
      y_(y),
      hn_(call.hn + layer * N_ * H_),
      cn_(spec_.states > 1 ? call.cn + layer * N_ * H_ : nullptr),
      zeros_(Buffer<Real>::zeros(std::max<Index>(1, N_) * H_)) {
  h0_ = call.h0 != nullptr ? call.h0 + layer * N_ * H_ : zeros_.data();
  c0_ = call.c0 != nullptr ? call.c0 + layer * N_ * H_ : zeros_.data();
  const Index rows = call.plan.rows(), G = spec_.gates;
  if (call.saved != nullptr) {
    Saved<Real>& saved = (*call.saved)[at(layer)];
    if (spec_.saves_gates) saved.gates = Buffer<Real>(checked_product(rows, G * H_));
    saved.aux = Buffer<Real>(checked_product(rows, spec_.aux * H_));
    aux_ = rows_view(saved.aux.data(), H_);
  } else {
    // Without a backward pass one row a sequence is enough; a cell state is then updated where it is returned.
    if (spec_.states == 1 && spec_.aux > 0) aux_buffer_ = Buffer<Real>(N_ * H_);
    aux_ = {spec_.states > 1 ? cn_ : aux_buffer_.data(), 0, 0, H_, 0};
  }
  if (layer > 0 && call.dropout.p > 0) dropped_ = Buffer<Real>(checked_product(rows, C_));
  Index chunk_rows = 0;
  for (Index s = 0; s < call.plan.steps(); s += schedule_.chunk)
    chunk_rows = std::max(
        chunk_rows, call.plan.first_row(smaller(s + schedule_.chunk, call.plan.steps())) - call.plan.first_row(s));
  scratch_.resize(at(schedule_.threads));
  for (Scratch& scratch : scratch_) {
    scratch.x.resize(at(chunk_rows));
    scratch.u.resize(at(chunk_rows));
    const bool own_gates = schedule_.split == Split::kBatch || &scratch == &scratch_.front();
    if (own_gates && (call.saved == nullptr || !spec_.saves_gates))
      scratch.gates = Buffer<Real>(checked_product(chunk_rows, G * H_));
  }
}

template <class Real>
View<Real> ForwardLayer<Real>::gates_view(Index s0, Scratch& scratch) {
  if (scratch.gates.data() != nullptr)
    return rows_view(scratch.gates.data(), spec_.gates * H_, call_.plan.first_row(s0));
  return rows_view((*call_.saved)[at(layer_)].gates.data(), spec_.gates * H_);
}

// Appends the rows to the scratch's pointers, from `count` on; returns the new count.
template <class Real>
Index ForwardLayer<Real>::gather(Range rows, Index count, Scratch& scratch, const View<Real>& u) {
  const Real scale = static_cast<Real>(1 / (1 - call_.dropout.p));
  for_rows(call_.plan, rows, [&](Index row, const Slot& slot) {
    const Real* x = row_of(x_, row, slot.n, slot.t);
    if (dropped_.data() != nullptr) {
      Real* dropped = dropped_.data() + row * C_;
      weights_.table.dropout(C_, x, dropped, dropout_key(call_.dropout, layer_, slot), scale);
      x = dropped;
    }
    scratch.x[at(count)] = x;
    scratch.u[at(count++)] = row_of(u, row, slot.n, slot.t);
  });
  return count;
}

// u = W x + b_ih for the gathered rows.
template <class Real>
void ForwardLayer<Real>::project(Index count, Scratch& scratch) {
  multiply(weights_.w, count, scratch.x.data(), scratch.u.data(), weights_.input_bias());
}

template <class Real>
ForwardArgs<Real> ForwardLayer<Real>::stage_args(Index s0, Index s1, int stage, const Walk& walk,
                                                 const View<Real>& u) const {
  ForwardArgs<Real> args{};
  args.walk = walk, args.s0 = s0, args.s1 = s1;
  args.panel0 = 0, args.panel1 = weights_.forward_panels(stage), args.H = H_;
  args.packed = weights_.r[at(stage)].data(), args.bias = weights_.bias[at(stage)].data();
  args.u = u, args.y = y_, args.aux = aux_;
  args.h0 = h0_, args.c0 = c0_, args.zero = zeros_.data();
  args.save = call_.saved != nullptr, args.one_way = one_way_panels(), args.activation = weights_.arrays.activation;
  return args;
}

template <class Real>
void ForwardLayer<Real>::run_batch_chunk(Index s0, Index s1, Index part) {
  Scratch& scratch = scratch_[at(part)];
  const View<Real> u = gates_view(s0, scratch);
  const auto& kernel = weights_.table.forward[static_cast<int>(weights_.arrays.cell)];
  Index count = 0;
  for (Index s = s0; s < s1; ++s) count = gather(parts_.rows(s, part), count, scratch, u);
  project(count, scratch);
  const Walk walk = parts_.walk(part);
  if (spec_.stages == 1) return kernel[0](stage_args(s0, s1, 0, walk, u));
  for (Index s = s0; s < s1; ++s)
    for (int stage = 0; stage < spec_.stages; ++stage) kernel[stage](stage_args(s, s + 1, stage, walk, u));
}

template <class Real>
void ForwardLayer<Real>::run_hidden_chunk(Index s0, Index s1, const Member& member) {
  Scratch& scratch = scratch_[at(member.rank)];
  const View<Real> u = gates_view(s0, scratch_.front());
  const auto& kernel = weights_.table.forward[static_cast<int>(weights_.arrays.cell)];
  const Range rows = {call_.plan.first_row(s0), call_.plan.first_row(s1)};
  const Range mine = share(rows.end - rows.begin, member.size, member.rank);
  project(gather({rows.begin + mine.begin, rows.begin + mine.end}, 0, scratch, u), scratch);
  member.wait();
  const Walk walk = parts_.walk(0);
  for (Index s = s0; s < s1; ++s)
    for (int stage = 0; stage < spec_.stages; ++stage) {
      ForwardArgs<Real> args = stage_args(s, s + 1, stage, walk, u);
      const Range panels = share(args.panel1, member.size, member.rank);
      args.panel0 = panels.begin, args.panel1 = panels.end;
      kernel[stage](args);
      member.wait();
    }
}

template <class Real>
void ForwardLayer<Real>::copy_states(Range sequences) const {
  const auto copy = [&](Index n, const View<const Real>& view, const Real* initial, Real* out) {
    const Index length = call_.plan.length(n);
    const Real* from =
        length == 0 ? initial + n * H_ : row_of(view, call_.plan.last_row(n), n, call_.plan.reverse() ? 0 : length - 1);
    if (from != out + n * H_) std::copy_n(from, H_, out + n * H_);
  };
  for (Index n = sequences.begin; n < sequences.end; ++n) {
    copy(n, read_only(y_), h0_, hn_);
    if (cn_ != nullptr) copy(n, read_only(aux_), c0_, cn_);
  }
}

template <class Real>
void ForwardLayer<Real>::run(const Member& member, Interrupt& interrupt) {
  const Index steps = call_.plan.steps();
  const bool hidden = schedule_.split == Split::kHidden && schedule_.threads > 1;
  for (Index s0 = 0; s0 < steps; s0 += schedule_.chunk) {
    const Index s1 = smaller(s0 + schedule_.chunk, steps);
    if (member.rank == 0) interrupt.check();
    if (hidden) member.wait();
    if (interrupt.stopped()) break;
    if (hidden)
      run_hidden_chunk(s0, s1, member);
    else
      for (Index part = member.rank; part < parts_.count(); part += member.size) run_batch_chunk(s0, s1, part);
  }
  member.wait();
  copy_states(share(N_, member.size, member.rank));
}

}  // namespace

template <class Real>
bool forward(const ForwardCall<Real>& call, Interrupt& interrupt) {
  const Index L = static_cast<Index>(call.layers.size());
  std::vector<Buffer<Real>> between(call.saved != nullptr ? 0 : at(smaller(L - 1, 2)));
  std::deque<ForwardLayer<Real>> layers;
  View<const Real> x = call.x;
  int threads = 1;
  for (Index layer = 0; layer < L; ++layer) {
    const Index H = call.layers[at(layer)]->arrays.H;
    View<Real> y = call.y;
    if (layer + 1 < L) {
      Buffer<Real>& buffer = call.saved != nullptr ? (*call.saved)[at(layer)].y : between[at(layer % 2)];
      if (buffer.size() == 0) buffer = Buffer<Real>(checked_product(call.plan.rows(), H));
      y = rows_view(buffer.data(), H);
    }
    layers.emplace_back(call, layer, x, y);
    threads = std::max(threads, layers.back().threads());
    x = read_only(y);
  }
  run_team(threads, [&](const Member& member) {
    for (ForwardLayer<Real>& layer : layers) {
      layer.run(member, interrupt);
      member.wait();
    }
  });
  return !interrupt.stopped();
}

template bool forward(const ForwardCall<float>&, Interrupt&);
template bool forward(const ForwardCall<double>&, Interrupt&);

}  // namespace rnnfast
