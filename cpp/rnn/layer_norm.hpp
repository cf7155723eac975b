// A layer whose W x and R h are normalised (Ba et al. 2016), and of an LSTM c on its way to h. A row must be whole
// before any of its gates is known, so that these products are made outside the cell's kernels.
#pragma once
#include "layer_pass.hpp"

namespace rnnfast {

template <class Real>
class LayerNorm {
 public:
  explicit LayerNorm(const LayerPass<Real>& pass) : pass_(pass) {}

  // Forward. `saved`: W x and R h are kept there for the backward pass; null: they are not.
  void allocate(Saved<Real>* saved);
  // q of a stage's gates, normalised; input, initial: what R reads. aux: of the cell.
  void before_stage(int stage, const Step& step, const View<const Real>& input, const InitialState<Real>& initial,
                    const View<Real>& aux, ProductRows<Real>& rows) const;
  const View<Real>& q() const { return q_; }
  // Of an LSTM h = o f(norm(c)), o standing in y where h will.
  void after_step(const Step& step, const View<Real>& aux, const View<Real>& y) const;

  // Back. Of an LSTM from dL/dh to dL/do [N, H] and dc.
  struct OutputRows {
    View<Real> u;
    View<Real> aux;
    View<Real> dh;
    Real* d_o;
    Real* dc;
  };
  void before_step_back(const Step& step, const OutputRows& rows) const;
  // The gradient [N, H] of what a later stage's product has read.
  void before_stage_back(int stage, const Step& step, Real* gradient, ProductRows<Real>& rows) const;
  // From the gradients of u and q to those of W x and R h, of the gates whose gradients the stage has made.
  void after_stage_back(int stage, const Step& step, const View<Real>& u, const View<Real>& aux) const;

  // [rows, 2 G H]: W x, then R h; on the way back both become x^. Null where they are not kept.
  View<Real> raw{};
  // Back [rows, 2 G H] and, of an LSTM, H more: du, dq, then dL/d norm(c).
  View<Real> d{};
  Index width() const { return pass_.spec.gates * pass_.H; }
  Index width_of_d() const { return 2 * width() + (pass_.spec.output_gate >= 0 ? pass_.H : 0); }

 private:
  Real* raw_recurrent(const Row& row) const;

  const LayerPass<Real>& pass_;
  Buffer<Real> q_buffer_;
  View<Real> q_{};  // of a step, row by sequence
};

}  // namespace rnnfast
