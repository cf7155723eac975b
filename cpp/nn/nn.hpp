// Heads, losses and optimiser steps: kernels shared out over rows, columns or pieces. Results do not depend on the
// number of threads. M rows, K inputs, N outputs (of a dense layer), V symbols, D features of an embedding. Arrays are
// contiguous.
#pragma once
#include <vector>

#include "../cpu/cost.hpp"
#include "../cpu/kernels.hpp"
#include "../cpu/team.hpp"

namespace rnnfast {

template <class Real>
struct LinearArgs {
  Index M;
  Index N;
  Index K;
  const Real* x;  // [M, K]
  const Real* W;  // [N, K]
  const Real* b;  // [N], or null
  Real* y;        // [M, N]
};

template <class Real>
struct LinearBackwardArgs {
  Index M;
  Index N;
  Index K;
  const Real* dy;  // [M, N]
  const Real* x;   // [M, K]
  const Real* W;   // [N, K]
  Real* dW;        // [N, K] added to
  Real* db;        // [N] added to, or null
  Real* dx;        // [M, K], or null
};

// y = x W^T + b. Both return false when the interrupt stopped them.
template <class Real>
bool linear(const LinearArgs<Real>& args, Interrupt& interrupt);
// dx = dy W, dW += dy^T x, db += sum over rows of dy.
template <class Real>
bool linear_backward(const LinearBackwardArgs<Real>& args, Interrupt& interrupt);

// y[m] = E[ids[m]].  E [V, D], y [M, D]
template <class Real>
void embedding(Index M, Index D, const Index* ids, const Real* E, Real* y);
// dE[ids[m]] += dy[m], for every symbol in the order of m, in blocks of kRowBlock of its rows.
template <class Real>
void embedding_backward(Index M, Index V, Index D, const Index* ids, const Real* dy, Real* dE);

template <class Real>
struct DropoutArgs {
  Index M;
  Index K;
  const Real* x;  // [M, K]
  Real* y;        // [M, K]; may be x
  double p;       // in [0, 1)
  // which elements are dropped is a function of these, the row and the column
  std::uint64_t seed;
  std::uint64_t call;
};
// y is x with elements dropped with probability p, the others scaled by 1 / (1 - p).
template <class Real>
void dropout(const DropoutArgs<Real>& args);

enum class SoftmaxKind { kPlain, kLog };
template <class Real>
void softmax(SoftmaxKind kind, Index rows, Index cols, const Real* x, Real* y);

// y[i] = tanh(x[i]); x and y may be the same.
template <class Real>
void tanh(Index size, const Real* x, Real* y);

// Weighted mean over rows, or over all elements (LossSpec::kind); 0 where the weights add up to nothing.
// LossArgs::total is computed here.
template <class Real>
double mean_loss(LossKind kind, LossArgs<Real> args);

// One parameter with its gradient and what the optimiser keeps for it: [size] each.
template <class Real>
struct Tensor {
  Index size;
  Real* value;
  const Real* grad;
  Real* buffer[kMaxBuffers];
};

// One step over all tensors; `step` counts the steps made and is increased. options: in the order of the optimiser's
// list. What can fail, fails before anything changes.
template <class Real>
void update(OptimizerKind kind, const std::vector<Tensor<Real>>& tensors, const double* options, Index& step);

template <class Real>
struct Numbers {
  Index size;
  Real* data;
};
// Sum of squares in double, in pieces of kNormBlock numbers that are added in order.
template <class Real>
double squared_norm(const std::vector<Numbers<const Real>>& arrays);
template <class Real>
void scale(const std::vector<Numbers<Real>>& arrays, double factor);

// Members of a team for so much work: none is woken for less than it takes to wake it.
inline int team_for(double ns) {
  const double wanted = 1.0 + ns / kNsPerMember;
  return wanted < num_threads() ? static_cast<int>(wanted) : num_threads();
}

}  // namespace rnnfast
