// dL/dh of a projected or normalised layer, made outside the cell's kernels: they have no product of their own then,
// and read the gradient of what the cell writes.
#pragma once
#include "recurrent_mask.hpp"

namespace rnnfast {

// What R is multiplied with on the way back: of a row `view` from column `first` on, the gates of the first stage.
template <class Real>
struct DqRows {
  View<Real> view;
  Index first;
};

template <class Real>
class HiddenGradient {
 public:
  // all_rows: dL/dh of all rows is read again. dh [N, P]: in, of the final states; out, of the initial ones.
  HiddenGradient(const LayerPass<Real>& pass, const RecurrentMask<Real>& mask, bool all_rows, Real* dh);
  const View<Real>& rows() const { return rows_; }
  // [N, H] what a stage's kernel reads where it is not dL/dh itself.
  Real* cell_gradient() { return cell_gradient_.data(); }
  // [N, H] what of dL/dh bypasses R, as the kernels add and leave it.
  Real* bypass() { return bypass_.data(); }

  void before_step_back(const Step& step, const DqRows<Real>& dq, const View<const Real>& dy, ProductRows<Real>& rows);
  // dh of the state that a row begins with.
  void enter(const Row& row, const DqRows<Real>& dq);
  // dh of the given states of some sequences.
  void finish(Range sequences, const DqRows<Real>& dq);

 private:
  const LayerPass<Real>& pass_;
  const RecurrentMask<Real>& mask_;
  Real* const dh_;
  Buffer<Real> buffer_;
  Buffer<Real> cell_gradient_;
  Buffer<Real> bypass_;
  Buffer<Real> zeros_;
  View<Real> rows_;
};

}  // namespace rnnfast
