// Kernels of heads, losses and optimisers. Plain data only, as in kernels.hpp.
// M rows, K outputs or classes of a row. Arrays are contiguous; input and output may be the same array unless
// noted.
#pragma once
#include "../base/dims.hpp"
#include "../base/training.hpp"

namespace rnnfast {

// Numbers in one partial sum of squared_norm.
constexpr Index kNormBlock = 65536;

// A weighted mean loss over rows; each call takes one block of at most kRowBlock rows.
template <class Real>
struct LossArgs {
  Index rows;
  Index cols;
  const Real* x;       // [rows, cols] logits or predictions
  const Real* target;  // [rows, cols]; of losses of numbers only
  const Index* ids;    // [rows] classes in 0..cols-1; of losses of classes only
  const Real* weight;  // [rows], or null for ones
  double total;        // what the mean divides by
  Real* dx;            // [rows, cols] gradient of the mean; not x
};

// A step of an optimiser on a piece of one parameter and on what is kept for it, [n] each.
template <class Real>
struct UpdateArgs {
  Index n;
  Real* value;
  const Real* grad;
  Real* buffer[kMaxBuffers];
  const double* options;  // in the order of the optimiser's list
  Index step;             // steps made before
};

// One query of additive attention against the S keys of a source.
template <class Real>
struct AdditiveBackwardArgs {
  Index S;
  Index A;
  // [A]
  const Real* q;
  const Real* v;
  const Real* keys;  // [S, A]
  const Real* de;    // [S] gradient of the scores
  Real* dq;          // [A]
  Real* dkeys;       // [S, A] added to
  Real* dv;          // [A] added to
};

template <class Real>
struct NnKernels {
  // y[j] = b[j] + sum_k x[k] W[j][k], one chain of fma in the order of k; b may be null.  x [inner], W [cols, inner]
  void (*dots)(Index cols, Index inner, const Real* x, const Real* W, const Real* b, Real* y);
  void (*softmax)(Index rows, Index cols, const Real* x, Real* y);
  void (*log_softmax)(Index rows, Index cols, const Real* x, Real* y);
  // de = p (dp - sum_j p_j dp_j) for p = softmax(e)
  void (*softmax_backward)(Index rows, Index cols, const Real* p, const Real* dp, Real* de);
  // e[s] = sum_a v[a] tanh(q[a] + keys[s][a]).  q, v [A], keys [S, A]
  void (*additive_scores)(Index S, Index A, const Real* q, const Real* keys, const Real* v, Real* e);
  void (*additive_backward)(const AdditiveBackwardArgs<Real>&);
  // Each returns sum_r weight[r] loss_r over its rows, added in order. A row of zero weight is not read.
  double (*loss[kLossKinds])(const LossArgs<Real>&);
  void (*update[kOptimizerKinds])(const UpdateArgs<Real>&);
  double (*squared_norm)(Index n, const Real* x);
  void (*scale)(Index n, Real factor, Real* x);
};

}  // namespace rnnfast
