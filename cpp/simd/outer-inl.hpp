// Sums over rows: outer products, column sums, and the packing of their operands.
#pragma once
#include "gemm-inl.hpp"

namespace rnnfast::RNNFAST_ISA {

// Where the vectors of one panel of B are added.
template <class Real>
struct OuterPanel {
  Real* c[kGemmVectors];  // of the first row
  Index ldc[kGemmVectors];
  Index left[kGemmVectors];  // columns from there on
};

template <class Real, int MR, int NV>
RNNFAST_INLINE void outer_tile(Index rows, const Real* a, const Real* b, const OuterPanel<Real>& to, Index j0) {
  Vec<Real> acc[MR][NV];
#pragma GCC unroll 8
  for (int j = 0; j < MR; ++j) {
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) {
      acc[j][v] = Vec<Real>{};
      __builtin_prefetch(to.c[v] + (j0 + j) * to.ldc[v], 1);  // read and written when the sums are done
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
      Real* c = to.c[v] + (j0 + j) * to.ldc[v];
      store_first(c, load_first(c, to.left[v]) + acc[j][v], to.left[v]);
    }
  }
}

// The panel of NV vectors from `vector` on.
template <class Real, int NV>
RNNFAST_INLINE OuterPanel<Real> outer_panel(const OuterArgs<Real>& args, Index vector) {
  const Index second = ceil_div(args.sums[0].cols, kLanes<Real>);
  OuterPanel<Real> to;
  for (int v = 0; v < NV; ++v, ++vector) {
    const OuterSum<Real>& sum = args.sums[vector < second ? 0 : 1];
    const Index col = (vector < second ? vector : vector - second) * kLanes<Real>;
    to.c[v] = sum.c + col;
    to.ldc[v] = sum.ldc;
    to.left[v] = sum.cols - col;
  }
  return to;
}

// Copies columns [j, j + MR) of A into [rows][MR] and multiplies them with `panels` panels of NV vectors, of which the
// first begins with `vector`.
template <class Real, int MR, int NV>
RNNFAST_NOINLINE void outer_columns(const OuterArgs<Real>& args, Index j, Index vector, Index panels) {
  alignas(64) Real columns[kRowBlock * MR];
  for (Index r = 0; r < args.rows; ++r) memcpy(columns + r * MR, args.a[r] + j, sizeof(Real) * MR);
  for (; panels > 0; --panels, vector += NV)
    outer_tile<Real, MR, NV>(args.rows, columns, args.b_packed + vector * args.rows * kLanes<Real>,
                             outer_panel<Real, NV>(args, vector), j);
}

template <class Real, int NV, int MR = kTileRows<NV>>
RNNFAST_INLINE void outer_rows(const OuterArgs<Real>& args, Index j, Index rows, Index vector, Index panels) {
  if (MR == 1 || rows == MR)
    outer_columns<Real, MR, NV>(args, j, vector, panels);
  else if constexpr (MR > 1)
    outer_rows<Real, NV, MR - 1>(args, j, rows, vector, panels);
}

// `panels` panels of `vectors` vectors each.
template <class Real, int NV = kGemmVectors>
RNNFAST_INLINE void outer_panels(const OuterArgs<Real>& args, Index vector, Index panels, Index vectors) {
  if constexpr (NV > 1) {
    if (vectors < NV) return outer_panels<Real, NV - 1>(args, vector, panels, vectors);
  }
  Tiles tiles = tiles_of(args.cols_a, NV);
  for (Index j = 0; j < args.cols_a;) {
    const Index m = tiles.take();
    outer_rows<Real, NV>(args, j, m, vector, panels);
    j += m;
  }
}

template <class Real>
static void outer(const OuterArgs<Real>& args) {
  if (args.wide > 0) outer_panels(args, 0, args.wide, args.vectors + 1);
  if (args.narrow > 0) outer_panels(args, args.wide * (args.vectors + 1), args.narrow, args.vectors);
}

