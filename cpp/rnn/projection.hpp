// A projected layer, h = W_hr out: one more product a step, of which the cell's kernels know nothing.
#pragma once
#include "layer_pass.hpp"

namespace rnnfast {

template <class Real>
class Projection {
 public:
  explicit Projection(const LayerPass<Real>& pass) : pass_(pass) {}

  // Forward: where the cell writes. saved: rows [rows, H] that the backward pass reads, also where gates are computed
  // again; null: one row a sequence.
  void allocate(Saved<Real>* saved);
  const View<Real>& out() const { return out_; }
  // h of a step into y.
  void after_step(const Step& step, const View<Real>& y, ProductRows<Real>& rows) const;
  // Back: dL/dout [N, H] of a step, from dL/dh.
  void before_step_back(const Step& step, const View<Real>& dh, Real* dout, ProductRows<Real>& rows) const;

 private:
  const LayerPass<Real>& pass_;
  Buffer<Real> buffer_;
  View<Real> out_{};
};

}  // namespace rnnfast
