// Choosing the next element from a head's outputs.
#pragma once
#include <vector>

#include "../cpu/isa.hpp"

namespace rnnfast {

struct SamplingOptions {
  double temperature;  // above 0
  Index top_k;         // 0: all
  double top_p;        // 1: all
  bool greedy;
  std::uint64_t seed;
};

// In [0, 1), a function of its arguments alone: drawing does not depend on threads or on the other sequences.
double uniform(std::uint64_t seed, Index sequence, Index step, Index item);

// Draws ids from logits [K]; keeps its scratch between calls.
template <class Real>
class Sampler {
 public:
  Sampler(const SamplingOptions& options, Index K);

  Index choose(const Real* logits, double u);
  // The model's own log p(id), before temperature and restrictions.
  double log_probability(const Real* logits, Index id);

 private:
  void restrict_to_best();

  const SamplingOptions options_;
  const Index K_;
  std::vector<Real> log_p_;
  std::vector<Real> p_;
  std::vector<Index> order_;
};

}  // namespace rnnfast
