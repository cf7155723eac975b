// From a stack's h to a head's outputs, past the source where the model attends to one.
#pragma once
#include <deque>
#include <vector>

#include "../nn/attention.hpp"

namespace rnnfast {

// context and weights as AttentionSource computes them, then combined = tanh(combine [context; h] + bias).
template <class Real>
struct WriterAttention {
  WriterAttention(const Panels<Real>& query_panels, const Panels<Real>& combine_panels)
      : query(query_panels), combine(combine_panels) {}

  Index S = 0;
  Index A = 0;
  Index M = 0;
  const Real* keys = nullptr;             // [R, S, A]
  const Real* memory = nullptr;           // [R, S, M]
  const Index* source_lengths = nullptr;  // [R], or null for S
  const Real* v = nullptr;                // [A]; null: scores are products and the query is h
  const Panels<Real>& query;              // [H -> A] with query_bias [A]; used where v is not null
  const Real* query_bias = nullptr;
  const Panels<Real>& combine;         // [M + H -> H]
  const Real* combine_bias = nullptr;  // [H]
};

// outputs = W h + b, K of them; with attention, W combined + b. Pointers must outlive the calls.
template <class Real>
struct Head {
  explicit Head(const Panels<Real>& panels) : W(panels) {}

  const Panels<Real>& W;
  const Real* b = nullptr;
  Index H = 0;
  Index K = 0;
  const WriterAttention<Real>* attention = nullptr;  // or null
};

// Outputs of up to `capacity` rows, whose sources are within [first, first + sources). Allocates at construction only.
template <class Real>
class OutputHead {
 public:
  OutputHead(const Head<Real>& head, Index capacity, Index first, Index sources);

  // outputs[i] [K] of h[i] [H], i < rows, which attends to source[i].
  void run(Index rows, const Real* const* h, const Index* source, Real* const* outputs);

 private:
  void attend(Index rows, const Real* const* h, const Index* source);

  const Head<Real> head_;
  const Index first_;
  std::deque<AttentionSource<Real>> sources_;
  Buffer<Real> query_;
  Buffer<Real> weights_;
  Buffer<Real> joined_;
  Buffer<Real> combined_;
  std::vector<Real*> query_rows_;
  std::vector<Real*> weight_rows_;
  std::vector<Real*> context_rows_;
  std::vector<Real*> combined_rows_;
};

}  // namespace rnnfast
