#include "randomness.hpp"

#include <algorithm>

#include "../base/hash.hpp"

namespace rnnfast {

RandomStream::RandomStream(const Randomness& random, Purpose purpose, Index index) {
  if (!random.any()) return;
  const std::uint64_t what = static_cast<std::uint64_t>(purpose) << 32 ^ static_cast<std::uint64_t>(index);
  stream_ = mix(random.seed ^ mix(random.call ^ mix(what)));
}

DropoutKey RandomStream::key(double p, Index n, Index t) const {
  const std::uint64_t key = mix(mix(stream_ ^ static_cast<std::uint64_t>(n)) ^ static_cast<std::uint64_t>(t));
  return {{static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)},
          static_cast<std::uint32_t>(std::min(p * 4294967296.0, 4294967295.0))};
}

}  // namespace rnnfast