// What is summed over rows: a alone, a times the row's factor, both of them, or a times b element by element.
enum class SumOf { kRows, kScaled, kBoth, kProducts };

template <class Real>
RNNFAST_INLINE void add_sums(Real* sums, Index j, Index cols, Vec<Real> v) {
  if (sums != nullptr) store_first(sums + j, load_first(sums + j, cols - j) + v, cols - j);
}

template <class Real, SumOf kOf, int NV>
RNNFAST_INLINE void sum_columns(Index rows, Index j, Index cols, const Real* const* a, const ColumnSums<Real>& to) {
  constexpr bool kPlain = kOf == SumOf::kRows || kOf == SumOf::kBoth;
  Vec<Real> plain[NV];
  Vec<Real> weighted[NV];
#pragma GCC unroll 4
  for (int v = 0; v < NV; ++v) plain[v] = weighted[v] = Vec<Real>{};
  for (Index r = 0; r < rows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) {
      const Index at = j + v * kLanes<Real>;
      const Vec<Real> x = load_first(a[r] + at, cols - at);
      if constexpr (kPlain) plain[v] += x;
      if constexpr (kOf == SumOf::kProducts)
        weighted[v] = fma(x, load_first(to.b[r] + at, cols - at), weighted[v]);
      else if constexpr (kOf != SumOf::kRows)
        weighted[v] = fma(splat(to.b[r][0]), x, weighted[v]);
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < NV; ++v, j += kLanes<Real>) {
    if constexpr (kPlain) {
      add_sums(to.plain, j, cols, plain[v]);
      add_sums(to.also, j, cols, plain[v]);
    }
    if constexpr (kOf != SumOf::kRows) add_sums(to.weighted, j, cols, weighted[v]);
  }
}

// The columns from j on, NV vectors at most.
template <class Real, SumOf kOf, int NV>
RNNFAST_INLINE void sum_next_columns(Index rows, Index j, Index cols, const Real* const* a,
                                     const ColumnSums<Real>& to) {
  if constexpr (NV > 1) {
    if (cols - j <= (NV - 1) * kLanes<Real>) return sum_next_columns<Real, kOf, NV - 1>(rows, j, cols, a, to);
  }
  sum_columns<Real, kOf, NV>(rows, j, cols, a, to);
}

template <class Real, SumOf kOf>
RNNFAST_NOINLINE void sum_all_columns(Index rows, Index cols, const Real* const* a, const ColumnSums<Real>& to) {
  constexpr int NV = 4;
  for (Index j = 0; j < cols; j += NV * kLanes<Real>) sum_next_columns<Real, kOf, NV>(rows, j, cols, a, to);
}

template <class Real>
static void column_sums(Index rows, Index cols, const Real* const* a, const ColumnSums<Real>& to) {
  const bool plain = to.plain != nullptr || to.also != nullptr;
  if (plain && to.weighted != nullptr)
    sum_all_columns<Real, SumOf::kBoth>(rows, cols, a, to);
  else if (plain)
    sum_all_columns<Real, SumOf::kRows>(rows, cols, a, to);
  else if (to.weighted != nullptr)
    sum_all_columns<Real, SumOf::kScaled>(rows, cols, a, to);
}

template <class Real>
static void column_dots(Index rows, Index cols, const Real* const* a, const Real* const* b, Real* sums) {
  sum_all_columns<Real, SumOf::kProducts>(rows, cols, a, {nullptr, nullptr, b, sums});
}

// dst[k * stride] = `valid` numbers from rows[k] + offset on, then zeros up to whole vectors.
template <class Real>
static void pack_rows(Index K, Index valid, const Real* const* rows, Index offset, Real* dst, Index stride) {
  for (Index k = 0; k < K; ++k, dst += stride)
    for (Index j = 0; j < valid; j += kLanes<Real>) store(dst + j, load_first(rows[k] + offset + j, valid - j));
}

}  // namespace rnnfast::RNNFAST_ISA
