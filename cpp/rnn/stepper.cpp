#include "stepper.hpp"

#include <algorithm>
#include <utility>

#include "plan.hpp"

namespace rnnfast {

template <class Real>
Stepper<Real>::Stepper(const Stack<Real>& layers, Index batch)
    : batch_(batch),
      layers_(static_cast<Index>(layers.size())),
      H_(layers.front()->arrays.H),
      P_(layers.front()->arrays.P) {
  allocate(*layers.front());
  for (Index layer = 0; layer < layers_; ++layer) {
    const Weights<Real>& weights = *layers[at(layer)];
    const auto& kernels = weights.table.forward[static_cast<int>(weights.arrays.cell)];
    for (int stage = 0; stage < weights.spec().stages; ++stage)
      stages_.push_back({&weights, layer, stage, kernels[stage], first_args(weights, stage)});
  }
}

template <class Real>
void Stepper<Real>::allocate(const Weights<Real>& weights) {
  const CellSpec& spec = weights.spec();
  const Index units = checked_product(batch_, H_);
  const Index states = checked_product(layers_, units);
  h_ = Buffer<Real>::zeros(layers_ * batch_ * P_);
  h_next_ = Buffer<Real>(layers_ * batch_ * P_);
  if (spec.has_c) {
    c_ = Buffer<Real>::zeros(states);
    c_next_ = Buffer<Real>(states);
  } else if (spec.stages > 1) {
    aux_ = Buffer<Real>(units);
  }
  if (spec.stages > 1 || weights.normed()) gates_ = Buffer<Real>(checked_product(units, spec.gates));
  if (weights.projected()) {
    out_ = Buffer<Real>(units);
    for (Index n = 0; n < batch_; ++n) out_rows_.push_back(out_.data() + n * H_);
    for (Index row = 0; row < layers_ * batch_; ++row) {
      h_rows_.push_back(h_.data() + row * P_);
      h_next_rows_.push_back(h_next_.data() + row * P_);
    }
  }
  if (weights.normed()) {
    q_ = Buffer<Real>(checked_product(units, spec.gates));
    from_rows_.resize(at(batch_));
    to_rows_.resize(at(batch_));
  }
}

template <class Real>
ForwardArgs<Real> Stepper<Real>::first_args(const Weights<Real>& weights, int stage) {
  const Index width = weights.spec().gates * H_;
  ForwardArgs<Real> args{};
  args.order.N = batch_;
  args.order.T = 1;
  args.order.time_step = 1;
  args.order.parts = 1;
  args.s1 = 1;
  args.panel1 = weights.forward_panels(stage);
  args.H = H_;
  args.P = P_;
  args.C = weights.arrays.C;
  args.u = rows_view(gates_.data(), width);
  args.y = rows_view(out_.data(), H_);
  args.aux = rows_view(aux_.data(), H_);
  args.h0.width = P_;
  args.recurrent_input0.width = P_;
  args.c0.width = H_;
  args.options = &weights.options;
  if (weights.options.zoneout != nullptr) args.zone = {weights.options.zoneout, 0, 0, 0, 0};
  if (weights.normed()) {
    args.q = rows_view<const Real>(q_.data(), width);
    return args;
  }
  const auto& input = weights.input_unit_panels();
  args.packed = weights.r[at(stage)].data();
  args.bias = weights.bias[at(stage)].data();
  args.w = input.w[at(stage)].data();
  args.b_w = input.b_w[at(stage)].data();
  return args;
}

template <class Real>
void Stepper<Real>::compute(const StepInput<Real>& x, Index count, Split split, const Member& member) {
  if (member.size == 1) {
    for (Stage& stage : stages_) {
      stage.args.order.n1 = count;
      run(stage, x, member, stage.args);
    }
    return;
  }
  // Rows of a normalised layer are shared, units never.
  const bool by_units = split == Split::kUnits && q_.size() == 0;
  const Range rows = by_units ? Range{0, count} : share(count, member);
  for (const Stage& stage : stages_) {
    ForwardArgs<Real> args = stage.args;  // a copy: other members change theirs meanwhile
    args.order.n0 = rows.begin;
    args.order.n1 = rows.end;
    if (by_units) {
      const Range panels = share(args.panel1, member);
      args.panel0 = panels.begin;
      args.panel1 = panels.end;
    }
    run(stage, x, by_units ? member : Member{0, 1, nullptr}, args);
  }
  if (split == Split::kUnits && !by_units) member.wait();
}

// Runs a stage on the rows and panels of args, beside the other members who share its units. States change their places
// from call to call. Fields are set one by one: a load of several at once would wait for their separate stores.
template <class Real>
void Stepper<Real>::run(const Stage& stage, const StepInput<Real>& x, const Member& member, ForwardArgs<Real>& args) {
  const Index first = stage.layer * batch_ * P_;
  const Real* h = h_.data() + first;
  Real* h_next = h_next_.data() + first;
  const StepInput<Real> below{h_next - batch_ * P_, P_, nullptr, false};
  args.input = stage.layer == 0 ? &x : &below;
  args.h0.given = h;
  args.recurrent_input0.given = h;
  if (!stage.weights->projected()) args.y.data = h_next;
  if (c_.size() > 0) {
    args.aux.data = c_.data() + stage.layer * batch_ * H_;
    args.c0.given = args.aux.data;
  }
  args.turn = turn_;
  if (stage.weights->normed()) normalize(stage, args);
  stage.kernel(args);
  member.wait();
  if (stage.weights->options.normed_output) normalize_output(stage, args);
  if (stage.weights->projected()) project(stage, {args.order.n0, args.order.n1}, member);
}

// u and q of a normalised layer.
template <class Real>
void Stepper<Real>::normalize(const Stage& stage, const ForwardArgs<Real>& args) {
  const Weights<Real>& weights = *stage.weights;
  const StageSpec& of = weights.spec().forward[stage.index];
  const StepInput<Real>& x = *args.input;
  const Range rows{args.order.n0, args.order.n1};
  const Index count = rows.end - rows.begin;
  const Index width = weights.spec().gates * H_;
  const Real** from = from_rows_.data() + rows.begin;
  Real** to = to_rows_.data() + rows.begin;
  for (Index i = 0; i < count && stage.index == 0; ++i) {
    const Index n = rows.begin + i;
    from[i] = x.rows != nullptr ? x.rows[n] : x.x + n * x.ld;
    to[i] = gates_.data() + n * width;
    if (x.ready_u) std::copy_n(from[i], width, to[i]);
  }
  if (stage.index == 0 && !x.ready_u) weights.multiply_input(count, from, to, to, false);
  for (Index i = 0; i < count; ++i) {
    const Index n = rows.begin + i;
    from[i] = of.operand == Operand::kAux ? args.aux.data + n * H_ : args.h0.given + n * H_;
    to[i] = q_.data() + n * width + of.first_gate * H_;
  }
  const Panels<Real>& recurrent = weights.recurrent[at(stage.index)];
  multiply_panels(recurrent, {0, recurrent.count}, count, from, to);
  for (Index n = rows.begin; n < rows.end; ++n)
    weights.normalize_recurrent(stage.index, q_.data() + n * width, q_.data() + n * width);
}

template <class Real>
void Stepper<Real>::normalize_output(const Stage& stage, const ForwardArgs<Real>& args) const {
  const Weights<Real>& weights = *stage.weights;
  NormedOutput<Real> output{};
  output.norm = weights.output_norm();
  output.options = &weights.options;
  for (Index n = args.order.n0; n < args.order.n1; ++n) {
    output.c = args.aux.data + n * H_;
    output.h = args.y.data + n * H_;
    weights.table.normed_output(output);
  }
}

template <class Real>
void Stepper<Real>::project(const Stage& stage, Range rows, const Member& member) const {
  const Panels<Real>& panels = stage.weights->projection;
  multiply_panels(panels, share(panels.count, member), rows.end - rows.begin, out_rows_.data() + rows.begin,
                  h_next_rows_.data() + stage.layer * batch_ + rows.begin);
  member.wait();
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
  ++turn_;
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
