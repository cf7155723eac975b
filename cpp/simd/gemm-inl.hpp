// The micro-kernel of tiles, and the products built on it. Those of a single row are in forward-inl.hpp, sums over rows
// in outer-inl.hpp. Rows of A are given by pointers, so that strided, ragged and reset rows cost no copy; B is packed
// in panels of NV vectors. Every output is one chain of fma in the order of k, whatever the tile it falls in.
#pragma once
#include "../cpu/kernels.hpp"
#include "vec-inl.hpp"

namespace rnnfast::RNNFAST_ISA {

constexpr int kGemmVectors = kRegisters == 32 ? 4 : 2;

// The most rows of a tile: accumulators, one row of B and one broadcast fit the registers.
constexpr int kMaxTileRows = kSlowIsFine ? 2 : 8;
template <int NV>
constexpr int kTileRows =
    (kRegisters == 32 ? 24 : 12) / NV < kMaxTileRows ? (kRegisters == 32 ? 24 : 12) / NV : kMaxTileRows;
constexpr int kMaxVectors = 4;

// Inner dimension of one pass of gemm: a tile's rows of A stay in L1, the panel of B in L2.
constexpr Index kInnerBlock = 512;
// Rows of B fetched ahead of their use from L2.
constexpr Index kPrefetchRows = 8;

// Numbers in a cache line.
template <class Real>
constexpr Index kLine = 64 / static_cast<Index>(sizeof(Real));

// acc[r][v] += sum_k rows[r][k] B[k][v], rows [MR] of [inner], b [inner, NV, lanes]. kAhead: each row of B also fetches
// one cache line of `ahead`, which a later call reads, into L2.
template <class Real, int MR, int NV, bool kAhead = false>
RNNFAST_INLINE void product(const Real* const* rows, Index inner, const Real* b, Vec<Real> (&acc)[MR][NV],
                            [[maybe_unused]] const Real* ahead = nullptr) {
  const Real* a[MR];
#pragma GCC unroll 8
  for (int r = 0; r < MR; ++r) a[r] = rows[r];
  for (Index k = 0; k < inner; ++k, b += NV * kLanes<Real>) {
    if constexpr (MR > 2) {
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) __builtin_prefetch(b + (kPrefetchRows * NV + v) * kLanes<Real>);
    }
    if constexpr (kAhead) __builtin_prefetch(ahead + k * kLine<Real>, 0, 2);
    if constexpr (NV <= MR || kRegisters == 32) {
      Vec<Real> row[NV];
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) row[v] = loaded_once(b + v * kLanes<Real>);
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
        const Vec<Real> row = loaded_once(b + v * kLanes<Real>);
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

// Which tiles fetch ahead: those of more than two rows whose panel has at least kGemmVectors - 1 vectors.
template <int MR, int NV>
constexpr bool kFetches = NV >= kGemmVectors - 1 && MR > 2;

// tile = start + A B, or tile += A B without kStart. Not inlined: one copy serves every cell.
template <class Real, int MR, int NV, bool kStart, bool kAhead = false>
RNNFAST_NOINLINE void multiply_rows(const Real* const* a, Index inner, const Real* b, const Real* start,
                                    Tile<Real>& tile, const Real* ahead = nullptr) {
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
  product<Real, MR, NV, kAhead>(a, inner, b, acc, ahead);
#pragma GCC unroll 8
  for (int r = 0; r < MR; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) store(tile.q + (r * NV + v) * kLanes<Real>, acc[r][v]);
  }
}

// The products of tiles, [vectors - 1][rows - 1]. ahead: null, or as in `product` for tiles that fetch.
template <class Real>
using Multiply = void (*)(const Real* const* a, Index inner, const Real* b, const Real* start, Tile<Real>& tile,
                          const Real* ahead);

template <class Real>
struct Products {
  Multiply<Real> from_start[kMaxVectors][kMaxTileRows];
  Multiply<Real> fetching[kMaxVectors][kMaxTileRows];
  Multiply<Real> onto[kMaxVectors][kMaxTileRows];  // adds to what stands in the tile
};

template <class Real, int NV, int MR = kTileRows<NV>>
constexpr void set_products(Products<Real>& table) {
  table.from_start[NV - 1][MR - 1] = multiply_rows<Real, MR, NV, true>;
  table.fetching[NV - 1][MR - 1] = multiply_rows<Real, MR, NV, true, kFetches<MR, NV>>;
  table.onto[NV - 1][MR - 1] = multiply_rows<Real, MR, NV, false>;
  if constexpr (MR > 1) set_products<Real, NV, MR - 1>(table);
}

template <class Real>
constexpr Products<Real> make_products() {
  Products<Real> table = {};
  set_products<Real, 1>(table);
  set_products<Real, 2>(table);
  set_products<Real, 3>(table);
  set_products<Real, 4>(table);
  return table;
}

template <class Real>
static constexpr Products<Real> kProducts = make_products<Real>();

// tile = start + A B, on a panel of `vectors` vectors.
template <class Real>
RNNFAST_INLINE void multiply(Index vectors, Index rows, const Real* const* a, Index inner, const Real* b,
                             const Real* start, Tile<Real>& tile, const Real* ahead = nullptr) {
  const auto& table = ahead != nullptr ? kProducts<Real>.fetching : kProducts<Real>.from_start;
  table[vectors - 1][rows - 1](a, inner, b, start, tile, ahead);
}

// tile += A B
template <class Real>
RNNFAST_INLINE void multiply_onto(Index vectors, Index rows, const Real* const* a, Index inner, const Real* b,
                                  Tile<Real>& tile) {
  kProducts<Real>.onto[vectors - 1][rows - 1](a, inner, b, nullptr, tile, nullptr);
}

// The rest of the next panel, of which each tile of this one fetches a piece.
template <class Real>
struct Ahead {
  // null: nothing
  const Real* at;
  const Real* end;

