// Gradients of one layer's weights, a block of rows at a time.
#pragma once
#include "input_dropout.hpp"
#include "layer_norm.hpp"
#include "recurrent_mask.hpp"

namespace rnnfast {

// A thread's own.
template <class Real>
struct GradientScratch {
  std::vector<const Real*> a, b;  // [kRowBlock] rows of the two factors
  std::vector<const Real*> x;     // of the input beside b
  Buffer<Real> panels;            // a block of the second factor, packed
  Buffer<Real> dropped;           // [kRowBlock, C] inputs under dropout
  Buffer<Real> masked;            // [kRowBlock, P] what R has read
  Buffer<Real> normed;            // [kRowBlock, H] x^ of c
};

// What the backward scan has made of the rows of a block, and what the forward scan has kept of them.
template <class Real>
struct GradientRows {
  View<const Real> x;
  View<const Real> y;
  View<const Real> u;        // du; in a normalised layer the gradient of the normalised u, that of W x being in norm->d
  View<const Real> aux;      // likewise of q where it lies in aux; or c
  View<const Real> out, dh;  // of a projected layer: what was projected, and dL/dh
  InitialState<Real> h0;
  InitialState<Real> c0;
};

// dW += du^T x, dR += dq^T operand, db_w += sum du, db_r += sum dq, dpeepholes += sum du c, dprojection += dh^T out
// over the rows of a block. Of a normalised layer the gradients of products are in norm->d. Blocks are of kRowBlock
// rows and must be added in one order; a part takes its share of the rows of dW and dR.
template <class Real>
class BlockGradients {
 public:
  BlockGradients(const LayerPass<Real>& pass, const LayerGradients<Real>& out, const InputDropout<Real>& input_dropout,
                 const RecurrentMask<Real>& mask, const LayerNorm<Real>* norm)
      : pass_(pass), out_(out), input_dropout_(input_dropout), mask_(mask), norm_(norm) {}
  GradientScratch<Real> new_scratch() const;
  // Blocks, in their order, whose rows have all been made by the scan's steps from the last one, in the direction of
  // time, to [s0, s1).
  Index done_after(Range steps) const;
  // Number i of that order.
  void add(Index i, const GradientRows<Real>& rows, const Member& member, GradientScratch<Real>& scratch) const;

 private:
  // A block's rows, by member.
  struct Block {
    const GradientRows<Real>& of;
    Range rows;
    const Member& member;
    GradientScratch<Real>& scratch;
  };
  void list_inputs(const Block& block) const;
  void list_operands(const SegmentSpec& segment, const Block& block) const;
  void add_segment(const SegmentSpec& segment, const Block& block) const;
  void add_projection(const Block& block) const;
  void add_gate_norms(const Block& block) const;
  void add_output_norm(const Block& block) const;
  void add_peephole(int peephole, const Block& block) const;

  const LayerPass<Real>& pass_;
  const LayerGradients<Real>& out_;
  const InputDropout<Real>& input_dropout_;
  const RecurrentMask<Real>& mask_;
  const LayerNorm<Real>* const norm_;
};

}  // namespace rnnfast
