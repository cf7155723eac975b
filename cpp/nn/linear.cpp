#include <vector>

#include "../base/buffer.hpp"
#include "../cpu/cost.hpp"
#include "../cpu/isa.hpp"
#include "../cpu/products.hpp"
#include "nn.hpp"

namespace rnnfast {

namespace {

// A block of rows and one panel stay in L2 together.
constexpr Index kRowsPerTask = 192;
// Below this many rows, packing W costs more than reading it as it is.
constexpr Index kPackFromRows = 8;
// Columns in the sum of outer products that are shared out together.
constexpr Index kOuterGrain = 8;
constexpr Index kDotGrain = 64;

template <class Real>
std::vector<Real*> row_pointers(Real* data, Index rows, Index cols) {
  std::vector<Real*> pointers(static_cast<std::size_t>(rows));
  for (Index r = 0; r < rows; ++r) pointers[static_cast<std::size_t>(r)] = data + r * cols;
  return pointers;
}

template <class Real>
using RowsOf = std::vector<const Real*>;

// c = start + A B, with B [inner, cols] packed here.
template <class Real>
struct Product {
  Index rows;
  Index inner;
  Index cols;
  const Real* const* a;
  Real* const* c;
  const Real* start;
  bool transposed;        // B[k][j] = W[j][k], else B = W
  const RowsOf<Real>& W;  // rows of W
};

template <class Real>
void pack_panel(const Product<Real>& p, Index panel, Index width, const Real** columns, Real* dst) {
  const Index first = panel * width;
  const Index valid = smaller(width, p.cols - first);
  const Kernels<Real>& table = kernels<Real>();
  const Index used = ceil_div(valid, table.lanes) * table.lanes;
  if (!p.transposed) return table.pack_rows(p.inner, valid, p.W.data(), first, dst, used);
  for (Index j = 0; j < used; ++j) columns[j] = j < valid ? p.W[static_cast<std::size_t>(first + j)] : nullptr;
  pack_columns(p.inner, used, columns, dst);
}

template <class Real>
void run_product(const Product<Real>& p, Interrupt& interrupt) {
  const Kernels<Real>& table = kernels<Real>();
  const Index width = static_cast<Index>(table.gemm_vectors) * table.lanes;
  const Index panels = ceil_div(p.cols, width);
  Buffer<Real> packed(checked_product(checked_product(panels, p.inner), width));
  const double work = static_cast<double>(p.inner) * static_cast<double>(p.cols);
  const int threads = team_for(work * (2.0 * static_cast<double>(p.rows) / kFlopsPerNs + 1.0 / kPackedPerNs));
  Buffer<const Real*> columns(width * threads);
  const Index blocks = ceil_div(p.rows, kRowsPerTask);
  run_team(threads, [&](const Member& member) {
    const Range own = share(panels, member.size, member.rank);
    for (Index panel = own.begin; panel < own.end; ++panel)
      pack_panel(p, panel, width, columns.data() + member.rank * width, packed.data() + panel * p.inner * width);
    member.wait();
    const Range tasks = share(blocks * panels, member.size, member.rank);
    for (Index task = tasks.begin; task < tasks.end && !interrupt.stopped(); ++task) {
      if (member.rank == 0) interrupt.check();
      const Index row = task / panels * kRowsPerTask;
      const Index panel = task % panels;
      table.gemm({smaller(kRowsPerTask, p.rows - row), p.inner, p.cols, panel, panel + 1, p.a + row, p.c + row,
                  packed.data(), p.start, false});
    }
  });
}

template <class Real>
void multiply_unpacked(const LinearArgs<Real>& args) {
  const double work = static_cast<double>(args.M) * static_cast<double>(args.K) * static_cast<double>(args.N);
  run_team(team_for(work / kPackedPerNs), [&](const Member& member) {
    const Range cols = share(args.N, member.size, member.rank, kDotGrain);
    const Real* W = args.W + cols.begin * args.K;
    const Real* b = args.b == nullptr ? nullptr : args.b + cols.begin;
    for (Index r = 0; r < args.M; ++r)
      kernels<Real>().nn.dots(cols.end - cols.begin, args.K, args.x + r * args.K, W, b,
                              args.y + r * args.N + cols.begin);
  });
}

template <class Real>
void add_weight_gradients(const LinearBackwardArgs<Real>& args, const RowsOf<Real>& dy, const RowsOf<Real>& x,
                          Interrupt& interrupt) {
  const double work = static_cast<double>(args.M) * static_cast<double>(args.N) * static_cast<double>(args.K);
  const Index needed = outer_scratch<Real>(args.K);
  const int threads =
      static_cast<int>(smaller(team_for(2.0 * work / kFlopsPerNs), ceil_div(args.N > 0 ? args.N : 1, kOuterGrain)));
  Buffer<Real> scratch(checked_product(needed, threads));
  run_team(threads, [&](const Member& member) {
    const Range columns = share(args.N, member.size, member.rank, kOuterGrain);
    for (Index row = 0; row < args.M && !interrupt.stopped(); row += kRowBlock) {
      if (member.rank == 0) interrupt.check();
      const Index rows = smaller(kRowBlock, args.M - row);
      add_outer<Real>(rows, dy.data() + row, columns, {x.data() + row, args.K, args.dW},
                      scratch.data() + needed * member.rank);
      if (args.db != nullptr) add_column_sums<Real>(rows, dy.data() + row, columns, {args.db});
    }
  });
}

}  // namespace

template <class Real>
bool linear(const LinearArgs<Real>& args, Interrupt& interrupt) {
  if (args.M < kPackFromRows) {
    multiply_unpacked(args);
    return true;
  }
  const auto x = row_pointers(args.x, args.M, args.K);
  const auto W = row_pointers(args.W, args.N, args.K);
  const auto y = row_pointers(args.y, args.M, args.N);
  run_product<Real>({args.M, args.K, args.N, x.data(), y.data(), args.b, true, W}, interrupt);
  return !interrupt.stopped();
}

template <class Real>
bool linear_backward(const LinearBackwardArgs<Real>& args, Interrupt& interrupt) {
  const auto dy = row_pointers(args.dy, args.M, args.N);
  const auto x = row_pointers(args.x, args.M, args.K);
  if (args.dx != nullptr) {
    const auto W = row_pointers(args.W, args.N, args.K);
    const auto dx = row_pointers(args.dx, args.M, args.K);
    run_product<Real>({args.M, args.N, args.K, dy.data(), dx.data(), nullptr, false, W}, interrupt);
  }
  add_weight_gradients(args, dy, x, interrupt);
  return !interrupt.stopped();
}

template bool linear(const LinearArgs<float>&, Interrupt&);
template bool linear(const LinearArgs<double>&, Interrupt&);
template bool linear_backward(const LinearBackwardArgs<float>&, Interrupt&);
template bool linear_backward(const LinearBackwardArgs<double>&, Interrupt&);

}  // namespace rnnfast
