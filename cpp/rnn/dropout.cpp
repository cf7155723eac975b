#include <algorithm>

#include "../base/hash.hpp"
#include "rnn.hpp"

namespace rnnfast {

namespace {

enum class Purpose : std::uint64_t { kDropout, kNoise, kRecurrent };

DropoutKey key_of(const Dropout& dropout, Purpose purpose, double p, Index index, Index n, Index t) {
  const std::uint64_t what = static_cast<std::uint64_t>(purpose) << 32 ^ static_cast<std::uint64_t>(index);
  std::uint64_t key = mix(dropout.seed ^ mix(dropout.call ^ mix(what)));
  key = mix(mix(key ^ static_cast<std::uint64_t>(n)) ^ static_cast<std::uint64_t>(t));
  return {{static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)},
          static_cast<std::uint32_t>(std::min(p * 4294967296.0, 4294967295.0))};
}

}  // namespace

DropoutKey dropout_key(const Dropout& dropout, Index layer, const Slot& slot) {
  return key_of(dropout, Purpose::kDropout, dropout.p, layer, slot.n, slot.t);
}

DropoutKey noise_key(const Dropout& dropout, Index index, const Slot& slot) {
  return key_of(dropout, Purpose::kNoise, 0, index, slot.n, slot.t);
}

template <class Real>
Buffer<Real> recurrent_masks(const Dropout& dropout, Index index, Index N, Index H) {
  if (dropout.recurrent == 0) return {};
  Buffer<Real> masks(checked_product(N, H));
  std::fill_n(masks.data(), masks.size(), Real(1));
  for (Index n = 0; n < N; ++n) {
    Real* mask = masks.data() + n * H;
    kernels<Real>().dropout(H, mask, mask, key_of(dropout, Purpose::kRecurrent, dropout.recurrent, index, n, 0),
                            static_cast<Real>(1 / (1 - dropout.recurrent)));
  }
  return masks;
}

template Buffer<float> recurrent_masks(const Dropout&, Index, Index, Index);
template Buffer<double> recurrent_masks(const Dropout&, Index, Index, Index);

}  // namespace rnnfast
