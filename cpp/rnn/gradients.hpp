// Gradients of one layer's weights, a block of rows at a time.
#pragma once
#include "rnn.hpp"
#include "views.hpp"

namespace rnnfast {

template <class Real>
struct GradientScratch {
  std::vector<const Real*> a, b;  // [kRowBlock] rows of the two factors
  Buffer<Real> panels;            // a block of the second factor, packed
  Buffer<Real> dropped;           // [kRowBlock, C] inputs under the dropout mask
  Buffer<Real> masked;            // [kRowBlock, P] what R has read
  Buffer<Real> normed;            // [kRowBlock, H] x^ of c
};

// dW += du^T x, dR += dq^T operand, db_w += sum du, db_r += sum dq, dP += sum du c, dHr += dh^T out over the rows of a
// block. Of a normalised layer u and q, whose gradients are in u and aux, are not the products, whose are in d.
// Blocks are of kRowBlock rows and must be added in one order; a part takes its share of the rows of dW and dR.
template <class Real>
struct BlockGradients {
  const Plan& plan;
  const CellSpec& spec;
  const LayerGradients<Real>& out;
  Index C, H, P, dt;
  View<const Real> x, u, aux, y;
  InitialState<Real> h0, c0;
  const Real* masks;  // [N, P] of what R has read, or null
  Index layer;
  Dropout dropout;
  View<const Real> out_rows = {}, dh = {};  // of a projected layer: what was projected, and dL/dh
  View<const Real> raw = {}, d = {};        // of a normalised layer: x^ of W x and R h, and du, dq, d norm(c)
  Real eps = 0;                             // of its norms

  GradientScratch<Real> new_scratch() const;
  void add(Index block, Index part, Index parts, GradientScratch<Real>& scratch) const;

 private:
  const Real* input(Index row, const Row& slot, Index i, GradientScratch<Real>& scratch) const;
  void add_segment(Range rows, const SegmentSpec& segment, Index part, Index parts,
                   GradientScratch<Real>& scratch) const;
  void add_projection(Range rows, Index part, Index parts, GradientScratch<Real>& scratch) const;
  void add_norms(Range rows, Index part, Index parts, GradientScratch<Real>& scratch) const;
  void add_peephole(Range rows, int peephole, Index part, Index parts, GradientScratch<Real>& scratch) const;
};

}  // namespace rnnfast
