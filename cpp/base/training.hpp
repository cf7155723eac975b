// Losses and optimisers as data.
#pragma once
#include "registry.hpp"

namespace rnnfast {

enum class LossKind : int { RNNFAST_LOSSES(RNNFAST_FIRST) };
constexpr int kLossKinds = 0 RNNFAST_LOSSES(RNNFAST_COUNT);

// Of a loss: one class a row, or one number an output.
enum class Targets : int { kClasses, kNumbers };

struct LossSpec {
  const char* name;
  const char* outputs;
  const char* targets;
  Targets kind;
};

// In the order of LossKind.
constexpr LossSpec kLosses[kLossKinds] = {
#define RNNFAST_ENTRY(loss, name, kernel, outputs, targets, kind) {#name, #outputs, #targets, Targets::kind},
    RNNFAST_LOSSES(RNNFAST_ENTRY)
#undef RNNFAST_ENTRY
};

enum class OptimizerKind : int { RNNFAST_OPTIMIZERS(RNNFAST_FIRST) };
constexpr int kOptimizerKinds = 0 RNNFAST_OPTIMIZERS(RNNFAST_COUNT);
constexpr int kMaxOptions = 8;
constexpr int kMaxBuffers = 3;

// Values that an option may have: a finite number, one >= 0, one in [0, 1), or 0 and 1.
enum class OptionRange : int { kFinite, kAtLeastZero, kFraction, kFlag };

struct NumberSpec {
  const char* name;
  OptionRange range;
};

struct OptimizerSpec {
  const char* name;
  int options;
  NumberSpec option[kMaxOptions];
  const char* buffer[kMaxBuffers];  // null behind the last
};

constexpr int buffers_of(const OptimizerSpec& spec) {
  int count = 0;
  while (count < kMaxBuffers && spec.buffer[count] != nullptr) ++count;
  return count;
}

// In the order of OptimizerKind.
constexpr OptimizerSpec kOptimizers[kOptimizerKinds] = {
#define RNNFAST_OPTION(name, range) {#name, OptionRange::range},
#define RNNFAST_ENTRY(kind, name, type, options, ...) \
  {#name, 0 options(RNNFAST_COUNT), {options(RNNFAST_OPTION)}, {__VA_ARGS__}},
    RNNFAST_OPTIMIZERS(RNNFAST_ENTRY)
#undef RNNFAST_ENTRY
#undef RNNFAST_OPTION
};

// The options of each optimiser, in the order of its list; of a flag 0 or 1.
#define RNNFAST_FIELD(name, range) double name;
#define RNNFAST_ENTRY(kind, name, type, options, ...) \
  struct type {                                       \
    options(RNNFAST_FIELD)                            \
  };
RNNFAST_OPTIMIZERS(RNNFAST_ENTRY)
#undef RNNFAST_ENTRY
#undef RNNFAST_FIELD

}  // namespace rnnfast
