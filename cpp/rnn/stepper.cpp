#include "stepper.hpp"

#include <algorithm>
#include <utility>

#include "views.hpp"

namespace rnnfast {

template <class Real>
Stepper<Real>::Stepper(const Stack<Real>& layers, Index batch)
    : batch_(batch),
      layers_(static_cast<Index>(layers.size())),
      H_(layers.front()->arrays.H),
      P_(layers.front()->arrays.P) {
  const CellSpec& spec = layers.front()->spec();
  const Index units = checked_product(batch, H_);
  const Index states = checked_product(layers_, units);
  h_ = Buffer<Real>::zeros(layers_ * batch * P_);
  h_next_ = Buffer<Real>(layers_ * batch * P_);
  if (spec.has_c) {
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
  if (layers.front()->normed()) {
    u_ = Buffer<Real>(checked_product(units, spec.gates));
    q_ = Buffer<Real>(checked_product(units, spec.gates));
    from_rows_.resize(static_cast<std::size_t>(batch));
    to_rows_.resize(static_cast<std::size_t>(batch));
  }
  for (Index layer = 0; layer < layers_; ++layer) {
    const Weights<Real>& weights = *layers[static_cast<std::size_t>(layer)];
    for (int stage = 0; stage < spec.stages && weights.normed(); ++stage)
      stages_.push_back({nullptr, {}, layer, nullptr, &weights, stage});
    if (weights.normed()) continue;
    const auto& panels = weights.input_unit_panels();
    for (int stage = 0; stage < spec.stages; ++stage) {
      const auto at = static_cast<std::size_t>(stage);
      StreamStepArgs<Real> args{};
      args.rows = batch;
      args.C = weights.arrays.C;
      args.H = H_;
      args.P = P_;
      args.G = spec.gates;
      args.panel1 = weights.forward_panels(stage);
      args.w = panels.w[at].data();
      args.b_w = panels.b_w[at].data();
      args.r = weights.r[at].data();
      args.b_r = weights.bias[at].data();
      args.options = &weights.options;
      stages_.push_back({weights.table.stream_step[static_cast<int>(weights.arrays.cell)][stage], args, layer,
                         weights.projected() ? &weights.projection : nullptr, nullptr, stage});
    }
  }
}

template <class Real>
void Stepper<Real>::compute(const StepInput<Real>& x, Index count, Split split, const Member& member) {
  const Index units = batch_ * H_;
  const Range rows = split == Split::kBatch ? share(count, member) : Range{0, count};
  if (stages_.front().normed != nullptr) return compute_rows(x, count, split, member);
  for (const Stage& stage : stages_) {
    StreamStepArgs<Real> args = stage.args;
    const Index offset = stage.layer * units;
    const Index first = rows.begin * H_;
    const Index offset_h = stage.layer * batch_ * P_;
    const Index first_h = rows.begin * P_;
    args.rows = rows.end - rows.begin;
    args.descending = descending_;
    if (stage.layer == 0) {
      args.x = x.x + rows.begin * x.ld;
      args.ldx = x.ld;
      (x.projected ? args.u_rows : args.x_rows) = x.rows != nullptr ? x.rows + rows.begin : nullptr;
    } else {
      args.x = h_next_.data() + offset_h - batch_ * P_ + first_h;
      args.ldx = P_;
    }
    args.h_prev = h_.data() + offset_h + first_h;
    args.h = stage.projection != nullptr ? out_.data() + first : h_next_.data() + offset_h + first_h;
    // Cells without one of these never touch it.
    args.aux = c_.size() > 0 ? c_.data() + offset + first : between_.size() > 0 ? between_.data() + first : args.h;
    args.gates = between_.size() > 0 ? between_.data() + units + args.G * first : args.h;
    if (split == Split::kUnits) {
      const Range panels = share(args.panel1, member.size, member.rank);
      args.panel0 = panels.begin;
      args.panel1 = panels.end;
    }
    stage.kernel(args);
    if (split == Split::kUnits) member.wait();
    if (stage.projection == nullptr) continue;
    const Index count_of_panels = stage.projection->count;
    project(stage, rows,
            split == Split::kUnits ? share(count_of_panels, member.size, member.rank) : Range{0, count_of_panels});
    if (split == Split::kUnits) member.wait();
  }
}

template <class Real>
void Stepper<Real>::project(const Stage& stage, Range rows, Range panels) {
  multiply_panels(*stage.projection, panels, rows.end - rows.begin, out_rows_.data() + rows.begin,
                  h_next_rows_.data() + stage.layer * batch_ + rows.begin);
}

// Of a normalised stack, whatever the split: rows are shared, units never.
template <class Real>
void Stepper<Real>::compute_rows(const StepInput<Real>& x, Index count, Split split, const Member& member) {
  const Range rows = share(count, member);
  for (const Stage& stage : stages_) compute_normed(stage, x, rows);
  if (split == Split::kUnits) member.wait();
}

template <class Real>
ForwardArgs<Real> Stepper<Real>::normed_args(const Stage& stage, Range rows) {
  const Weights<Real>& weights = *stage.normed;
  const Index first = stage.layer * batch_ * H_;
  const Index width = weights.spec().gates * H_;
  Real* aux = c_.size() > 0 ? c_.data() + first : between_.data();
  ForwardArgs<Real> args{};
  args.order = {batch_, 1, 1, nullptr, nullptr, 1, 0, rows.begin, rows.end};
  args.s1 = 1;
  args.panel1 = weights.forward_panels(stage.index);
  args.H = H_;
  args.P = P_;
  args.u = rows_view(u_.data(), width);
  args.q = rows_view<const Real>(q_.data(), width);
  args.y = rows_view(h_next_.data() + first, H_);
  args.aux = rows_view(aux, H_);
  args.recurrent_input = read_only(args.y);
  args.recurrent_input0 = args.h0 = {h_.data() + first, nullptr, H_, 0};
  args.c0 = {aux, nullptr, H_, 0};
  args.options = &weights.options;
  return args;
}

// A stage of some rows, by the kernels of sequences.
template <class Real>
void Stepper<Real>::compute_normed(const Stage& stage, const StepInput<Real>& x, Range rows) {
  const Weights<Real>& weights = *stage.normed;
  const StageSpec& of = weights.spec().forward[stage.index];
  const Index count = rows.end - rows.begin;
  const Index width = weights.spec().gates * H_;
  const ForwardArgs<Real> args = normed_args(stage, rows);
  const Real** from = from_rows_.data() + rows.begin;
  Real** to = to_rows_.data() + rows.begin;
  for (Index i = 0; i < count && stage.index == 0; ++i) {
    const Index n = rows.begin + i;
    from[i] = stage.layer > 0 ? args.y.data - batch_ * H_ + n * H_ : x.rows != nullptr ? x.rows[n] : x.x + n * x.ld;
    to[i] = u_.data() + n * width;
    if (stage.layer == 0 && x.projected) std::copy_n(from[i], width, to[i]);
  }
  if (stage.index == 0 && (stage.layer > 0 || !x.projected)) weights.multiply_input(count, from, to, to, false);
  for (Index i = 0; i < count; ++i) {
    const Index n = rows.begin + i;
    from[i] = of.operand == Operand::kAux ? args.aux.data + n * H_ : args.h0.given + n * H_;
    to[i] = q_.data() + n * width + of.first_gate * H_;
  }
  const Panels<Real>& recurrent = weights.recurrent[static_cast<std::size_t>(stage.index)];
  multiply_panels(recurrent, {0, recurrent.count}, count, from, to);
  for (Index n = rows.begin; n < rows.end; ++n)
    weights.normalize_recurrent(stage.index, q_.data() + n * width, q_.data() + n * width);
  weights.table.forward[static_cast<int>(weights.arrays.cell)][stage.index](args);
  for (Index n = rows.begin; n < rows.end && weights.options.normed_output; ++n)
    weights.table.normed_output(
        {weights.output_norm(), &weights.options, args.aux.data + n * H_, args.y.data + n * H_});
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
