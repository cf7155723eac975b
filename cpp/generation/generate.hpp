// Sequences written by a model that reads its own output.
#pragma once
#include <functional>
#include <optional>

#include "../rnn/rnn.hpp"
#include "output_head.hpp"
#include "sampling.hpp"

namespace rnnfast {

enum class Element { kId, kLabels, kVector };  // drawn from a softmax; 0 or 1 each; the outputs themselves

// What makes inputs of elements and outputs of h. Pointers must outlive the call.
template <class Real>
struct Writer {
  explicit Writer(const Head<Real>& output_head) : head(output_head) {}

  Element element = Element::kId;
  const Real* table = nullptr;  // [V, C] input of every id; null where elements are vectors
  Index V = 0;
  Head<Real> head;
};

// R sequences, `length` elements each, from the states after their prompts.
template <class Real>
struct GenerateCall {
  GenerateCall(const Stack<Real>& stack, const Writer<Real>& model) : layers(stack), writer(model) {}

  const Stack<Real>& layers;
  Writer<Real> writer;
  SamplingOptions sampling = {};
  Index R = 0;
  Index length = 0;
  Index stop = -1;                // the id that ends a sequence; below 0: none
  const Real* h0 = nullptr;       // [L, R, H]
  const Real* c0 = nullptr;       // the same; null for cells without a cell state
  const Index* prefix = nullptr;  // [R, prefix_length] ids forced at the start, below 0: free; or null
  Index prefix_length = 0;
  Index* ids = nullptr;               // [R, length]; kId
  Real* vectors = nullptr;            // [R, length, K]; the others
  double* log_probability = nullptr;  // [R, length] of ids; null: not wanted
  Index* counts = nullptr;            // [R] elements before stop
  int threads = 1;
};

// False: interrupted, outputs undefined.
template <class Real>
bool generate(const GenerateCall<Real>& call, Interrupt& interrupt);

// The most probable sequence of ids of each prompt, among those that `beams` hypotheses reach:
//   score = log p / ((5 + n) / 6)^length_penalty, n the elements with stop (Wu et al. 2016)
template <class Real>
struct BeamCall {
  BeamCall(const Stack<Real>& stack, const Writer<Real>& model) : layers(stack), writer(model) {}

  const Stack<Real>& layers;
  Writer<Real> writer;
  Index R = 0;
  Index length = 0;
  Index beams = 1;
  Index stop = -1;
  double length_penalty = 0;
  const Real* h0 = nullptr;
  const Real* c0 = nullptr;
  Index* ids = nullptr;      // [R, length]
  Index* counts = nullptr;   // [R] elements before stop
  double* scores = nullptr;  // [R]
  int threads = 1;
};

template <class Real>
bool beam_search(const BeamCall<Real>& call, Interrupt& interrupt);

// Runs f(part, polls) for every part on a team. The calling thread, whose parts may end long before the others' do,
// answers interrupts until all are done.
void run_parts(Index parts, Interrupt& interrupt, const std::function<void(Index part, bool polls)>& f);

}  // namespace rnnfast
