#include "sampling.hpp"

#include <algorithm>
#include <numeric>

#include "../base/hash.hpp"

namespace rnnfast {

double uniform(std::uint64_t seed, Index sequence, Index step, Index item) {
  std::uint64_t key = mix(seed);
  for (const Index part : {sequence, step, item}) key = mix(key ^ static_cast<std::uint64_t>(part));
  return static_cast<double>(key >> 11) * 0x1p-53;
}

template <class Real>
Sampler<Real>::Sampler(const SamplingOptions& options, Index K)
    : options_(options), K_(K), log_p_(static_cast<std::size_t>(K)), p_(log_p_.size()), order_(log_p_.size()) {}

// Keeps the top_k most probable ids, of those the fewest whose probability reaches top_p (Holtzman et al. 2020); of
// equal ids the lowest. Without top_p the order of the kept ones does not matter.
template <class Real>
void Sampler<Real>::restrict_to_best() {
  const auto p = [&](Index id) -> Real& { return p_[static_cast<std::size_t>(id)]; };
  const auto before = [&](Index a, Index b) { return p(a) != p(b) ? p(a) > p(b) : a < b; };
  const Index ranks = options_.top_k > 0 ? smaller(options_.top_k, K_) : K_;
  std::iota(order_.begin(), order_.end(), Index{0});
  if (ranks < K_) std::nth_element(order_.begin(), order_.begin() + ranks - 1, order_.end(), before);
  for (Index i = ranks; i < K_; ++i) p(order_[static_cast<std::size_t>(i)]) = Real(0);
  if (options_.top_p >= 1) return;
  std::sort(order_.begin(), order_.begin() + ranks, before);
  double total = 0;
  double sum = 0;
  for (Index i = 0; i < ranks; ++i) total += static_cast<double>(p(order_[static_cast<std::size_t>(i)]));
  for (Index i = 0; i < ranks; ++i) {
    Real& own = p(order_[static_cast<std::size_t>(i)]);
    const bool keep = sum < options_.top_p * total;
    sum += static_cast<double>(own);
    if (!keep) own = Real(0);
  }
}

template <class Real>
Index Sampler<Real>::choose(const Real* logits, double u) {
  const NnKernels<Real>& table = kernels<Real>().nn;
  Index id = std::max_element(logits, logits + K_) - logits;
  if (!options_.greedy) {
    const Real scale = static_cast<Real>(1 / options_.temperature);
    const Real best = logits[id];
    for (std::size_t k = 0; k < p_.size(); ++k) p_[k] = (logits[k] - best) * scale;
    table.softmax(1, K_, p_.data(), p_.data());
    if (options_.top_k > 0 || options_.top_p < 1) restrict_to_best();
    double total = 0;
    double sum = 0;
    for (const Real p : p_) total += static_cast<double>(p);
    // Rounding may leave u just above the last sum: the most probable id stays the answer then.
    for (std::size_t k = 0; k < p_.size(); ++k) {
      sum += static_cast<double>(p_[k]);
      if (sum > u * total) {
        id = static_cast<Index>(k);
        break;
      }
    }
  }
  return id;
}

template <class Real>
double Sampler<Real>::log_probability(const Real* logits, Index id) {
  kernels<Real>().nn.log_softmax(1, K_, logits, log_p_.data());
  return static_cast<double>(log_p_[static_cast<std::size_t>(id)]);
}

template class Sampler<float>;
template class Sampler<double>;

}  // namespace rnnfast
