// The one translation unit that is compiled once per ISA; it exports kTable and nothing else.
#include "../cpu/kernels.hpp"

#include "cells-inl.hpp"
#include "gemm-inl.hpp"
#include "live-inl.hpp"
#include "nn-inl.hpp"
#include "outer-inl.hpp"
#include "probe-inl.hpp"
#include "step-inl.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class Real>
RNNFAST_INLINE Vec<Real> apply(Unary kind, Vec<Real> x) {
  switch (kind) {
    case Unary::kExp:
      return exp<Real>(x);
    case Unary::kSigmoid:
      return sigmoid<Real>(x);
    case Unary::kTanh:
      return tanh<Real>(x);
    case Unary::kLog:
      return log<Real>(x);
    default:
      return log1p<Real>(x);
  }
}

template <class Real>
static void unary(Unary kind, Index n, const Real* x, Real* y) {
  for (Index i = 0; i < n; i += kLanes<Real>) {
    store_first(y + i, apply<Real>(kind, load_first(x + i, n - i)), n - i);
  }
}

// Keeps or drops by a hash of the unit's index (lowbias32, Wellons 2018) under the row's keys.
template <class Real>
static void dropout(Index n, const Real* x, Real* y, DropoutKey key, Real scale) {
  for (Index i = 0; i < n; ++i) {
    uint32_t hash = static_cast<uint32_t>(i) * 0x9E3779B9U + key.row[0];
    hash = (hash ^ (hash >> 16)) * 0x7FEB352DU;
    hash = (hash ^ (hash >> 15) ^ key.row[1]) * 0x846CA68BU;
    hash ^= hash >> 16;
    y[i] = hash < key.threshold ? Real(0) : x[i] * scale;
  }
}

template <class Real>
constexpr Kernels<Real> make_kernels() {
  using Rnn = Elman<Real>;
  using L = Lstm<Real>;
  using After = Gru<Real>;
  using Before = GruBefore<Real>;
  return {
      kLanes<Real>,
      kGemmVectors,
      {{4, 0}, {1, 0}, {1, 0}, {2, 4}},
      kMaxVectors,
      {{forward_steps<Real, typename Rnn::Forward>, nullptr},
       {forward_steps<Real, typename L::Forward>, nullptr},
       {forward_steps<Real, typename After::Forward>, nullptr},
       {forward_steps<Real, typename Before::Forward>, forward_steps<Real, typename Before::ForwardCandidate>}},
      {{backward_steps<Real, Rnn, typename Rnn::Backward>, nullptr},
       {backward_steps<Real, L, typename L::Backward>, nullptr},
       {backward_steps<Real, After, typename After::Backward>, nullptr},
       {backward_steps<Real, Before, typename Before::Backward>,
        backward_steps<Real, Before, typename Before::BackwardReset>}},
      {{live_step<Real, typename Rnn::Forward>, nullptr},
       {live_step<Real, typename L::Forward>, nullptr},
       {live_step<Real, typename After::Forward>, nullptr},
       {live_step<Real, typename Before::Forward>, live_step<Real, typename Before::ForwardCandidate>}},
      {finish<Real, Rnn>, finish<Real, L>, finish<Real, After>, finish<Real, Before>},
      gemm<Real>,
      outer<Real>,
      column_sums<Real>,
      pack_rows<Real>,
      dropout<Real>,
      unary<Real>,
      nn_kernels<Real>(),
      {2 * kFmaChains * kLanes<Real>, kReadVectors * kLanes<Real>, fma_rounds<Real>, read_all<Real>},
  };
}

extern const KernelTable kTable;
const KernelTable kTable = {make_kernels<float>(), make_kernels<double>()};

}  // namespace rnnfast::RNNFAST_ISA
