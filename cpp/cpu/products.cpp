#include "products.hpp"

#include <algorithm>
#include <vector>

namespace rnnfast {

namespace {

// A's block of rows and one panel of B stay in L2 together.
constexpr Index kGemmRows = 192;
// Long enough for full cache lines of the source, short enough for the strided destination to stay in L1.
constexpr Index kPackBlock = 16;

}  // namespace

template <class Real>
void pack_columns(Index K, Index width, const Real* const* columns, Real* dst) {
  for (Index k0 = 0; k0 < K; k0 += kPackBlock) {
    const Index k1 = smaller(K, k0 + kPackBlock);
    for (Index j = 0; j < width; ++j) {
      const Real* column = columns[j];
      for (Index k = k0; k < k1; ++k) dst[k * width + j] = column != nullptr ? column[k] : Real(0);
    }
  }
}

namespace {

template <class Real>
Index panel_width() {
  return static_cast<Index>(kernels<Real>().gemm_vectors) * kernels<Real>().lanes;
}

// The width of a panel; the last one has only as many whole vectors as it needs.
template <class Real>
Index used_width(Index cols, Index panel) {
  const Index lanes = kernels<Real>().lanes;
  return smaller(panel_width<Real>(), ceil_div(cols - panel * panel_width<Real>(), lanes) * lanes);
}

template <class Real>
Panels<Real> empty_panels(Index inner, Index cols) {
  const Index width = panel_width<Real>();
  const Index count = ceil_div(cols, width);
  // Kernels fetch a few rows ahead of the last panel; the addresses are never read, only prefetched.
  return {inner, cols, count, Buffer<Real>(checked_product(checked_product(count, inner), width))};
}

}  // namespace

template <class Real>
Panels<Real> panels_of_transpose(const Real* W, Index cols, Index inner) {
  Panels<Real> panels = empty_panels<Real>(inner, cols);
  const Index width = panel_width<Real>();
  std::vector<const Real*> columns(static_cast<std::size_t>(width));
  for (Index panel = 0; panel < panels.count; ++panel) {
    for (Index j = 0; j < width; ++j) {
      const Index col = panel * width + j;
      columns[static_cast<std::size_t>(j)] = col < cols ? W + col * inner : nullptr;
    }
    pack_columns(inner, used_width<Real>(cols, panel), columns.data(), panels.data.data() + panel * inner * width);
  }
  return panels;
}

template <class Real>
Panels<Real> panels_of(const Real* W, Index inner, Index cols) {
  Panels<Real> panels = empty_panels<Real>(inner, cols);
  const Index width = panel_width<Real>();
  std::vector<const Real*> rows(static_cast<std::size_t>(inner));
  for (Index k = 0; k < inner; ++k) rows[static_cast<std::size_t>(k)] = W + k * cols;
  for (Index panel = 0; panel < panels.count; ++panel)
    kernels<Real>().pack_rows(inner, smaller(width, cols - panel * width), rows.data(), panel * width,
                              panels.data.data() + panel * inner * width, used_width<Real>(cols, panel));
  return panels;
}

template <class Real>
void multiply(const Panels<Real>& b, Index rows, const Real* const* a, Real* const* c, const Real* start,
              bool fetch_ahead) {
  for (Index r = 0; r < rows; r += kGemmRows)
    kernels<Real>().gemm({smaller(kGemmRows, rows - r), b.inner, b.cols, 0, b.count, a + r, c + r, b.data.data(), start,
                          false, fetch_ahead});
}

template <class Real>
void multiply_panels(const Panels<Real>& b, Range panels, Index rows, const Real* const* a, Real* const* c) {
  for (Index r = 0; r < rows && panels.begin < panels.end; r += kGemmRows)
    kernels<Real>().gemm({smaller(kGemmRows, rows - r), b.inner, b.cols, panels.begin, panels.end, a + r, c + r,
                          b.data.data(), nullptr, false});
}

template <class Real>
void multiply_units(const UnitPanels<Real>& b, Range panels, Index rows, const Real* const* a, Real* const* c,
                    const Real* start, bool fetch_ahead) {
  for (Index r = 0; r < rows && panels.begin < panels.end; r += kGemmRows)
    kernels<Real>().gemm({smaller(kGemmRows, rows - r), b.inner, b.gates * b.H, panels.begin, panels.end, a + r, c + r,
                          b.data, start, false, fetch_ahead, b.gates, b.first_gate, b.H});
}

template <class Real>
Range columns_of(const Panels<Real>& b, Range panels) {
  const Index width = panel_width<Real>();
  return {smaller(panels.begin * width, b.cols), smaller(panels.end * width, b.cols)};
}

template <class Real>
void multiply_add(const Panels<Real>& b, Index rows, const Real* const* a, Real* const* c) {
  for (Index r = 0; r < rows; r += kGemmRows)
    kernels<Real>().gemm(
        {smaller(kGemmRows, rows - r), b.inner, b.cols, 0, b.count, a + r, c + r, b.data.data(), nullptr, true});
}

namespace {

template <class Real>
Index vectors_of(Index cols) {
  return ceil_div(cols, static_cast<Index>(kernels<Real>().lanes));
}

// Cuts so many vectors into the fewest panels, which differ by one vector at most.
template <class Real>
void set_panels(Index vectors, OuterArgs<Real>& args) {
  const Index panels = ceil_div(vectors, static_cast<Index>(kernels<Real>().gemm_vectors));
  if (panels == 0) return;
  args.vectors = vectors / panels;
  args.wide = vectors % panels;
  args.narrow = panels - args.wide;
}

// Rows [r0, r0 + rows) of the factors, as the kernel reads them.
template <class Real>
void pack_factors(Index r0, const OuterArgs<Real>& args, const std::array<OuterFactor<Real>, 2>& factors,
                  Real* packed) {
  const Index lanes = kernels<Real>().lanes;
  Index left = 0;  // vectors of the panel
  Index width = 0;
  Index panel = -1;
  Index begin = 0;  // its first vector
  for (const OuterFactor<Real>& factor : factors)
    for (Index col = 0; col < factor.cols;) {
      if (left == 0) {
        begin += width;
        width = left = args.vectors + (++panel < args.wide ? 1 : 0);
      }
      const Index valid = smaller(left * lanes, factor.cols - col);
      kernels<Real>().pack_rows(args.rows, valid, factor.b + r0, col,
                                packed + (begin * args.rows + width - left) * lanes, width * lanes);
      left -= vectors_of<Real>(valid);
      col += valid;
    }
}

}  // namespace

template <class Real>
Index outer_scratch(Index cols, Index more_cols) {
  const Index vectors = vectors_of<Real>(cols) + vectors_of<Real>(more_cols);
  return std::max<Index>(vectors, kernels<Real>().gemm_vectors) * kernels<Real>().lanes * kRowBlock;
}

template <class Real>
void add_outers(Index rows, const Real* const* a, Range columns, const std::array<OuterFactor<Real>, 2>& factors,
                Real* scratch) {
  if (columns.begin >= columns.end) return;
  const Real* shifted[kRowBlock];
  OuterArgs<Real> args{};
  args.cols_a = columns.end - columns.begin;
  args.a = shifted;
  args.b_packed = scratch;
  for (std::size_t i = 0; i < factors.size(); ++i)
    if (factors[i].cols > 0)
      args.sums[i] = {factors[i].c + columns.begin * factors[i].cols, factors[i].cols, factors[i].cols};
  set_panels(vectors_of<Real>(factors[0].cols) + vectors_of<Real>(factors[1].cols), args);
  for (Index r0 = 0; r0 < rows; r0 += kRowBlock) {
    args.rows = smaller(kRowBlock, rows - r0);
    pack_factors(r0, args, factors, scratch);
    for (Index r = 0; r < args.rows; ++r) shifted[r] = a[r0 + r] + columns.begin;
    kernels<Real>().outer(args);
  }
}

// A single column of b fills no vectors, and one of a needs no copy of b.
template <class Real>
void add_outer(Index rows, const Real* const* a, Range columns, const OuterFactor<Real>& factor, Real* scratch) {
  if (factor.cols == 1) return add_column_sums<Real>(rows, a, columns, {nullptr, nullptr, factor.b, factor.c});
  if (columns.begin == 0 && columns.end == 1)
    return add_column_sums<Real>(rows, factor.b, {0, factor.cols}, {nullptr, nullptr, a, factor.c});
  add_outers<Real>(rows, a, columns, {factor, {}}, scratch);
}

template <class Real>
void add_column_sums(Index rows, const Real* const* a, Range columns, ColumnSums<Real> to) {
  for (Real** sums : {&to.plain, &to.also, &to.weighted})
    if (*sums != nullptr) *sums += columns.begin;
  const Real* shifted[kRowBlock];
  for (Index r0 = 0; r0 < rows; r0 += kRowBlock) {
    const Index block = smaller(kRowBlock, rows - r0);
    for (Index r = 0; r < block; ++r) shifted[r] = a[r0 + r] + columns.begin;
    kernels<Real>().column_sums(block, columns.end - columns.begin, shifted, to);
    if (to.b != nullptr) to.b += block;
  }
}

template <class Real>
void add_column_dots(Index rows, const Real* const* a, const Real* const* b, Range columns, Real* sums) {
  const Real* a_shifted[kRowBlock];
  const Real* b_shifted[kRowBlock];
  for (Index r = 0; r < rows; ++r) {
    a_shifted[r] = a[r] + columns.begin;
    b_shifted[r] = b[r] + columns.begin;
  }
  kernels<Real>().column_dots(rows, columns.end - columns.begin, a_shifted, b_shifted, sums + columns.begin);
}

#define RNNFAST_INSTANTIATE(Real)                                                                                    \
  template void pack_columns(Index, Index, const Real* const*, Real*);                                               \
  template Panels<Real> panels_of_transpose(const Real*, Index, Index);                                              \
  template Panels<Real> panels_of(const Real*, Index, Index);                                                        \
  template void multiply(const Panels<Real>&, Index, const Real* const*, Real* const*, const Real*, bool);           \
  template void multiply_panels(const Panels<Real>&, Range, Index, const Real* const*, Real* const*);                \
  template void multiply_units(const UnitPanels<Real>&, Range, Index, const Real* const*, Real* const*, const Real*, \
                               bool);                                                                                \
  template Range columns_of(const Panels<Real>&, Range);                                                             \
  template void multiply_add(const Panels<Real>&, Index, const Real* const*, Real* const*);                          \
  template Index outer_scratch<Real>(Index, Index);                                                                  \
  template void add_outer(Index, const Real* const*, Range, const OuterFactor<Real>&, Real*);                        \
  template void add_outers(Index, const Real* const*, Range, const std::array<OuterFactor<Real>, 2>&, Real*);        \
  template void add_column_sums(Index, const Real* const*, Range, ColumnSums<Real>);                                 \
  template void add_column_dots(Index, const Real* const*, const Real* const*, Range, Real*);
RNNFAST_INSTANTIATE(float)
RNNFAST_INSTANTIATE(double)
#undef RNNFAST_INSTANTIATE

}  // namespace rnnfast
