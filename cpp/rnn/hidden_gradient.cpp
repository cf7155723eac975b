#include "hidden_gradient.hpp"

#include <algorithm>

namespace rnnfast {

template <class Real>
HiddenGradient<Real>::HiddenGradient(const LayerPass<Real>& pass, const RecurrentMask<Real>& mask, bool all_rows,
                                     Real* dh)
    : pass_(pass),
      mask_(mask),
      dh_(dh),
      buffer_(checked_product(all_rows ? pass.plan.rows() : pass.N, pass.P)),
      cell_gradient_(pass.N * pass.H),
      bypass_(Buffer<Real>::zeros(pass.N * pass.H)),
      zeros_(Buffer<Real>::zeros(pass.spec.gates * pass.H)),
      rows_(all_rows ? rows_view(buffer_.data(), pass.P) : View<Real>{buffer_.data(), 0, 0, pass.P, 0}) {}

// dh = R^T dq of the row after, at a sequence's end + dL/d(final h), + what bypasses R, + dy. Where the cell's kernel
// would add what bypasses R, it finds zeros.
template <class Real>
void HiddenGradient<Real>::before_step_back(const Step& step, const DqRows<Real>& dq, const View<const Real>& dy,
                                            ProductRows<Real>& rows) {
  const Weights<Real>& weights = pass_.weights;
  const Panels<Real>& panels = weights.backward().recurrent[0];
  const Range mine = share(panels.count, step.member);
  Index count = 0;
  pass_.parts.for_rows(step.s, step.part, [&](const Row& row) {
    const Index after = row_after(row, pass_.time_step);
    rows.from[at(count)] =
        after >= 0 ? row_of(dq.view, after, row.n, row.t + pass_.time_step) + dq.first : zeros_.data();
    rows.to[at(count)] = row_of(rows_, row);
    ++count;
  });
  multiply_panels(panels, mine, count, rows.from.data(), rows.to.data());
  const Range columns = columns_of(panels, mine);
  pass_.parts.for_rows(step.s, step.part, [&](const Row& row) {
    Real* dh = row_of(rows_, row);
    const Real* of_y = row_of(dy, row);
    const Real* mask = mask_.active() ? mask_.data() + row.n * pass_.P : nullptr;
    const Index after = row_after(row, pass_.time_step);
    const Real* end = after == kEnd ? dh_ + row.n * pass_.P : nullptr;
    Real* past = after >= 0 && !weights.output_outside() ? bypass_.data() + row.n * pass_.H : nullptr;
    for (Index i = columns.begin; i < columns.end; ++i) {
      if (mask != nullptr) dh[i] *= mask[i];
      if (end != nullptr) dh[i] += end[i];
      if (past != nullptr) {
        dh[i] += past[i];
        past[i] = 0;
      }
      dh[i] += of_y[i];
    }
  });
  step.member.wait();
}

template <class Real>
void HiddenGradient<Real>::enter(const Row& row, const DqRows<Real>& dq) {
  const Index P = pass_.P;
  const Panels<Real>& panels = pass_.weights.backward().recurrent[0];
  Real* dh = dh_ + row.n * P;
  const Real* from = row_of(dq.view, row) + dq.first;
  multiply_panels(panels, {0, panels.count}, 1, &from, &dh);
  for (Index i = 0; i < P && mask_.active(); ++i) dh[i] *= mask_.data()[row.n * P + i];
  for (Index i = 0; i < pass_.H && !pass_.weights.output_outside(); ++i) dh[i] += bypass_.data()[row.n * pass_.H + i];
}

template <class Real>
void HiddenGradient<Real>::finish(Range sequences, const DqRows<Real>& dq) {
  const Plan& plan = pass_.plan;
  for (Index n = sequences.begin; n < sequences.end; ++n) {
    if (plan.length(n) == 0) continue;
    Row row{};
    row.index = pass_.time_step > 0 ? plan.first_row_of(n) : plan.last_row(n);
    row.n = n;
    row.t = pass_.time_step > 0 ? 0 : plan.length(n) - 1;
    if (pass_.time_step > 0 && plan.resets_at_start(n))
      std::fill_n(dh_ + n * pass_.P, pass_.P, Real(0));
    else
      enter(row, dq);
  }
}

template class HiddenGradient<float>;
template class HiddenGradient<double>;

}  // namespace rnnfast
