// Matrices in panels, as the kernels read them: [panel][K][width], zero beyond the last column.
#pragma once
#include <memory>

#include "../base/buffer.hpp"
#include "isa.hpp"
#include "team.hpp"

namespace rnnfast {

// dst[k][j] = columns[j][k], zero where columns[j] is null.  dst [K, width]
template <class Real>
void pack_columns(Index K, Index width, const Real* const* columns, Real* dst);

// The right operand of a gemm.
template <class Real>
struct Panels {
  Index inner = 0, cols = 0, count = 0;
  Buffer<Real> data;
};

// Columns of B are the rows of W [cols, inner]: a product with W^T.
template <class Real>
Panels<Real> panels_of_transpose(const Real* W, Index cols, Index inner);

// B = W [inner, cols].
template <class Real>
Panels<Real> panels_of(const Real* W, Index inner, Index cols);

// c[r] = start + a[r] B for every r, in blocks of rows that stay in cache. a [rows] of [inner], c [rows] of [cols].
// fetch_ahead: as in GemmArgs.
template <class Real>
void multiply(const Panels<Real>& b, Index rows, const Real* const* a, Real* const* c, const Real* start,
              bool fetch_ahead = false);

// The same of the columns in panels [panels.begin, panels.end) only, from zeros.
template <class Real>
void multiply_panels(const Panels<Real>& b, Range panels, Index rows, const Real* const* a, Real* const* c);

// A right operand in the panels of a forward step's stage, [panel][inner][blocks * gates][lanes]: columns of so many
// gates, H each, from first_gate H on.
template <class Real>
struct UnitPanels {
  const Real* data;
  Index inner, gates, first_gate, H;
};
// c[r] = start + a[r] B, of the stage's columns, those of the units in panels only.
template <class Real>
void multiply_units(const UnitPanels<Real>& b, Range panels, Index rows, const Real* const* a, Real* const* c,
                    const Real* start, bool fetch_ahead);

// The columns of those panels.
template <class Real>
Range columns_of(const Panels<Real>& b, Range panels);

// c[r] += a[r] B, each chain going on from c.
template <class Real>
void multiply_add(const Panels<Real>& b, Index rows, const Real* const* a, Real* const* c);

// c [cols_a, cols_b] += sum over rows of a[r]^T b[r], columns of a within [j0, j1), in blocks of kRowBlock rows from
// the first on. scratch: outer_scratch(cols_b) numbers.
template <class Real>
Index outer_scratch(Index cols_b);
template <class Real>
void add_outer(Index rows, const Real* const* a, Range columns, const Real* const* b, Index cols_b, Real* c,
               Real* scratch);

// sums [cols] += sum over rows of a[r], columns within the range, in blocks of kRowBlock rows.
template <class Real>
void add_column_sums(Index rows, const Real* const* a, Range columns, Real* sums);

// sums [cols] += sum over at most kRowBlock rows of a[r] b[r], number by number, columns within the range.
template <class Real>
void add_column_dots(Index rows, const Real* const* a, const Real* const* b, Range columns, Real* sums);

}  // namespace rnnfast
