// The one translation unit that is compiled once per ISA; it exports kTable and nothing else.
#include "../cpu/kernels.hpp"

#include "backward-inl.hpp"
#include "cells-inl.hpp"
#include "forward-inl.hpp"
#include "gemm-inl.hpp"
#include "lanes-inl.hpp"
#include "nn-inl.hpp"
#include "noise-inl.hpp"
#include "norm-inl.hpp"
#include "outer-inl.hpp"
#include "probe-inl.hpp"

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
    case Unary::kLog1p:
      return log1p<Real>(x);
  }
  __builtin_unreachable();
}

template <class Real>
static void unary(Unary kind, Index n, const Real* x, Real* y) {
  for (Index i = 0; i < n; i += kLanes<Real>) {
    store_first(y + i, apply<Real>(kind, load_first(x + i, n - i)), n - i);
  }
}

template <class Real, class Cell, class Stage, class BackwardStage>
constexpr void set_stage(Kernels<Real>& table, CellKind kind, int stage) {
  static_assert(Stage::kGates <= kMaxVectors, "a panel must hold at least one vector of units with all its gates");
  const int cell = static_cast<int>(kind);
  table.forward_blocks[cell][stage] = kMaxVectors / Stage::kGates;
  table.forward[cell][stage] = forward_steps<Real, Cell, Stage>;
  table.backward[cell][stage] = backward_steps<Real, Cell, BackwardStage>;
}

template <class Real, CellKind kKind, class Cell>
constexpr void set_cell(Kernels<Real>& table) {
  set_stage<Real, Cell, typename Cell::Forward, typename Cell::Backward>(table, kKind, 0);
  if constexpr (spec_of(kKind).stages == 2)
    set_stage<Real, Cell, typename Cell::ForwardCandidate, typename Cell::BackwardReset>(table, kKind, 1);
  else if constexpr (!Cell::kRuntime)
    table.forward_lanes[static_cast<int>(kKind)] = forward_lanes<Real, typename Cell::Forward>;
  table.finish[static_cast<int>(kKind)] = finish<Real, Cell>;
}

template <bool kFirst, class A, class B>
struct Select {
  using Type = A;
};
template <class A, class B>
struct Select<false, A, B> {
  using Type = B;
};

template <class Real>
constexpr Kernels<Real> make_kernels() {
  using Runtime = RuntimeActivations<Real>;
  using Fixed = typename Select<kSlowIsFine, Runtime, FixedActivations<Real>>::Type;
  using OfElman = typename Select<kSlowIsFine, Runtime, ElmanActivations<Real>>::Type;
  Kernels<Real> table = {};
  table.lanes = kLanes<Real>;
  table.gemm_vectors = kGemmVectors;
  table.backward_blocks = kMaxVectors;
  table.lane_block = kBlockVectors * kLanes<Real>;
#define RNNFAST_SET_CELL(kind, name, family, spec, ...) set_cell<Real, CellKind::kind, __VA_ARGS__>(table);
  RNNFAST_CELLS(RNNFAST_SET_CELL)
#undef RNNFAST_SET_CELL
  table.gemm = gemm<Real>;
  table.outer = outer<Real>;
  table.column_sums = column_sums<Real>;
  table.column_dots = column_dots<Real>;
  table.pack_rows = pack_rows<Real>;
  table.dropout = dropout<Real>;
  table.add_noise = add_noise<Real>;
  table.normalize = normalize<Real>;
  table.normalize_back = normalize_back<Real>;
  table.normed_output = normed_output<Real>;
  table.normed_output_back = normed_output_back<Real>;
  table.unary = unary<Real>;
  table.activate = activate_all<Real>;
  table.nn = nn_kernels<Real>();
  table.probes.fma_flops = 2 * kFmaChains * kLanes<Real>;
  table.probes.read_grain = kReadVectors * kLanes<Real>;
  table.probes.fma = fma_rounds<Real>;
  table.probes.read = read_all<Real>;
  return table;
}

extern const KernelTable kTable;
const KernelTable kTable = {make_kernels<float>(), make_kernels<double>()};

}  // namespace rnnfast::RNNFAST_ISA
