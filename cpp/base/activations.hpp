// Activations as data.
#pragma once
#include "registry.hpp"

namespace rnnfast {

enum class Activation : int { RNNFAST_ACTIVATIONS(RNNFAST_FIRST) };
constexpr int kActivations = 0 RNNFAST_ACTIVATIONS(RNNFAST_COUNT);

enum class Alphas : int { kEveryAlpha, kAtLeastZero, kOtherThanZero };

struct ActivationSpec {
  const char* name;
  int numbers;  // 1: alpha, 2: alpha and beta
  double alpha;
  double beta;
  Alphas alphas;
};

// In the order of Activation.
constexpr ActivationSpec kActivationSpecs[kActivations] = {
#define RNNFAST_ENTRY(kind, name, numbers, alpha, beta, alphas) {#name, numbers, alpha, beta, Alphas::alphas},
    RNNFAST_ACTIVATIONS(RNNFAST_ENTRY)
#undef RNNFAST_ENTRY
};

}  // namespace rnnfast
