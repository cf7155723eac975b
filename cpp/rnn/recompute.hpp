// A call that keeps no gates: the forward pass leaves c at a few steps, from which the backward pass computes gates
// again, a chunk of steps at a time.
#pragma once
#include <optional>

#include "forward.hpp"

namespace rnnfast {

// Computes the gates of one layer and direction again, by a forward scan over its own rows.
template <class Real>
class Recompute {
 public:
  Recompute(const BackwardCall<Real>& call, const LayerPass<Real>& pass, const View<const Real>& x);
  // Chunk i, counted against time: all members; they wait for each other at the end.
  void chunk(Index i, const RecomputedRows<Real>& rows, const Member& member) { scan_->rebuild(i, rows, member); }

 private:
  const ForwardCall<Real> call_;
  std::optional<ForwardScan<Real>> scan_;
};

}  // namespace rnnfast
