#include <cstring>
#include <vector>

#include "../cpu/cost.hpp"
#include "../cpu/isa.hpp"
#include "nn.hpp"

namespace rnnfast {

namespace {

double work_of(Index rows, Index cols) {
  return static_cast<double>(rows) * (kNsPerRow + kNsPerNumber * static_cast<double>(cols));
}

// What the mean divides by; weights are summed in blocks of rows, as the losses are.
template <class Real>
double total_weight(LossKind kind, const LossArgs<Real>& args) {
  double total = args.weight == nullptr ? static_cast<double>(args.rows) : 0;
  for (Index row = 0; args.weight != nullptr && row < args.rows; row += kRowBlock) {
    double sum = 0;
    for (Index r = row; r < smaller(args.rows, row + kRowBlock); ++r) sum += static_cast<double>(args.weight[r]);
    total += sum;
  }
  const bool of_rows = kLosses[static_cast<int>(kind)].kind == Targets::kClasses;
  return of_rows ? total : total * static_cast<double>(args.cols);
}

template <class Real>
LossArgs<Real> rows_of(const LossArgs<Real>& all, Index row) {
  LossArgs<Real> args = all;
  args.rows = smaller(kRowBlock, all.rows - row);
  args.x += row * all.cols;
  args.dx += row * all.cols;
  if (args.target != nullptr) args.target += row * all.cols;
  if (args.ids != nullptr) args.ids += row;
  if (args.weight != nullptr) args.weight += row;
  return args;
}

}  // namespace

template <class Real>
void softmax(SoftmaxKind kind, Index rows, Index cols, const Real* x, Real* y) {
  const NnKernels<Real>& table = kernels<Real>().nn;
  const auto kernel = kind == SoftmaxKind::kLog ? table.log_softmax : table.softmax;
  run_team(team_for(work_of(rows, cols)), [&](const Member& member) {
    const Range own = share(rows, member.size, member.rank);
    kernel(own.end - own.begin, cols, x + own.begin * cols, y + own.begin * cols);
  });
}

template <class Real>
void tanh(Index size, const Real* x, Real* y) {
  run_team(team_for(work_of(1, size)), [&](const Member& member) {
    const Range own = share(size, member.size, member.rank, kernels<Real>().lanes);
    kernels<Real>().unary(Unary::kTanh, own.end - own.begin, x + own.begin, y + own.begin);
  });
}

template <class Real>
double mean_loss(LossKind kind, LossArgs<Real> args) {
  args.total = total_weight(kind, args);
  if (!(args.total > 0)) {
    if (args.rows * args.cols > 0)
      std::memset(args.dx, 0, sizeof(Real) * static_cast<std::size_t>(args.rows * args.cols));
    return 0;
  }
  const auto kernel = kernels<Real>().nn.loss[static_cast<int>(kind)];
  const Index blocks = ceil_div(args.rows, kRowBlock);
  std::vector<double> sums(static_cast<std::size_t>(blocks));
  run_team(team_for(work_of(args.rows, args.cols)), [&](const Member& member) {
    const Range own = share(blocks, member.size, member.rank);
    for (Index block = own.begin; block < own.end; ++block)
      sums[static_cast<std::size_t>(block)] = kernel(rows_of(args, block * kRowBlock));
  });
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum / args.total;
}

template void softmax(SoftmaxKind, Index, Index, const float*, float*);
template void softmax(SoftmaxKind, Index, Index, const double*, double*);
template void tanh(Index, const float*, float*);
template void tanh(Index, const double*, double*);
template double mean_loss(LossKind, LossArgs<float>);
template double mean_loss(LossKind, LossArgs<double>);

}  // namespace rnnfast
