// One layer's weights as the kernels read them. Immutable once built; what only some calls read is built on first use.
#pragma once
#include <array>
#include <mutex>

#include "../cpu/products.hpp"

namespace rnnfast {

// Layer normalisation of W x and of R h, by segments of gates (CellSpec), whose betas are the biases, and of c on its
// way to h.
template <class Real>
struct NormArrays {
  const Real* gamma_ih;  // [G H]; null: no layer normalisation
  const Real* gamma_hh;  // [G H]
  const Real* gamma_c;   // [H]; only for cells with a cell state
  const Real* beta_c;    // [H], or null
  Real eps;
};

// The user's arrays. They must live, unchanged, until everything that is built on first use has been used; what has
// been built does not read them again.
template <class Real>
struct WeightArrays {
  CellKind cell;
  Index C;
  Index H;
  Index P;
  const Real* w;              // [G H, C]
  const Real* r;              // [G H, P]
  const Real* b_w;            // [G H], or null
  const Real* b_r;            // [G H], or null
  const Real* projection;     // [P, H]; null where P is H
  CellOptions<Real> options;  // low and high of its activations are not read
  NormArrays<Real> norm;
};

template <class Real>
class Weights {
 public:
  explicit Weights(const WeightArrays<Real>& arrays);

  struct Backward {
    Panels<Real> w;                                  // for du W
    std::array<Buffer<Real>, kMaxStages> r;          // for dq R, in panels of units
    std::array<Panels<Real>, kMaxStages> recurrent;  // instead of r, where dL/dh is made outside the cell
    Panels<Real> projection;                         // for dh W_hr
  };
  struct InputUnitPanels {
    // W and b_ih in the panels of r and bias
    std::array<Buffer<Real>, kMaxStages> w;
    std::array<Buffer<Real>, kMaxStages> b_w;
  };
  struct LaneWeights {
    // W, R and their biases as kernels of sequences in lanes read them (ForwardArgs)
    Buffer<Real> packed;
    Buffer<Real> bias;
  };
  // Built on first use, from the user's arrays as they are then. Several threads may call these at once.
  const LaneWeights& lane_weights() const;
  const Backward& backward() const;
  const InputUnitPanels& input_unit_panels() const;

  const CellSpec& spec() const { return spec_of(arrays.cell); }
  bool projected() const { return arrays.projection != nullptr; }
  // Whether it has a kernel for sequences in lanes.
  bool takes_lanes() const {
    return table.forward_lanes[static_cast<int>(arrays.cell)] != nullptr && !projected() && !normed();
  }
  Index lane_units() const {
    return ceil_div(arrays.H, static_cast<Index>(table.lanes)) * table.lanes;
  }  // of its arrays
  bool normed() const { return arrays.norm.gamma_ih != nullptr; }
  // Whether h is made from the cell's output outside its kernel, and dL/d(output) from dL/dh.
  bool output_outside() const { return projected() || options.normed_output; }
  Index forward_panels(int stage) const;
  Index backward_panels() const;

  const WeightArrays<Real> arrays;
  const Kernels<Real>& table;                      // of the ISA that packed
  CellOptions<Real> options;                       // with peepholes and zoneout of its own
  Panels<Real> w;                                  // W x
  Panels<Real> projection;                         // W_hr out, empty without one
  std::array<Panels<Real>, kMaxStages> recurrent;  // R of a normalised layer, else empty
  // R and b_hh of other layers, [panels, P, blocks * gates, lanes] and [panels, blocks * gates, lanes]
  std::array<Buffer<Real>, kMaxStages> r;
  std::array<Buffer<Real>, kMaxStages> bias;

  // b_ih [G H], or null.
  const Real* input_bias() const { return input_bias_.data(); }

  // u = W x + b_ih for each row, or its normalised form. x: [rows] pointers to [C]; u: [rows] pointers to [G H]; raw:
  // [rows] pointers to [G H] that receive W x of a normalised layer, may be u, and are not read otherwise. fetch_ahead:
  // as in GemmArgs.
  void multiply_input(Index rows, const Real* const* x, Real* const* raw, Real* const* u, bool fetch_ahead) const;
  // u of every unit vector, [C, G H]: the columns of W plus b_ih. Where W is finite these are the numbers that a
  // product with the vector gives, up to the sign of a zero. Several threads may call it at once.
  const Real* unit_inputs() const;
  // multiply_input for the gates of a stage and the units in `panels` only; not for a normalised layer.
  void multiply_input_units(int stage, Range panels, Index rows, const Real* const* x, Real* const* u,
                            bool fetch_ahead) const;
  // The stage's gates of q [G H] from those of raw [G H], which may be q; for one row of a normalised layer.
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
  // of a normalised layer
  Buffer<Real> recurrent_bias_;  // [G H]
  Buffer<Real> gammas_;          // [H + 2 G H] of c, W x and R h
  Buffer<Real> beta_c_;          // [H]
  mutable std::once_flag backward_once_;
  mutable std::once_flag input_units_once_;
  mutable std::once_flag units_once_;
  mutable std::once_flag lanes_once_;
  mutable Backward backward_;
  mutable InputUnitPanels input_units_;
  mutable LaneWeights lanes_;
  mutable Buffer<Real> unit_inputs_;
};

}  // namespace rnnfast
