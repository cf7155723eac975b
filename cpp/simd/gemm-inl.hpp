// The one micro-kernel, and the products built on it. Rows of A are given by pointers, so that strided, ragged and
// reset rows cost no copy; B is packed in panels of NV vectors. Every output is one chain of fma in the order of k,
// whatever the tile it falls in.
#pragma once
#include "../cpu/kernels.hpp"
#include "vec-inl.hpp"

namespace rnnfast::RNNFAST_ISA {

constexpr int kGemmVectors = kRegisters == 32 ? 4 : 2;

// Rows of a tile whose accumulators, one row of B and one broadcast fit the registers.
template <int NV>
constexpr int kTileRows = kRegisters == 32 ? (24 / NV < 8 ? 24 / NV : 8) : (12 / NV < 8 ? 12 / NV : 8);
constexpr int kMaxTileRows = 8;
constexpr int kMaxVectors = 4;

// Inner dimension of one pass of gemm: A's rows of a tile stay in L1, B's panel in L2.
constexpr Index kInnerBlock = 512;
// Rows of B fetched ahead of their use from L2.
constexpr Index kPrefetchRows = 8;

template <class Real, int MR, int NV>
RNNFAST_INLINE void product(const Real* const* rows, Index inner, const Real* b, Vec<Real> (&acc)[MR][NV]) {
  const Real* a[MR];
#pragma GCC unroll 8
  for (int r = 0; r < MR; ++r) a[r] = rows[r];
  for (Index k = 0; k < inner; ++k, b += NV * kLanes<Real>) {
    if constexpr (MR > 2) {
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) __builtin_prefetch(b + (kPrefetchRows * NV + v) * kLanes<Real>);
    }
    if constexpr (NV <= MR || kRegisters == 32) {
      Vec<Real> row[NV];
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) row[v] = load(b + v * kLanes<Real>);
#pragma GCC unroll 8
      for (int r = 0; r < MR; ++r) {
        const Vec<Real> x = splat(a[r][k]);
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v) acc[r][v] = fma(x, row[v], acc[r][v]);
      }
    } else {
      Vec<Real> x[MR];
#pragma GCC unroll 8
      for (int r = 0; r < MR; ++r) x[r] = splat(a[r][k]);
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) {
        const Vec<Real> row = load(b + v * kLanes<Real>);
#pragma GCC unroll 8
        for (int r = 0; r < MR; ++r) acc[r][v] = fma(x[r], row, acc[r][v]);
      }
    }
  }
}

// One tile's accumulators in memory: [rows][NV][lanes].
template <class Real>
struct Tile {
  alignas(64) Real q[kMaxTileRows * kMaxVectors * kLanes<Real>];
};

// tile = start + A B, or tile += A B where there is no start. Not inlined: one copy serves every cell.
template <class Real, int MR, int NV, bool kStart>
RNNFAST_NOINLINE void multiply_rows(const Real* const* a, Index inner, const Real* b, const Real* start,
                                    Tile<Real>& tile) {
  Vec<Real> acc[MR][NV];
#pragma GCC unroll 8
  for (int r = 0; r < MR; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) {
      if constexpr (kStart)
        acc[r][v] = load(start + v * kLanes<Real>);
      else
        acc[r][v] = load(tile.q + (r * NV + v) * kLanes<Real>);
    }
  }
  product<Real, MR, NV>(a, inner, b, acc);
#pragma GCC unroll 8
  for (int r = 0; r < MR; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) store(tile.q + (r * NV + v) * kLanes<Real>, acc[r][v]);
  }
}

template <class Real, int NV, bool kStart, int MR = kTileRows<NV>>
RNNFAST_INLINE void multiply(Index rows, const Real* const* a, Index inner, const Real* b, const Real* start,
                             Tile<Real>& tile) {
  if (MR == 1 || rows == MR)
    multiply_rows<Real, MR, NV, kStart>(a, inner, b, start, tile);
  else if constexpr (MR > 1)
    multiply<Real, NV, kStart, MR - 1>(rows, a, inner, b, start, tile);
}

// Rows of the next tile, so that the tiles of a range differ by one row at most.
template <int NV>
RNNFAST_INLINE Index next_tile(Index left) {
  const Index tiles = (left + kTileRows<NV> - 1) / kTileRows<NV>;
  return (left + tiles - 1) / tiles;
}

