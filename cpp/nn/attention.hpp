// Attention of queries to the steps of a source: scores, their softmax, and the mean of the memory under it.
// Sequences have their queries and their steps one after another, without padding.
//   e_s = q . k_s  or  v . tanh(q + k_s)      p = softmax(e)      context = sum_s p_s m_s
// A numbers of a query and a key, M of a memory; Q queries and R steps of N sequences in all, of which none has more
// than S steps. Each query's results are functions of itself and its source alone.
#pragma once
#include <vector>

#include "../cpu/products.hpp"
#include "nn.hpp"

namespace rnnfast {

// One source as the products read it. keys [S, A] and memory [S, M] must outlive it.
template <class Real>
class AttentionSource {
 public:
  AttentionSource(Index S, Index A, Index M, const Real* keys, const Real* memory, const Real* v);

  // weights[r] [S] and context[r] [M] of each query[r] [A].
  void read(Index rows, const Real* const* query, Real* const* weights, Real* const* context) const;

 private:
  Index S_;
  Index A_;
  const Real* keys_;
  const Real* v_;  // null: scores are products
  Panels<Real> packed_keys_;
  Panels<Real> packed_memory_;
};

template <class Real>
struct AttentionArgs {
  Index N;
  Index S;
  Index A;
  Index M;
  const Real* query;                 // [Q, A]
  const Real* keys;                  // [R, A]
  const Real* memory;                // [R, M]
  const Real* v;                     // [A] of additive scores; null for products
  std::vector<Index> query_starts;   // [N + 1] the first query of each sequence, then Q
  std::vector<Index> source_starts;  // [N + 1] the first step of each source, then R
};

// The rows of sequence n.
inline Range range_of(const std::vector<Index>& starts, Index n) { return {starts[at(n)], starts[at(n + 1)]}; }

// What attend() wrote and its gradient, and where gradients go.
template <class Real>
struct AttentionGradients {
  const Real* weights;   // [Q, S]
  const Real* dcontext;  // [Q, M]
  Real* dquery;          // [Q, A]
  Real* dkeys;           // [R, A]
  Real* dmemory;         // [R, M]
  Real* dv;              // [A] added to, sequence after sequence; null for products
};

// context [Q, M]; weights [Q, S], 0 past a source's length. Both return false when the interrupt stopped them.
template <class Real>
bool attend(const AttentionArgs<Real>& args, Real* context, Real* weights, Interrupt& interrupt);
template <class Real>
bool attend_backward(const AttentionArgs<Real>& args, const AttentionGradients<Real>& gradients, Interrupt& interrupt);

}  // namespace rnnfast
