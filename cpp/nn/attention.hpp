// Attention of queries to the steps of a source: scores, their softmax, and the mean of the memory under it.
//   e_s = q . k_s  or  v . tanh(q + k_s)      p = softmax(e)      context = sum_s p_s m_s
// S steps of a source, T queries, A numbers of a query and a key, M of a memory. Each query's results are functions of
// itself and its source alone.
#pragma once
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
  Index T;
  Index S;
  Index A;
  Index M;
  const Real* query;            // [N, T, A]
  const Real* keys;             // [N, S, A]
  const Real* memory;           // [N, S, M]
  const Real* v;                // [A] of additive scores; null for products
  const Index* lengths;         // [N] queries of each sequence, or null for T
  const Index* source_lengths;  // [N] or null for S

  Index queries(Index n) const { return lengths == nullptr ? T : lengths[n]; }
  Index steps(Index n) const { return source_lengths == nullptr ? S : source_lengths[n]; }
};

// What attend() wrote and its gradient, and where gradients go.
template <class Real>
struct AttentionGradients {
  const Real* weights;   // [N, T, S]
  const Real* dcontext;  // [N, T, M]
  Real* dquery;          // [N, T, A]
  Real* dkeys;           // [N, S, A]
  Real* dmemory;         // [N, S, M]
  Real* dv;              // [A] added to, sequence after sequence; null for products
};

// context [N, T, M], weights [N, T, S]: 0 beyond the lengths. Both return false when the interrupt stopped them.
template <class Real>
bool attend(const AttentionArgs<Real>& args, Real* context, Real* weights, Interrupt& interrupt);
template <class Real>
bool attend_backward(const AttentionArgs<Real>& args, const AttentionGradients<Real>& gradients, Interrupt& interrupt);

}  // namespace rnnfast
