#include "layer_norm.hpp"

namespace rnnfast {

template <class Real>
void LayerNorm<Real>::allocate(Saved<Real>* saved) {
  q_buffer_ = Buffer<Real>(checked_product(pass_.N, width()));
  q_ = {q_buffer_.data(), 0, 0, width(), 0};
  if (saved == nullptr) return;
  saved->raw = Buffer<Real>(checked_product(pass_.plan.rows(), 2 * width()));
  raw = rows_view(saved->raw.data(), 2 * width());
}

template <class Real>
Real* LayerNorm<Real>::raw_recurrent(const Row& row) const {
  return raw.data != nullptr ? row_of(raw, row) + width() : row_of(q_, row);
}

template <class Real>
void LayerNorm<Real>::before_stage(int stage, const Step& step, const View<const Real>& input,
                                   const InitialState<Real>& initial, const View<Real>& aux,
                                   ProductRows<Real>& rows) const {
  const StageSpec& of = pass_.spec.forward[stage];
  const Panels<Real>& panels = pass_.weights.recurrent[at(stage)];
  Index count = 0;
  pass_.parts.for_rows(step.s, step.part, [&](const Row& row) {
    rows.from[at(count)] =
        of.operand == Operand::kAux ? row_of(aux, row) : row_before(input, row, pass_.time_step, initial);
    rows.to[at(count)] = raw_recurrent(row) + of.first_gate * pass_.H;
    ++count;
  });
  multiply_panels(panels, share(panels.count, step.member), count, rows.from.data(), rows.to.data());
  step.member.wait();
  pass_.parts.for_rows(step.s, step.part, step.member, [&](const Row& row) {
    pass_.weights.normalize_recurrent(stage, raw_recurrent(row), row_of(q_, row));
  });
  step.member.wait();
}

template <class Real>
void LayerNorm<Real>::after_step(const Step& step, const View<Real>& aux, const View<Real>& y) const {
  const Weights<Real>& weights = pass_.weights;
  if (!weights.options.normed_output) return;
  pass_.parts.for_rows(step.s, step.part, step.member, [&](const Row& row) {
    NormedOutput<Real> output{};
    output.norm = weights.output_norm();
    output.options = &weights.options;
    output.c = row_of(aux, row);
    output.h = row_of(y, row);
    weights.table.normed_output(output);
  });
  step.member.wait();
}

template <class Real>
void LayerNorm<Real>::before_step_back(const Step& step, const OutputRows& rows) const {
  const Weights<Real>& weights = pass_.weights;
  const Index H = pass_.H;
  if (!weights.options.normed_output) return;
  pass_.parts.for_rows(step.s, step.part, step.member, [&](const Row& row) {
    NormedOutputBack<Real> output{};
    output.norm = weights.output_norm();
    output.options = &weights.options;
    output.c = row_of(rows.aux, row);
    output.o = row_of(rows.u, row) + pass_.spec.output_gate * H;
    output.dh = row_of(rows.dh, row);
    output.d_o = rows.d_o + row.n * H;
    output.d_normed = row_of(d, row) + 2 * width();
    output.dc = rows.dc + row.n * H;
    output.cut = row_after(row, pass_.time_step) == kCut;
    weights.table.normed_output_back(output);
  });
  step.member.wait();
}

template <class Real>
void LayerNorm<Real>::before_stage_back(int stage, const Step& step, Real* gradient, ProductRows<Real>& rows) const {
  const Panels<Real>& panels = pass_.weights.backward().recurrent[at(stage)];
  const Index first = width() + pass_.spec.backward[stage].first_gate * pass_.H;
  Index count = 0;
  pass_.parts.for_rows(step.s, step.part, [&](const Row& row) {
    rows.from[at(count)] = row_of(d, row) + first;
    rows.to[at(count)] = gradient + row.n * pass_.H;
    ++count;
  });
  multiply_panels(panels, share(panels.count, step.member), count, rows.from.data(), rows.to.data());
  step.member.wait();
}

template <class Real>
void LayerNorm<Real>::after_stage_back(int stage, const Step& step, const View<Real>& u, const View<Real>& aux) const {
  const Weights<Real>& weights = pass_.weights;
  const Index H = pass_.H;
  for (int i = 0; i < pass_.spec.segments; ++i) {
    const SegmentSpec& segment = pass_.spec.segment[i];
    if (segment.stage != stage) continue;
    const Norm<Real> of_u = weights.input_norm(i);
    const Norm<Real> of_q = weights.recurrent_norm(i);
    const Index first = segment.first_gate * H;
    const View<Real>& dq = segment.dq == Source::kGates ? u : aux;
    pass_.parts.for_rows(step.s, step.part, step.member, [&](const Row& row) {
      Real* x = row_of(raw, row) + first;
      Real* dx = row_of(d, row) + first;
      weights.table.normalize_back(of_u, x, row_of(u, row) + first, dx);
      weights.table.normalize_back(of_q, x + width(), row_of(dq, row) + segment.dq_gate * H, dx + width());
    });
  }
  step.member.wait();
}

template class LayerNorm<float>;
template class LayerNorm<double>;

}  // namespace rnnfast