  RNNFAST_INLINE_MEMBER const Real* take(Index inner) {
    const Real* const from = at;
    if (at == nullptr) return nullptr;
    at += inner * kLine<Real>;
    if (at >= end) at = nullptr;
    return from;
  }
};

// The most rows of a tile, [vectors - 1].
constexpr int kMostRows[kMaxVectors] = {kTileRows<1>, kTileRows<2>, kTileRows<3>, kTileRows<4>};

// Cuts rows into the fewest tiles, which differ by one row at most.
struct Tiles {
  // rows of a tile, and how many tiles hold one more
  Index least;
  Index larger;

  RNNFAST_INLINE_MEMBER Index take() { return least + (larger-- > 0 ? 1 : 0); }
};

RNNFAST_INLINE Tiles tiles_of(Index rows, Index vectors) {
  const Index most = kMostRows[vectors - 1];
  if (rows <= most) return {rows, 0};
  const Index tiles = (rows + most - 1) / most;
  return {rows / tiles, rows % tiles};
}

// Vectors in a panel; the last panel may have fewer than the others.
template <class Real>
RNNFAST_INLINE Index panel_vectors(Index cols, Index panel) {
  const Index left = (cols + kLanes<Real> - 1) / kLanes<Real> - panel * kGemmVectors;
  return left < kGemmVectors ? left : kGemmVectors;
}

// Vectors of units in a panel; the last panel may have fewer than the others.
template <class Real>
RNNFAST_INLINE Index panel_blocks(Index H, Index panel, Index full) {
  const Index left = (H + kLanes<Real> - 1) / kLanes<Real> - panel * full;
  return left < full ? left : full;
}

template <class Real>
struct GemmBlock {
  Index k0;
  Index inner;
  const Real* b;
  const Real* start;
  bool first;  // begins with start, else with c
  // first column of each vector, and the number of columns from there on
  Index col[kMaxVectors];
  Index left[kMaxVectors];
};

template <class Real, int MR, int NV, bool kAhead = false>
RNNFAST_NOINLINE void gemm_tile(const Real* const* a, const GemmBlock<Real>& block, Real* const* c,
                                const Real* ahead = nullptr) {
  const Real* rows[MR];
  Vec<Real> acc[MR][NV];
#pragma GCC unroll 8
  for (int r = 0; r < MR; ++r) {
    rows[r] = a[r] + block.k0;
    const Real* from = block.first ? block.start : c[r];
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v)
      acc[r][v] = from == nullptr ? Vec<Real>{} : load_first(from + block.col[v], block.left[v]);
  }
  product<Real, MR, NV, kAhead>(rows, block.inner, block.b, acc, ahead);
#pragma GCC unroll 8
  for (int r = 0; r < MR; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) store_first(c[r] + block.col[v], acc[r][v], block.left[v]);
  }
}

// ahead: null, or as in `product` for tiles that fetch.
template <class Real, int NV, int MR = kTileRows<NV>>
RNNFAST_INLINE void gemm_rows(Index rows, const Real* const* a, const GemmBlock<Real>& block, Real* const* c,
                              const Real* ahead) {
  if (MR == 1 || rows == MR) {
    if constexpr (kFetches<MR, NV>) {
      if (ahead != nullptr) return gemm_tile<Real, MR, NV, true>(a, block, c, ahead);
    }
    gemm_tile<Real, MR, NV>(a, block, c);
  } else if constexpr (MR > 1) {
    gemm_rows<Real, NV, MR - 1>(rows, a, block, c, ahead);
  }
}

// The columns of one panel; every panel but the last has `full` vectors.
template <class Real, int NV = kMaxVectors>
RNNFAST_INLINE void gemm_panel(const GemmArgs<Real>& args, GemmBlock<Real>& block, Index panel, Index vectors,
                               Index full) {
  if constexpr (NV > 1) {
    if (vectors < NV) return gemm_panel<Real, NV - 1>(args, block, panel, vectors, full);
  }
  const Index numbers = args.inner * full * kLanes<Real>;
  block.b = args.packed + panel * numbers + block.k0 * NV * kLanes<Real>;
  Ahead<Real> ahead = {nullptr, nullptr};
  if (args.fetch_ahead && panel + 1 < args.panel1)
    ahead = {block.b + numbers, block.b + numbers + block.inner * NV * kLanes<Real>};
  Tiles tiles = tiles_of(args.rows, NV);
  for (Index r = 0; r < args.rows;) {
    const Index m = tiles.take();
    gemm_rows<Real, NV>(m, args.a + r, block, args.c + r, ahead.take(block.inner));
    r += m;
  }
}

