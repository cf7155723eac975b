// One layer's weights as the kernels read them. Immutable once built; what only some calls read is made when first
// asked for.
#pragma once
#include <array>
#include <mutex>

#include "../cpu/packing.hpp"

namespace rnnfast {

// Layer normalisation of W x and of R h, by blocks of gates (the cell's segments), whose betas are the biases, and of c
// on its way to h: gamma_ih, gamma_hh [G H], or null for none; gamma_c [H], of cells with a cell state, beta_c [H] or
// null.
template <class Real>
struct NormArrays {
  const Real* gamma_ih;
  const Real* gamma_hh;
  const Real* gamma_c;
  const Real* beta_c;
  Real eps;
};

// The user's arrays: w [G H, C], r [G H, P], b_w and b_r [G H] or null, projection [P, H] or null where P is H,
// peepholes and zoneout as in CellOptions. They must live, unchanged, until everything was asked for; what was made
// reads them no more.
template <class Real>
struct WeightArrays {
  CellKind cell;
  Index C;
  Index H;
  Index P;
  const Real* w;
  const Real* r;
  const Real* b_w;
  const Real* b_r;
  const Real* projection;
  CellOptions<Real> options;  // low and high of its activations are not read
  NormArrays<Real> norm;
};

template <class Real>
class Weights {
 public:
  explicit Weights(const WeightArrays<Real>& arrays);

  struct Backward {
    Panels<Real> w;                          // du W
    std::array<Buffer<Real>, kMaxStages> r;  // dq R, by panels of units; or, where dL/dh is made outside the cell:
    std::array<Panels<Real>, kMaxStages> recurrent;  // dq R
    Panels<Real> projection;                         // dh W_hr
  };
  struct StreamPanels {
    std::array<Buffer<Real>, kMaxStages> w, b_w;  // W and b_ih in the panels of r and bias
  };
  // Safe to call from one thread at a time a Weights object or from several.
  const Backward& backward() const;
  const StreamPanels& input_unit_panels() const;

  const CellSpec& spec() const { return spec_of(arrays.cell); }
  bool projected() const { return arrays.projection != nullptr; }
  bool normed() const { return arrays.norm.gamma_ih != nullptr; }
  // Whether h is made of what the cell writes, and dL/dh turned into what the cell reads.
  bool output_outside() const { return projected() || options.normed_output; }
  Index forward_panels(int stage) const;
  Index backward_panels() const;

  const WeightArrays<Real> arrays;
  const Kernels<Real>& table;                      // of the ISA that packed
  CellOptions<Real> options;                       // with peepholes and zoneout of its own
  Panels<Real> w;                                  // W x
  Panels<Real> projection;                         // W_hr out, empty without one
  std::array<Panels<Real>, kMaxStages> recurrent;  // R h of a normalised layer, else empty
  std::array<Buffer<Real>, kMaxStages> r, bias;

  // b_ih [G H], or null.
  const Real* input_bias() const { return input_bias_.data(); }

  // u = W x + b_ih of rows, or normalised; raw, which may be u: W x, where it is normalised. fetch_ahead: as in
  // GemmArgs.
  void multiply_input(Index rows, const Real* const* x, Real* const* raw, Real* const* u, bool fetch_ahead) const;
  // The same of every unit vector, [C, G H]: the columns of W with b_ih. Where W is finite these are the numbers that a
  // product with the vector gives; a zero may have another sign. Safe as backward() is.
  const Real* unit_inputs() const;
  // The same of a stage's gates, of the units in its panels only; not normalised.
  void multiply_input_units(int stage, Range panels, Index rows, const Real* const* x, Real* const* u,
                            bool fetch_ahead) const;
  // Of one row: the stage's gates of q from those of raw [G H], which may be q; of a normalised layer.
  void normalize_recurrent(int stage, const Real* raw, Real* q) const;
  Norm<Real> input_norm(int segment) const;
  Norm<Real> recurrent_norm(int segment) const;
  Norm<Real> output_norm() const { return {arrays.H, arrays.norm.eps, gammas_.data(), beta_c_.data()}; }

 private:
  void pack_normed();
  void normalize_input(const Real* raw, Real* u) const;
  Norm<Real> norm_of(int segment, const Real* gammas, const Real* bias) const;

  Buffer<Real> input_bias_;
  Buffer<Real> peepholes_;
  Buffer<Real> zoneout_;
  Buffer<Real> recurrent_bias_, gammas_, beta_c_;  // of a normalised layer; gammas: of c, W x and R h
  mutable std::once_flag backward_once_, stream_once_, units_once_;
  mutable Backward backward_;
  mutable StreamPanels stream_;
  mutable Buffer<Real> unit_inputs_;
};

}  // namespace rnnfast
