#include <algorithm>

#include "../base/hash.hpp"
#include "../cpu/cost.hpp"
#include "../cpu/isa.hpp"
#include "nn.hpp"

namespace rnnfast {

template <class Real>
void dropout(const DropoutArgs<Real>& args) {
  constexpr double kWords = 4294967296.0;  // values of a 32-bit hash
  const std::uint64_t stream = mix(args.seed ^ mix(args.call));
  const auto threshold = static_cast<std::uint32_t>(std::min(args.p * kWords, kWords - 1));
  const Real scale = static_cast<Real>(1 / (1 - args.p));
  const double numbers = static_cast<double>(args.M) * static_cast<double>(args.K);
  run_team(team_for(numbers * kNsPerNumber), [&](const Member& member) {
    const Range own = share(args.M, member.size, member.rank);
    for (Index m = own.begin; m < own.end; ++m) {
      const std::uint64_t row = mix(stream ^ static_cast<std::uint64_t>(m));
      const DropoutKey key{{static_cast<std::uint32_t>(row), static_cast<std::uint32_t>(row >> 32)}, threshold};
      kernels<Real>().dropout(args.K, args.x + m * args.K, args.y + m * args.K, key, scale);
    }
  });
}

template void dropout(const DropoutArgs<float>&);
template void dropout(const DropoutArgs<double>&);

}  // namespace rnnfast
