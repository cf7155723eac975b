// Sums over rows: outer products, column sums, and the packing of their operands.
#pragma once
#include "gemm-inl.hpp"

namespace rnnfast::RNNFAST_ISA {

template <class Real, int MR, int NV>
RNNFAST_INLINE void outer_tile(Index rows, const Real* a, const Real* b, Real* c, Index ldc, Index cols) {
  Vec<Real> acc[MR][NV];
#pragma GCC unroll 8
  for (int j = 0; j < MR; ++j) {
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) {
      acc[j][v] = Vec<Real>{};
      __builtin_prefetch(c + j * ldc + v * kLanes<Real>, 1);  // read and written when the sums are done
    }
  }
  for (Index r = 0; r < rows; ++r, a += MR, b += NV * kLanes<Real>) {
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) __builtin_prefetch(b + (kPrefetchRows * NV + v) * kLanes<Real>);
    Vec<Real> row[NV];
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) row[v] = load(b + v * kLanes<Real>);
#pragma GCC unroll 8
    for (int j = 0; j < MR; ++j) {
      const Vec<Real> x = splat(a[j]);
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) acc[j][v] = fma(x, row[v], acc[j][v]);
    }
  }
#pragma GCC unroll 8
  for (int j = 0; j < MR; ++j) {
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) {
      Real* to = c + j * ldc + v * kLanes<Real>;
      const Index n = cols - v * kLanes<Real>;
      store_first(to, load_first(to, n) + acc[j][v], n);
    }
  }
}

// Copies columns [j, j + MR) of A into [rows][MR] and multiplies them with one panel of B.
template <class Real, int MR, int NV>
RNNFAST_NOINLINE void outer_columns(const OuterArgs<Real>& args, Index j, Index panel) {
  constexpr Index kPanel = kGemmVectors * kLanes<Real>;
  alignas(64) Real columns[kRowBlock * MR];
  for (Index r = 0; r < args.rows; ++r) memcpy(columns + r * MR, args.a[r] + j, sizeof(Real) * MR);
  for (; panel * kPanel < args.cols_b && panel_vectors<Real>(args.cols_b, panel) == NV; ++panel) {
    const Index col = panel * kPanel;
    const Real* b = args.b_packed + panel * args.rows * kPanel;
    outer_tile<Real, MR, NV>(args.rows, columns, b, args.c + j * args.ldc + col, args.ldc, args.cols_b - col);
  }
}

template <class Real, int NV, int MR = kTileRows<NV>>
RNNFAST_INLINE void outer_rows(const OuterArgs<Real>& args, Index j, Index rows, Index panel) {
  if (MR == 1 || rows == MR)
    outer_columns<Real, MR, NV>(args, j, panel);
  else if constexpr (MR > 1)
    outer_rows<Real, NV, MR - 1>(args, j, rows, panel);
}

// Panels [panel, ...) of `vectors` vectors each.
template <class Real, int NV = kGemmVectors>
RNNFAST_INLINE void outer_panels(const OuterArgs<Real>& args, Index panel, Index vectors) {
  if constexpr (NV > 1) {
    if (vectors < NV) return outer_panels<Real, NV - 1>(args, panel, vectors);
  }
  Tiles tiles = tiles_of(args.cols_a, NV);
  for (Index j = 0; j < args.cols_a;) {
    const Index m = tiles.take();
    outer_rows<Real, NV>(args, j, m, panel);
    j += m;
  }
}

template <class Real>
static void outer(const OuterArgs<Real>& args) {
  constexpr Index kPanel = kGemmVectors * kLanes<Real>;
  const Index panels = ceil_div(args.cols_b, kPanel);
  const Index last = panel_vectors<Real>(args.cols_b, panels - 1);
  if (panels > 1 || last == kGemmVectors) outer_panels<Real>(args, 0, kGemmVectors);
  if (last < kGemmVectors) outer_panels<Real>(args, panels - 1, last);
}

// acc += a * b element by element, or a alone where kProducts is false.
template <class Real, int NV, bool kProducts>
RNNFAST_INLINE void sum_columns(Index rows, Index j, Index cols, const Real* const* a, const Real* const* b,
                                Real* sums) {
  Vec<Real> acc[NV];
#pragma GCC unroll 4
  for (int v = 0; v < NV; ++v) acc[v] = Vec<Real>{};
  for (Index r = 0; r < rows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) {
      const Index at = j + v * kLanes<Real>;
      const Vec<Real> x = load_first(a[r] + at, cols - at);
      if constexpr (kProducts)
        acc[v] = fma(x, load_first(b[r] + at, cols - at), acc[v]);
      else
        acc[v] += x;
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < NV; ++v) {
    Real* to = sums + j + v * kLanes<Real>;
    const Index n = cols - j - v * kLanes<Real>;
    store_first(to, load_first(to, n) + acc[v], n);
  }
}

// sums[j] += one chain from zero over the rows of one block, added once.
template <class Real, bool kProducts>
RNNFAST_INLINE void add_columns(Index rows, Index cols, const Real* const* a, const Real* const* b, Real* sums) {
  Index j = 0;
  for (; j + 4 * kLanes<Real> <= cols; j += 4 * kLanes<Real>)
    sum_columns<Real, 4, kProducts>(rows, j, cols, a, b, sums);
  for (; j < cols; j += kLanes<Real>) sum_columns<Real, 1, kProducts>(rows, j, cols, a, b, sums);
}

template <class Real>
static void column_sums(Index rows, Index cols, const Real* const* a, Real* sums) {
  add_columns<Real, false>(rows, cols, a, nullptr, sums);
}

template <class Real>
static void column_dots(Index rows, Index cols, const Real* const* a, const Real* const* b, Real* sums) {
  add_columns<Real, true>(rows, cols, a, b, sums);
}

// dst[k] = `valid` numbers from rows[k] + offset on, then zeros up to whole vectors.
template <class Real>
static void pack_rows(Index K, Index valid, const Real* const* rows, Index offset, Real* dst) {
  for (Index k = 0; k < K; ++k)
    for (Index j = 0; j < valid; j += kLanes<Real>, dst += kLanes<Real>)
      store(dst, load_first(rows[k] + offset + j, valid - j));
}

}  // namespace rnnfast::RNNFAST_ISA
