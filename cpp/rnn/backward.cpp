#include <algorithm>
#include <deque>
#include <optional>

#include "gradients.hpp"
#include "rnn.hpp"
#include "window.hpp"

namespace rnnfast {

namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

// One layer of a backward call: memory first (may throw), then run() inside the team (does not).
//   1. the steps in reverse, a chunk at a time; du and dq replace the saved gates
//   2. behind each chunk, while it is in cache: dx = du W, and dW += du^T x, dR += dq^T h_prev, db += du, dq by blocks
//   of rows
//   3. the gradient of the initial state
template <class Real>
class BackwardLayer {
 public:
  BackwardLayer(const BackwardCall<Real>& call, Index layer, View<const Real> x, View<const Real> y,
                View<const Real> dy, View<Real> dx);
  void run(const Member& member, Interrupt& interrupt);
  int threads() const { return schedule_.threads; }

 private:
  struct Scratch {
    std::vector<const Real*> du;
    std::vector<Real*> dx;
    GradientScratch<Real> gradients;
  };
  void slide_window(Index s1, Index blocks);
  void run_steps(Index s0, Index s1, const Member& member);
  void add_dx(Range rows, Scratch& scratch);
  void finish(const Member& member);
  BackwardArgs<Real> stage_args(int stage, const Walk& walk) const;

  const BackwardCall<Real>& call_;
  const Index layer_;
  const Weights<Real>& weights_;
  const typename Weights<Real>::Backward& panels_;
  const CellSpec& spec_;
  const Index H_, C_, N_, dt_;
  const Schedule schedule_;
  const Parts parts_;
  const View<const Real> x_, y_, dy_;
  const View<Real> dx_;
  View<Real> u_{}, aux_{};
  const Real *h0_ = nullptr, *c0_ = nullptr;
  Real *dh_, *dc_;
  Buffer<Real> zeros_;
  Window<Real> window_;  // of u, where the gates were not saved
  std::optional<BlockGradients<Real>> gradients_;
  std::vector<Scratch> scratch_;
};

template <class Real>
BackwardLayer<Real>::BackwardLayer(const BackwardCall<Real>& call, Index layer, View<const Real> x, View<const Real> y,
                                   View<const Real> dy, View<Real> dx)
    : call_(call),
      layer_(layer),
      weights_(*call.layers[at(layer)]),
      panels_(weights_.backward()),
      spec_(weights_.spec()),
      H_(weights_.arrays.H),
      C_(weights_.arrays.C),
      N_(call.plan.sequences()),
      dt_(call.plan.reverse() ? -1 : 1),
      schedule_(make_schedule(call.plan, spec_, C_, H_, sizeof(Real), call.threads, true)),
      parts_(call.plan, schedule_.split == Split::kBatch ? schedule_.threads : 1),
      x_(x),
      y_(y),
      dy_(dy),
      dx_(dx),
      dh_(call.dh + layer * N_ * H_),
      dc_(spec_.states > 1 ? call.dc + layer * N_ * H_ : nullptr),
      zeros_(Buffer<Real>::zeros(std::max<Index>(spec_.gates, N_) * H_)) {
  h0_ = call.h0 != nullptr ? call.h0 + layer * N_ * H_ : zeros_.data();
  c0_ = call.c0 != nullptr ? call.c0 + layer * N_ * H_ : zeros_.data();
  Index chunk_rows = 0;
  for (Index s = 0; s < call.plan.steps(); s += schedule_.chunk)
    chunk_rows = std::max(
        chunk_rows, call.plan.first_row(smaller(s + schedule_.chunk, call.plan.steps())) - call.plan.first_row(s));
  const Index width = spec_.gates * H_;
  Saved<Real>& saved = call.saved[at(layer)];
  if (!spec_.saves_gates) window_ = Window<Real>(call.plan.rows(), chunk_rows, width);
  u_ = spec_.saves_gates ? rows_view(saved.gates.data(), width) : window_.view();
  aux_ = rows_view(saved.aux.data(), H_);
  gradients_.emplace(BlockGradients<Real>{call.plan, spec_, call.gradients[at(layer)], C_, H_, dt_, x_, read_only(u_),
                                          read_only(aux_), y_, h0_, zeros_.data(), layer,
                                          layer > 0 ? call.dropout : Dropout{}});
  scratch_.resize(at(call.threads));
  for (Scratch& scratch : scratch_) {
    scratch.du.resize(at(chunk_rows));
    scratch.dx.resize(at(chunk_rows));
    scratch.gradients = gradients_->new_scratch();
  }
}

// Makes room for the steps below s1. Of the rows above, those of the step s1 and of the first `blocks` blocks stay.
template <class Real>
void BackwardLayer<Real>::slide_window(Index s1, Index blocks) {
  const Plan& plan = call_.plan;
  const Index above = plan.first_row(smaller(s1 + 1, plan.steps()));
  window_.slide(plan.first_row(s1), std::max(above, smaller(blocks * kRowBlock, plan.rows())));
  u_ = window_.view();
  gradients_->u = read_only(u_);
}

template <class Real>
BackwardArgs<Real> BackwardLayer<Real>::stage_args(int stage, const Walk& walk) const {
  BackwardArgs<Real> args{};
  args.walk = walk, args.H = H_;
  args.panel0 = 0, args.panel1 = weights_.backward_panels();
  args.packed = panels_.r[at(stage)].data();
  args.u = u_, args.aux = aux_, args.y = y_, args.dy = dy_;
  args.h0 = h0_, args.c0 = c0_, args.zero = zeros_.data();
  args.dh = dh_, args.dc = dc_, args.one_way = one_way_panels(), args.activation = weights_.arrays.activation;
  return args;
}

template <class Real>
void BackwardLayer<Real>::run_steps(Index s0, Index s1, const Member& member) {
  const auto& kernel = weights_.table.backward[static_cast<int>(weights_.arrays.cell)];
  const auto step = [&](Index from, Index to, int stage, BackwardArgs<Real> args) {
    args.s0 = from, args.s1 = to;
    kernel[stage](args);
  };
  if (schedule_.split == Split::kBatch) {
    for (Index part = member.rank; part < parts_.count(); part += member.size) {
      const Walk walk = parts_.walk(part);
      if (spec_.stages == 1) {
        step(s0, s1, 0, stage_args(0, walk));
        continue;
      }
      for (Index s = s1 - 1; s >= s0; --s)
        for (int stage = 0; stage < spec_.stages; ++stage) step(s, s + 1, stage, stage_args(stage, walk));
    }
    return;
  }
  const Range panels = share(weights_.backward_panels(), member.size, member.rank);
  for (Index s = s1 - 1; s >= s0; --s)
    for (int stage = 0; stage < spec_.stages; ++stage) {
      BackwardArgs<Real> args = stage_args(stage, parts_.walk(0));
      args.panel0 = panels.begin, args.panel1 = panels.end;
      step(s, s + 1, stage, args);
      member.wait();
    }
}

template <class Real>
void BackwardLayer<Real>::add_dx(Range rows, Scratch& scratch) {
  Index count = 0;
  for_rows(call_.plan, rows, [&](Index row, const Slot& slot) {
    scratch.du[at(count)] = row_of(u_, row, slot.n, slot.t);
    scratch.dx[at(count++)] = row_of(dx_, row, slot.n, slot.t);
  });
  multiply<Real>(panels_.w, count, scratch.du.data(), scratch.dx.data(), nullptr);
  if (layer_ == 0 || call_.dropout.p == 0) return;
  const Real scale = static_cast<Real>(1 / (1 - call_.dropout.p));
  for_rows(call_.plan, rows, [&](Index row, const Slot& slot) {
    Real* dx = row_of(dx_, row, slot.n, slot.t);
    weights_.table.dropout(C_, dx, dx, dropout_key(call_.dropout, layer_, slot), scale);
  });
}

template <class Real>
void BackwardLayer<Real>::finish(const Member& member) {
  const auto& kernel = weights_.table.finish[static_cast<int>(weights_.arrays.cell)];
  const Range panels = share(weights_.backward_panels(), member.size, member.rank);
  for (Index part = 0; part < parts_.count(); ++part) {
    BackwardArgs<Real> args = stage_args(0, parts_.walk(part));
    args.panel0 = panels.begin, args.panel1 = panels.end;
    kernel(args);
  }
  const Range mine = share(N_, member.size, member.rank);
  for (Index n = mine.begin; n < mine.end; ++n)
    if (dc_ != nullptr && call_.plan.resets_at_start(n)) std::fill_n(dc_ + n * H_, H_, Real(0));
}

template <class Real>
void BackwardLayer<Real>::run(const Member& member, Interrupt& interrupt) {
  const Plan& plan = call_.plan;
  Scratch& scratch = scratch_[at(member.rank)];
  Index block = ceil_div(plan.rows(), kRowBlock);  // blocks from here on are done
  for (Index s1 = plan.steps(); s1 > 0;) {
    const Index s0 = std::max<Index>(0, s1 - schedule_.chunk);
    const Index begin = plan.first_row(s0), end = plan.first_row(s1);
    const bool slides = begin < u_.row0;
    if (slides) member.wait();
    if (member.rank == 0) {
      if (slides) slide_window(s1, block);
      interrupt.check();
    }
    member.wait();
    if (interrupt.stopped()) return;
    run_steps(s0, s1, member);
    member.wait();
    if (dx_.data != nullptr) {
      const Range mine = share(end - begin, member.size, member.rank);
      add_dx({begin + mine.begin, begin + mine.end}, scratch);
    }
    for (; block > 0 && (block - 1) * kRowBlock >= begin; --block)
      gradients_->add(block - 1, member.rank, member.size, scratch.gradients);
    s1 = s0;
  }
  if (plan.rows() > 0) finish(member);
}

}  // namespace

