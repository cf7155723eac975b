// One layer's weights as the kernels read them. Immutable once built; the backward panels are made when first asked
// for.
#pragma once
#include <array>
#include <mutex>

#include "../cpu/packing.hpp"

namespace rnnfast {

// The user's arrays, which must outlive the Weights: w [G H, C], r [G H, H], b_w and b_r [G H] or null.
template <class Real>
struct WeightArrays {
  CellKind cell;
  Activation activation;
  Index C, H;
  const Real *w, *r, *b_w, *b_r;
};

template <class Real>
class Weights {
 public:
  explicit Weights(const WeightArrays<Real>& arrays);

  struct Backward {
    Panels<Real> w;                          // du W
    std::array<Buffer<Real>, kMaxStages> r;  // dq R, by panels of units
  };
  // Safe to call from one thread at a time a Weights object or from several.
  const Backward& backward() const;

  const CellSpec& spec() const { return spec_of(arrays.cell); }
  Index forward_panels(int stage) const;
  Index backward_panels() const;

  const WeightArrays<Real> arrays;
  const Kernels<Real>& table;  // of the ISA that packed
  Panels<Real> w;              // W x
  std::array<Buffer<Real>, kMaxStages> r, bias;

 private:
  mutable std::once_flag once_;
  mutable Backward backward_;
};

}  // namespace rnnfast
