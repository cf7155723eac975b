#include "wavefront.hpp"

#include <algorithm>

#include "../cpu/cost.hpp"

namespace rnnfast {

void Link::await(Index steps, const Interrupt& interrupt) const {
  if (source == nullptr) return;
  for (;;) {
    const unsigned seen = source->value();
    if (static_cast<Index>(seen) >= steps || interrupt.stopped()) return;
    source->wait_past(seen, kSpinUs);
  }
}

void Link::publish(Index steps) const {
  if (own != nullptr) own->advance(static_cast<unsigned>(steps));
}

Wavefront::Wavefront(const std::vector<LayerSize>& layers, const Plan& plan, int threads, bool saves)
    : layers_(static_cast<Index>(layers.size())) {
  const int members = static_cast<int>(smaller(threads, layers_));
  if (members < 2 || plan.rows() == 0) return;
  chunk_ = std::min(std::max(plan.rows() / kWavefrontChunks, kFewestWavefrontRows), kMostWavefrontRows);
  std::vector<double> load(static_cast<std::size_t>(members));
  double in_turn = 0;
  double before_last = 0;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const auto ns = [&](int own) { return make_schedule(plan, layers[i], own, saves).ns; };
    const double alone = ns(1);
    in_turn += ns(threads);
    load[i % load.size()] += alone;
    if (i + 1 < layers.size()) before_last += alone;
  }
  const double chunks = std::max(1.0, static_cast<double>(plan.rows()) / static_cast<double>(chunk_));
  const double at_once = *std::max_element(load.begin(), load.end()) + before_last / chunks + kNsPerRegion;
  if (at_once >= kWorthATeam * in_turn) return;
  threads_ = members;
  done_ = std::make_unique<Phase[]>(layers.size());
}

}  // namespace rnnfast
