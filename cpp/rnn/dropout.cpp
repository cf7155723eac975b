#include <algorithm>

#include "rnn.hpp"

namespace rnnfast {

namespace {

std::uint64_t mix(std::uint64_t z) {  // splitmix64 (Steele et al. 2014)
  z += 0x9E3779B97F4A7C15U;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31);
}

}  // namespace

DropoutKey dropout_key(const Dropout& dropout, Index layer, const Slot& slot) {
  std::uint64_t key = mix(dropout.seed ^ mix(dropout.call ^ mix(static_cast<std::uint64_t>(layer))));
  key = mix(mix(key ^ static_cast<std::uint64_t>(slot.n)) ^ static_cast<std::uint64_t>(slot.t));
  const double threshold = dropout.p * 4294967296.0;
  return {{static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)},
          static_cast<std::uint32_t>(std::min(threshold, 4294967295.0))};
}

}  // namespace rnnfast
