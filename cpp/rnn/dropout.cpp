#include <algorithm>

#include "../base/hash.hpp"
#include "rnn.hpp"

namespace rnnfast {

DropoutKey dropout_key(const Dropout& dropout, Index layer, const Slot& slot) {
  std::uint64_t key = mix(dropout.seed ^ mix(dropout.call ^ mix(static_cast<std::uint64_t>(layer))));
  key = mix(mix(key ^ static_cast<std::uint64_t>(slot.n)) ^ static_cast<std::uint64_t>(slot.t));
  const double threshold = dropout.p * 4294967296.0;
  return {{static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)},
          static_cast<std::uint32_t>(std::min(threshold, 4294967295.0))};
}

}  // namespace rnnfast
