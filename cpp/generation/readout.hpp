// From a stack's h to a head's outputs, past the source where the model attends to one.
#pragma once
#include <deque>
#include <vector>

#include "../nn/attention.hpp"

namespace rnnfast {

// context and weights as AttentionSource computes them, then combined = tanh(combine [context; h] + bias).
template <class Real>
struct WriterAttention {
  Index S, A, M;
  const Real* keys;             // [R, S, A]
  const Real* memory;           // [R, S, M]
  const Index* source_lengths;  // [R], or null for S
  const Real* v;                // [A]; null: scores are products and the query is h
  const Panels<Real>& query;    // [H -> A] with query_bias [A]; used where v is not null
  const Real* query_bias;
  const Panels<Real>& combine;  // [M + H -> H]
  const Real* combine_bias;     // [H]
};

// outputs = W h + b, K of them; with attention, W combined + b. Pointers must outlive the calls.
template <class Real>
struct Head {
  const Panels<Real>& W;
  const Real* b;
  Index H, K;
  const WriterAttention<Real>* attention;  // or null
};

// Outputs of up to `capacity` rows, whose sources are within [first, first + sources). Allocates at construction only.
template <class Real>
class Readout {
 public:
  Readout(const Head<Real>& head, Index capacity, Index first, Index sources);

  // outputs[i] [K] of h[i] [H], i < rows, which attends to source[i].
  void run(Index rows, const Real* const* h, const Index* source, Real* const* outputs);

 private:
  void attend(Index rows, const Real* const* h, const Index* source);

  const Head<Real> head_;
  const Index first_;
  std::deque<AttentionSource<Real>> sources_;
  Buffer<Real> query_, weights_, joined_, combined_;
  std::vector<Real*> query_rows_, weight_rows_, context_rows_, combined_rows_;
};

}  // namespace rnnfast
