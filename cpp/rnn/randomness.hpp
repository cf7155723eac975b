// What is random in a training call: functions of these numbers and (layer and direction, sequence, step, unit), which
// are not kept between calls.
#pragma once
#include <array>
#include <cstdint>

#include "plan.hpp"

namespace rnnfast {

struct Randomness {
  double dropout = 0;                  // of what a layer reads of the one below, anew at every step
  double input = 0;                    // of what every layer reads, the same at every step of a sequence
  double recurrent = 0;                // of what R reads, the same at every step of a sequence
  double noise = 0;                    // standard deviation of what is added to u
  std::array<double, 2> zoneout = {};  // of a unit of h, of c: keeping what it was, anew at every step
  std::uint64_t seed = 0;
  std::uint64_t call = 0;

  bool any() const {
    return dropout > 0 || input > 0 || recurrent > 0 || noise > 0 || zoneout[0] > 0 || zoneout[1] > 0;
  }
};

// kDropout, kInput: index is the layer; else layer and direction.
enum class Purpose : std::uint64_t { kDropout, kNoise, kRecurrent, kZoneoutH, kZoneoutC, kInput };

// One purpose's random numbers in one layer.
class RandomStream {
 public:
  // Where nothing is random it is not made: that would be felt in calls of one step.
  RandomStream(const Randomness& random, Purpose purpose, Index index);
  // Of sequence n at time t; drops with probability p.
  DropoutKey key(double p, Index n, Index t) const;

 private:
  std::uint64_t stream_ = 0;
};

// What is kept is divided by the probability of keeping it.
template <class Real>
Real kept_scale(double p) {
  return static_cast<Real>(1 / (1 - p));
}

}  // namespace rnnfast
