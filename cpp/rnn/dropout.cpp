#include <algorithm>

#include "../base/hash.hpp"
#include "rnn.hpp"

namespace rnnfast {

namespace {

enum class Purpose : std::uint64_t { kDropout, kNoise, kRecurrent, kZoneH, kZoneC };

std::uint64_t stream_of(const Dropout& dropout, Purpose purpose, Index index) {
  const std::uint64_t what = static_cast<std::uint64_t>(purpose) << 32 ^ static_cast<std::uint64_t>(index);
  return mix(dropout.seed ^ mix(dropout.call ^ mix(what)));
}

DropoutKey key_of(std::uint64_t stream, double p, Index n, Index t) {
  const std::uint64_t key = mix(mix(stream ^ static_cast<std::uint64_t>(n)) ^ static_cast<std::uint64_t>(t));
  return {{static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)},
          static_cast<std::uint32_t>(std::min(p * 4294967296.0, 4294967295.0))};
}

}  // namespace

DropoutKey dropout_key(const Dropout& dropout, Index layer, const Row& slot) {
  return key_of(stream_of(dropout, Purpose::kDropout, layer), dropout.p, slot.n, slot.t);
}

std::uint64_t noise_stream(const Dropout& dropout, Index index) { return stream_of(dropout, Purpose::kNoise, index); }

DropoutKey noise_key(std::uint64_t stream, const Row& slot) { return key_of(stream, 0, slot.n, slot.t); }

template <class Real>
Buffer<Real> recurrent_masks(const Dropout& dropout, Index index, Index N, Index P) {
  if (dropout.recurrent == 0) return {};
  Buffer<Real> masks(checked_product(N, P));
  std::fill_n(masks.data(), masks.size(), Real(1));
  const std::uint64_t stream = stream_of(dropout, Purpose::kRecurrent, index);
  for (Index n = 0; n < N; ++n) {
    Real* mask = masks.data() + n * P;
    kernels<Real>().dropout(P, mask, mask, key_of(stream, dropout.recurrent, n, 0),
                            static_cast<Real>(1 / (1 - dropout.recurrent)));
  }
  return masks;
}

template Buffer<float> recurrent_masks(const Dropout&, Index, Index, Index);
template Buffer<double> recurrent_masks(const Dropout&, Index, Index, Index);

template <class Real>
ZoneoutMask<Real>::ZoneoutMask(const Dropout& dropout, Index index, const Weights<Real>& weights)
    : random_(dropout.zoneout[0] > 0 || dropout.zoneout[1] > 0),
      states_(weights.spec().states),
      H_(weights.arrays.H),
      expected_(weights.options.zoneout),
      stream_{stream_of(dropout, Purpose::kZoneH, index), stream_of(dropout, Purpose::kZoneC, index)},
      p_(dropout.zoneout) {}

template <class Real>
void ZoneoutMask<Real>::draw(const Row& slot, Real* zones) const {
  for (std::size_t state = 0; state < static_cast<std::size_t>(states_); ++state, zones += H_) {
    std::fill_n(zones, H_, p_[state] > 0 ? Real(1) : Real(0));
    if (p_[state] > 0)
      kernels<Real>().dropout(H_, zones, zones, key_of(stream_[state], 1 - p_[state], slot.n, slot.t), Real(1));
  }
}

template class ZoneoutMask<float>;
template class ZoneoutMask<double>;

}  // namespace rnnfast