template <class Real>
bool backward(const BackwardCall<Real>& call, Interrupt& interrupt) {
  const Index L = static_cast<Index>(call.layers.size());
  std::vector<Buffer<Real>> between(at(smaller(L - 1, 2)));
  std::deque<BackwardLayer<Real>> layers;
  View<const Real> dy = call.dy;
  int threads = 1;
  for (Index layer = L - 1; layer >= 0; --layer) {
    View<Real> dx = call.dx;
    View<const Real> x = call.x, y = call.y;
    const Index C = call.layers[at(layer)]->arrays.C, H = call.layers[at(layer)]->arrays.H;
    if (layer + 1 < L) y = rows_view<const Real>(call.saved[at(layer)].y.data(), H);
    if (layer > 0) {
      Buffer<Real>& buffer = between[at(layer % smaller(L - 1, 2))];
      if (buffer.size() == 0) buffer = Buffer<Real>(checked_product(call.plan.rows(), C));
      dx = rows_view(buffer.data(), C);
      x = rows_view<const Real>(call.saved[at(layer - 1)].y.data(), C);
    }
    layers.emplace_back(call, layer, x, y, dy, dx);
    threads = std::max(threads, layers.back().threads());
    dy = read_only(dx);
  }
  run_team(threads, [&](const Member& member) {
    for (BackwardLayer<Real>& layer : layers) {
      layer.run(member, interrupt);
      member.wait();
    }
  });
  return !interrupt.stopped();
}

template bool backward(const BackwardCall<float>&, Interrupt&);
template bool backward(const BackwardCall<double>&, Interrupt&);

}  // namespace rnnfast
