// A forward stage's cell on the products of a row or a tile of rows.
#pragma once
#include "cells-inl.hpp"
#include "gemm-inl.hpp"
#include "row_order-inl.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class Real>
RNNFAST_INLINE ForwardUnit<Real> forward_row(const ForwardArgs<Real>& args, const RowRef& ref) {
  ForwardUnit<Real> m;
  m.u = at(args.u, ref.row, ref.n, ref.t);
  m.h = at(args.y, ref.row, ref.n, ref.t);
  m.h_prev = before(args.y, args.order, ref, args.h0);
  m.aux = at(args.aux, ref.row, ref.n, ref.t);
  m.aux_prev = before(args.aux, args.order, ref, args.c0);
  m.zones = args.zone.data != nullptr ? at(args.zone, ref.row, ref.n, ref.t) : nullptr;
  m.H = args.H;
  m.n = args.H;
  m.save = args.save;
  m.options = args.options;
  return m;
}

template <class Real>
RNNFAST_INLINE ForwardUnit<Real> units_from(ForwardUnit<Real> m, Index unit) {
  m.u += unit;
  m.h += unit;
  m.h_prev += unit;
  m.aux += unit;
  m.aux_prev += unit;
  m.n -= unit;
  return m;
}

template <class Real>
RNNFAST_INLINE const Real* forward_operand(const ForwardArgs<Real>& args, Operand operand, const RowRef& ref) {
  if (operand == Operand::kAux) return at(args.aux, ref.row, ref.n, ref.t);
  return before(args.recurrent_input, args.order, ref, args.recurrent_input0);
}

template <class Real, class Stage>
RNNFAST_INLINE void load_gates(const Real* from, Vec<Real> (&q)[Stage::kGates]) {
#pragma GCC unroll 4
  for (int g = 0; g < Stage::kGates; ++g) q[g] = load(from + g * kLanes<Real>);
}

// The cell on accumulators in memory. In two parts over the rows where the stage has two: a chain of all activations
// one after the other is so long that a core's window holds but two of them.
template <class Real, class Stage>
RNNFAST_NOINLINE void forward_units(const ForwardArgs<Real>& args, const RowRef* refs, Index rows, Index unit,
                                    Index blocks, Real* tile) {
  constexpr Index kBlock = Stage::kGates * kLanes<Real>;
  assume_blocks(blocks, kMaxVectors / Stage::kGates);
  Vec<Real> q[Stage::kGates];
  if constexpr (Stage::kParts == 2) {
    static_assert(kMaxVectors / Stage::kGates == 1, "a panel is one block");
    Vec<Real> kept[2];
    for (Index r = 0; r < rows; ++r) {
      load_gates<Real, Stage>(tile + r * kBlock, q);
      Stage::begin(q, units_from(forward_row(args, refs[r]), unit), kept);
      store(tile + r * kBlock, kept[0]);
      store(tile + r * kBlock + kLanes<Real>, kept[1]);
    }
    for (Index r = 0; r < rows; ++r) {
      kept[0] = load(tile + r * kBlock);
      kept[1] = load(tile + r * kBlock + kLanes<Real>);
      Stage::end(kept, units_from(forward_row(args, refs[r]), unit));
    }
  } else {
    for (Index r = 0; r < rows; ++r) {
      ForwardUnit<Real> m = units_from(forward_row(args, refs[r]), unit);
      for (Index block = 0; block < blocks; ++block, m = units_from(m, kLanes<Real>)) {
        load_gates<Real, Stage>(tile + (r * blocks + block) * kBlock, q);
        Stage::apply(q, m);
      }
    }
  }
}

}  // namespace rnnfast::RNNFAST_ISA
