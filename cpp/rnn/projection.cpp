#include "projection.hpp"

namespace rnnfast {

template <class Real>
void Projection<Real>::allocate(Saved<Real>* saved) {
  const Index H = pass_.H;
  if (saved == nullptr) {
    buffer_ = Buffer<Real>(pass_.N * H);
    out_ = {buffer_.data(), 0, 0, H, 0};
    return;
  }
  if (saved->out.size() == 0) saved->out = Buffer<Real>(checked_product(pass_.plan.rows(), H));
  out_ = rows_view(saved->out.data(), H);
}

template <class Real>
void Projection<Real>::after_step(const Step& step, const View<Real>& y, ProductRows<Real>& rows) const {
  const Panels<Real>& panels = pass_.weights.projection;
  Index count = 0;
  pass_.parts.for_rows(step.s, step.part, [&](const Row& row) {
    rows.from[at(count)] = row_of(out_, row);
    rows.to[at(count)] = row_of(y, row);
    ++count;
  });
  multiply_panels(panels, share(panels.count, step.member), count, rows.from.data(), rows.to.data());
  step.member.wait();
}

template <class Real>
void Projection<Real>::before_step_back(const Step& step, const View<Real>& dh, Real* dout,
                                        ProductRows<Real>& rows) const {
  const Panels<Real>& panels = pass_.weights.backward().projection;
  Index count = 0;
  pass_.parts.for_rows(step.s, step.part, [&](const Row& row) {
    rows.from[at(count)] = row_of(dh, row);
    rows.to[at(count)] = dout + row.n * pass_.H;
    ++count;
  });
  multiply_panels(panels, share(panels.count, step.member), count, rows.from.data(), rows.to.data());
  step.member.wait();
}

template class Projection<float>;
template class Projection<double>;

}  // namespace rnnfast
