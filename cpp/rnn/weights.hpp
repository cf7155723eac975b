// One layer's weights as the kernels read them. Immutable once built; what only some calls read is made when first
// asked for.
#pragma once
#include <array>
#include <mutex>

#include "../cpu/packing.hpp"

namespace rnnfast {

// The user's arrays: w [G H, C], r [G H, P], b_w and b_r [G H] or null, projection [P, H] or null where P is H,
// peepholes and zoneout as in CellOptions. They must live, unchanged, until everything was asked for; what was made
// reads them no more.
template <class Real>
struct WeightArrays {
  CellKind cell;
  Index C, H, P;
  const Real *w, *r, *b_w, *b_r, *projection;
  CellOptions<Real> options;  // low and high of its activations are not read
};

template <class Real>
class Weights {
 public:
  explicit Weights(const WeightArrays<Real>& arrays);

  struct Backward {
    Panels<Real> w;                          // du W
    std::array<Buffer<Real>, kMaxStages> r;  // dq R, by panels of units; of a projected layer:
    Panels<Real> fed, projection;            // dq R, and dh W_hr
  };
  struct Live {
    std::array<Buffer<Real>, kMaxStages> w, b_w;  // W and b_ih in the panels of r and bias
  };
  // Safe to call from one thread at a time a Weights object or from several.
  const Backward& backward() const;
  const Live& live() const;

  const CellSpec& spec() const { return spec_of(arrays.cell); }
  bool projected() const { return arrays.projection != nullptr; }
  Index forward_panels(int stage) const;
  Index backward_panels() const;

  const WeightArrays<Real> arrays;
  const Kernels<Real>& table;  // of the ISA that packed
  CellOptions<Real> options;   // with peepholes and zoneout of its own
  Panels<Real> w;              // W x
  Panels<Real> projection;     // W_hr out, empty without one
  std::array<Buffer<Real>, kMaxStages> r, bias;

  // b_ih [G H], or null.
  const Real* input_bias() const { return input_bias_.data(); }

 private:
  Buffer<Real> input_bias_, peepholes_, zoneout_;
  mutable std::once_flag backward_once_, live_once_;
  mutable Backward backward_;
  mutable Live live_;
};

}  // namespace rnnfast
