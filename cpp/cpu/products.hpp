// Products with matrices packed in panels, [panels, K, width] with zeros after the last column, and sums over rows.
// Rows of operands and results are given by pointers; results must not overlap operands.
#pragma once
#include <array>
#include <memory>

#include "../base/buffer.hpp"
#include "isa.hpp"
#include "team.hpp"

namespace rnnfast {

// dst[k][j] = columns[j][k], zero where columns[j] is null. columns: [width] pointers to [K]; dst: [K, width].
template <class Real>
void pack_columns(Index K, Index width, const Real* const* columns, Real* dst);

// The right operand of a gemm, B [inner, cols], a packed copy.
template <class Real>
struct Panels {
  Index inner = 0;
  Index cols = 0;
  Index count = 0;    // of panels
  Buffer<Real> data;  // [count, inner, gemm_vectors * lanes]
};

// B = W^T, W [cols, inner].
template <class Real>
Panels<Real> panels_of_transpose(const Real* W, Index cols, Index inner);

// B = W [inner, cols].
template <class Real>
Panels<Real> panels_of(const Real* W, Index inner, Index cols);

// c[r] = start + a[r] B for every r, in blocks of rows that stay in cache. a: [rows] pointers to [inner]; c: [rows]
// pointers to [cols]; start: [cols], or null for zeros; fetch_ahead: as in GemmArgs.
template <class Real>
void multiply(const Panels<Real>& b, Index rows, const Real* const* a, Real* const* c, const Real* start,
              bool fetch_ahead = false);

// c[r] = a[r] B, only the columns in panels [panels.begin, panels.end).
template <class Real>
void multiply_panels(const Panels<Real>& b, Range panels, Index rows, const Real* const* a, Real* const* c);

// A right operand in the panels of a forward stage; not owned. Its columns are those of `gates` gates of H units each,
// beginning with first_gate.
template <class Real>
struct UnitPanels {
  const Real* data;  // [panels, inner, blocks * gates, lanes]
  Index inner;
  Index gates;
  Index first_gate;
  Index H;
};
// c[r] = start + a[r] B, only the stage's columns of the units in `panels`. Arguments as in multiply.
template <class Real>
void multiply_units(const UnitPanels<Real>& b, Range panels, Index rows, const Real* const* a, Real* const* c,
                    const Real* start, bool fetch_ahead);

// The columns in `panels`.
template <class Real>
Range columns_of(const Panels<Real>& b, Range panels);

// c[r] += a[r] B, each chain starting from c.
template <class Real>
void multiply_add(const Panels<Real>& b, Index rows, const Real* const* a, Real* const* c);

// A right factor of add_outer and its sum. b: [rows] pointers to [cols]; c: [cols_a, cols].
template <class Real>
struct OuterFactor {
  const Real* const* b;
  Index cols;
  Real* c;
};

// c += sum over rows of a[r]^T b[r], only the rows of c that belong to `columns` of a, in blocks of kRowBlock rows.
// a: [rows] pointers to [cols_a]; scratch: outer_scratch numbers. Two factors are read beside each other, in one pass
// over a.
template <class Real>
Index outer_scratch(Index cols, Index more_cols = 0);
template <class Real>
void add_outer(Index rows, const Real* const* a, Range columns, const OuterFactor<Real>& factor, Real* scratch);
template <class Real>
void add_outers(Index rows, const Real* const* a, Range columns, const std::array<OuterFactor<Real>, 2>& factors,
                Real* scratch);

// Sums over the rows of a, only `columns`, in blocks of kRowBlock rows. a: [rows] pointers to [cols].
template <class Real>
void add_column_sums(Index rows, const Real* const* a, Range columns, ColumnSums<Real> to);

// sums [cols] += sum over rows of a[r] b[r], element by element, only `columns`; at most kRowBlock rows.
template <class Real>
void add_column_dots(Index rows, const Real* const* a, const Real* const* b, Range columns, Real* sums);

}  // namespace rnnfast
