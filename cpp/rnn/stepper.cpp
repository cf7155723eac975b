#include "stepper.hpp"

#include <algorithm>
#include <utility>

namespace rnnfast {

template <class Real>
Stepper<Real>::Stepper(const Stack<Real>& layers, Index batch)
    : batch_(batch),
      layers_(static_cast<Index>(layers.size())),
      H_(layers.front()->arrays.H),
      P_(layers.front()->arrays.P) {
  const CellSpec& spec = layers.front()->spec();
  const Index units = checked_product(batch, H_), states = checked_product(layers_, units);
  h_ = Buffer<Real>::zeros(layers_ * batch * P_);
  h_next_ = Buffer<Real>(layers_ * batch * P_);
  if (spec.states > 1) {
    c_ = Buffer<Real>::zeros(states);
    c_next_ = Buffer<Real>(states);
  }
  if (spec.stages > 1) between_ = Buffer<Real>(checked_product(units, 1 + spec.gates));
  if (layers.front()->projected()) {
    out_ = Buffer<Real>(units);
    for (Index n = 0; n < batch; ++n) out_rows_.push_back(out_.data() + n * H_);
    for (Index row = 0; row < layers_ * batch; ++row) {
      h_rows_.push_back(h_.data() + row * P_);
      h_next_rows_.push_back(h_next_.data() + row * P_);
    }
  }
  for (Index layer = 0; layer < layers_; ++layer) {
    const Weights<Real>& weights = *layers[static_cast<std::size_t>(layer)];
    const auto& live = weights.live();
    for (int stage = 0; stage < spec.stages; ++stage) {
      const auto at = static_cast<std::size_t>(stage);
      LiveArgs<Real> args{};
      args.rows = batch, args.C = weights.arrays.C, args.H = H_, args.P = P_, args.G = spec.gates;
      args.panel1 = weights.forward_panels(stage);
      args.w = live.w[at].data(), args.b_w = live.b_w[at].data();
      args.r = weights.r[at].data(), args.b_r = weights.bias[at].data();
      args.options = &weights.options;
      stages_.push_back({weights.table.live[static_cast<int>(weights.arrays.cell)][stage], args, layer,
                         weights.projected() ? &weights.projection : nullptr});
    }
  }
}

template <class Real>
void Stepper<Real>::compute(const StepInput<Real>& x, Index count, Split split, const Member& member) {
  const Index units = batch_ * H_;
  const Range rows = split == Split::kBatch ? share(count, member.size, member.rank) : Range{0, count};
  for (const Stage& stage : stages_) {
    LiveArgs<Real> args = stage.args;
    const Index offset = stage.layer * units, first = rows.begin * H_;
    const Index offset_h = stage.layer * batch_ * P_, first_h = rows.begin * P_;
    args.rows = rows.end - rows.begin, args.descending = descending_;
    if (stage.layer == 0) {
      args.x = x.x + rows.begin * x.ld, args.ldx = x.ld;
      (x.projected ? args.u_rows : args.x_rows) = x.rows != nullptr ? x.rows + rows.begin : nullptr;
    } else {
      args.x = h_next_.data() + offset_h - batch_ * P_ + first_h, args.ldx = P_;
    }
    args.h_prev = h_.data() + offset_h + first_h;
    args.h = stage.projection != nullptr ? out_.data() + first : h_next_.data() + offset_h + first_h;
    // Cells without one of these never touch it.
    args.aux = c_.size() > 0 ? c_.data() + offset + first : between_.size() > 0 ? between_.data() + first : args.h;
    args.gates = between_.size() > 0 ? between_.data() + units + args.G * first : args.h;
    if (split == Split::kHidden) {
      const Range panels = share(args.panel1, member.size, member.rank);
      args.panel0 = panels.begin, args.panel1 = panels.end;
    }
    stage.kernel(args);
    if (split == Split::kHidden) member.wait();
    if (stage.projection == nullptr) continue;
    const Index count_of_panels = stage.projection->count;
    project(stage, rows,
            split == Split::kHidden ? share(count_of_panels, member.size, member.rank) : Range{0, count_of_panels});
    if (split == Split::kHidden) member.wait();
  }
}

template <class Real>
void Stepper<Real>::project(const Stage& stage, Range rows, Range panels) {
  multiply_panels(*stage.projection, panels, rows.end - rows.begin, out_rows_.data() + rows.begin,
                  h_next_rows_.data() + stage.layer * batch_ + rows.begin);
}

template <class Real>
void Stepper<Real>::swap_h() {
  std::swap(h_, h_next_);
  std::swap(h_rows_, h_next_rows_);
}

// Weights that do not fit a cache are read from its warm end: descending and ascending by turns.
template <class Real>
void Stepper<Real>::advance() {
  swap_h();
  descending_ = !descending_;
}

template <class Real>
const Real* Stepper<Real>::step(const StepInput<Real>& x, Index rows) {
  compute(x, rows, Split::kBatch, {0, 1, nullptr});
  advance();
  return last_h();
}

template <class Real>
void Stepper<Real>::replace_states() {
  swap_h();
  std::swap(c_, c_next_);
}

template <class Real>
void Stepper<Real>::reorder(const Index* from, Index count) {
  const auto gather = [&](const Real* state, Real* next, Index width) {
    for (Index n = 0; n < count; ++n) std::copy_n(state + from[n] * width, width, next + n * width);
  };
  for (Index layer = 0; layer < layers_; ++layer) {
    gather(h(layer), h_next_.data() + layer * batch_ * P_, P_);
    if (c_.size() > 0) gather(c(layer), c_next_.data() + layer * batch_ * H_, H_);
  }
  replace_states();
}

template class Stepper<float>;
template class Stepper<double>;

}  // namespace rnnfast