template <class Real, int MR>
static void gemm_tile(const Real* const* a, Index k0, Index inner, const Real* b, const Real* start, Real* const* c,
                      Index col, Index cols) {
  constexpr int NV = kGemmVectors;
  const Real* rows[MR];
  Vec<Real> acc[MR][NV];
  const bool first = k0 == 0;
#pragma GCC unroll 8
  for (int r = 0; r < MR; ++r) {
    rows[r] = a[r] + k0;
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) {
      const Index j = col + v * kLanes<Real>;
      const Real* from = first ? start : c[r];
      acc[r][v] = from == nullptr || j >= cols ? Vec<Real>{} : load_first(from + j, cols - j);
    }
  }
  product<Real, MR, NV>(rows, inner, b, acc);
#pragma GCC unroll 8
  for (int r = 0; r < MR; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) {
      const Index j = col + v * kLanes<Real>;
      if (j < cols) store_first(c[r] + j, acc[r][v], cols - j);
    }
  }
}

template <class Real, int MR = kTileRows<kGemmVectors>>
RNNFAST_INLINE void gemm_rows(Index rows, const Real* const* a, Index k0, Index inner, const Real* b, const Real* start,
                              Real* const* c, Index col, Index cols) {
  if (MR == 1 || rows == MR)
    gemm_tile<Real, MR>(a, k0, inner, b, start, c, col, cols);
  else if constexpr (MR > 1)
    gemm_rows<Real, MR - 1>(rows, a, k0, inner, b, start, c, col, cols);
}

template <class Real>
static void gemm(const GemmArgs<Real>& args) {
  constexpr Index kPanel = kGemmVectors * kLanes<Real>;
  // A product over nothing still sets c to its start values.
  for (Index k0 = 0; k0 == 0 || k0 < args.inner; k0 += kInnerBlock) {
    const Index inner = smaller(kInnerBlock, args.inner - k0);
    for (Index panel = args.panel0; panel < args.panel1; ++panel) {
      const Real* b = args.packed + (panel * args.inner + k0) * kPanel;
      for (Index r = 0; r < args.rows;) {
        const Index m = next_tile<kGemmVectors>(args.rows - r);
        gemm_rows<Real>(m, args.a + r, k0, inner, b, args.start, args.c + r, panel * kPanel, args.cols);
        r += m;
      }
    }
  }
}

template <class Real, int MR>
static void outer_tile(Index rows, const Real* a, const Real* b, Real* c, Index ldc, Index cols) {
  constexpr int NV = kGemmVectors;
  Vec<Real> acc[MR][NV];
#pragma GCC unroll 8
  for (int j = 0; j < MR; ++j) {
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) acc[j][v] = Vec<Real>{};
  }
  for (Index r = 0; r < rows; ++r, a += MR, b += NV * kLanes<Real>) {
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
      const Index k = v * kLanes<Real>;
      if (k < cols) store_first(c + j * ldc + k, load_first(c + j * ldc + k, cols - k) + acc[j][v], cols - k);
    }
  }
}

// Copies columns [j, j + MR) of A into [rows][MR], then sweeps B's panels.
template <class Real, int MR>
static void outer_columns(const OuterArgs<Real>& args, Index j) {
  constexpr Index kPanel = kGemmVectors * kLanes<Real>;
  alignas(64) Real columns[kRowBlock * MR];
  for (Index r = 0; r < args.rows; ++r) memcpy(columns + r * MR, args.a[r] + j, sizeof(Real) * MR);
  for (Index col = 0, panel = 0; col < args.cols_b; col += kPanel, ++panel) {
    const Real* b = args.b_packed + panel * args.rows * kPanel;
    outer_tile<Real, MR>(args.rows, columns, b, args.c + j * args.ldc + col, args.ldc, args.cols_b - col);
  }
}

template <class Real, int MR = kTileRows<kGemmVectors>>
RNNFAST_INLINE void outer_tail(const OuterArgs<Real>& args, Index j, Index left) {
  if (MR == 1 || left == MR)
    outer_columns<Real, MR>(args, j);
  else if constexpr (MR > 1)
    outer_tail<Real, MR - 1>(args, j, left);
}

template <class Real>
static void outer(const OuterArgs<Real>& args) {
  for (Index j = 0; j < args.cols_a;) {
    const Index m = next_tile<kGemmVectors>(args.cols_a - j);
    outer_tail<Real>(args, j, m);
    j += m;
  }
}

// sums[j] += a chain from zero over the rows of one block.
template <class Real>
static void column_sums(Index rows, Index cols, const Real* const* a, Real* sums) {
  for (Index j = 0; j < cols; j += kLanes<Real>) {
    Vec<Real> acc = Vec<Real>{};
    for (Index r = 0; r < rows; ++r) acc += load_first(a[r] + j, cols - j);
    store_first(sums + j, load_first(sums + j, cols - j) + acc, cols - j);
  }
}

}  // namespace rnnfast::RNNFAST_ISA