// Columns side by side.
template <class Real>
RNNFAST_INLINE void gemm_columns(const GemmArgs<Real>& args, GemmBlock<Real>& block, Index panel) {
  for (int v = 0; v < kGemmVectors; ++v) {
    block.col[v] = (panel * kGemmVectors + v) * kLanes<Real>;
    block.left[v] = args.cols - block.col[v];
  }
  gemm_panel<Real, kGemmVectors>(args, block, panel, panel_vectors<Real>(args.cols, panel), kGemmVectors);
}

// Columns of units, all gates of a vector of units side by side.
template <class Real>
RNNFAST_INLINE void gemm_units(const GemmArgs<Real>& args, GemmBlock<Real>& block, Index panel) {
  const Index G = args.gates;
  const Index full = kMaxVectors / G;
  const Index H = args.H;
  const Index blocks = smaller(full, ceil_div(H, kLanes<Real>) - panel * full);
  for (Index v = 0; v < blocks * G; ++v) {
    const Index unit = (panel * full + v / G) * kLanes<Real>;
    block.col[v] = (args.first_gate + v % G) * H + unit;
    block.left[v] = H - unit;
  }
  gemm_panel<Real>(args, block, panel, blocks * G, full * G);
}

// Products with so few columns have rows in the lanes, from so many numbers of a row on: these are transposed first.
constexpr int kFewColumns = 4;
template <class Real>
constexpr Index kFewFrom = kLanes<Real> / 2;

// A vector of rows.
template <class Real, int kCols>
RNNFAST_NOINLINE void gemm_rows_in_lanes(const GemmArgs<Real>& args, Index row) {
  constexpr Index L = kLanes<Real>;
  const Real* const* a = args.a + row;
  Real* const* c = args.c + row;
  alignas(64) Real columns[kCols * L];
  Vec<Real> acc[kCols];
  for (int j = 0; j < kCols; ++j) {
    for (Index i = 0; i < L && args.add; ++i) columns[j * L + i] = c[i][j];
    acc[j] = args.add ? load(columns + j * L) : splat(args.start != nullptr ? args.start[j] : Real(0));
  }
  const Real* b = args.packed;
  for (Index k0 = 0; k0 < args.inner; k0 += L) {
    const Index left = args.inner - k0;
    Vec<Real> v[L];
#pragma GCC unroll 16
    for (Index i = 0; i < L; ++i) v[i] = load_first(a[i] + k0, left);
    transpose<Real>(v);
#pragma GCC unroll 16
    for (Index k = 0; k < L; ++k) {
      if (k >= left) break;
#pragma GCC unroll 4
      for (int j = 0; j < kCols; ++j) acc[j] = fma(v[k], splat(b[(k0 + k) * L + j]), acc[j]);
    }
  }
  for (int j = 0; j < kCols; ++j) store(columns + j * L, acc[j]);
  for (Index i = 0; i < L; ++i)
    for (int j = 0; j < kCols; ++j) c[i][j] = columns[j * L + i];
}

// Whole vectors of rows; returns how many rows that are.
template <class Real, int kCols = kFewColumns>
RNNFAST_INLINE Index gemm_few_columns(const GemmArgs<Real>& args) {
  if constexpr (kCols > 1) {
    if (args.cols < kCols) return gemm_few_columns<Real, kCols - 1>(args);
  }
  Index row = 0;
  for (; row + kLanes<Real> <= args.rows; row += kLanes<Real>) gemm_rows_in_lanes<Real, kCols>(args, row);
  return row;
}

template <class Real>
static void gemm(const GemmArgs<Real>& given) {
  GemmArgs<Real> args = given;
  if (!kSlowIsFine && args.gates == 0 && args.cols <= kFewColumns && args.panel0 < args.panel1 &&
      args.inner >= kFewFrom<Real>) {
    const Index done = gemm_few_columns(args);
    args.rows -= done;
    args.a += done;
    args.c += done;
  }
  // A product over nothing still sets c to its start values.
  for (Index k0 = 0; k0 == 0 || k0 < args.inner; k0 += kInnerBlock) {
    GemmBlock<Real> block{};
    block.k0 = k0;
    block.inner = smaller(kInnerBlock, args.inner - k0);
    block.start = args.start;
    block.first = k0 == 0 && !args.add;
    for (Index panel = args.panel0; panel < args.panel1; ++panel) {
      if (args.gates > 0)
        gemm_units(args, block, panel);
      else
        gemm_columns(args, block, panel);
    }
  }
}

}  // namespace rnnfast::RNNFAST_ISA
