// What every part of one layer and direction's pass over a batch knows, forward and backward: weights, sizes, and the
// order of rows.
#pragma once
#include <atomic>

#include "../base/fault.hpp"
#include "rnn.hpp"

namespace rnnfast {

// The direction of time of direction 0 and 1.
inline Index time_step(Index direction) { return direction == 0 || faulty(Fault::kWrongDirection) ? 1 : -1; }

// weights and plan must outlive it.
template <class Real>
struct LayerPass {
  LayerPass(const Stack<Real>& stack, Index directions, Index of, const Plan& batch, const Schedule& shared)
      : index(of),
        layer(of / directions),
        direction(of % directions),
        time_step(rnnfast::time_step(direction)),
        weights(*stack[at(of)]),
        spec(weights.spec()),
        plan(batch),
        H(weights.arrays.H),
        P(weights.arrays.P),
        C(weights.arrays.C),
        N(batch.sequences()),
        schedule(shared),
        parts(plan, shared.parts, shared.grain),
        chunks(plan, shared.chunk) {}

  const Index index, layer, direction;  // index: layer * directions + direction
  const Index time_step;
  const Weights<Real>& weights;
  const CellSpec& spec;
  const Plan& plan;
  const Index H;
  const Index P;
  const Index C;
  const Index N;
  const Schedule schedule;
  const RowPartition parts;
  const Chunks chunks;

  bool shares_units() const { return schedule.split == Split::kUnits && schedule.threads > 1; }
  int cell() const { return static_cast<int>(weights.arrays.cell); }
};

// The parts of a batch that are still to be taken. Each thread takes the next one when it is done with one, so that the
// others need not wait for a thread that has lost its processor, but for its part in work.
class PartQueue {
 public:
  // Alone, before any member calls for_parts().
  void refill() { next_.store(0, std::memory_order_relaxed); }
  // Calls f(part) for the parts that fall to the member; those of a larger team than planned get none.
  template <class Real, class F>
  void for_parts(const LayerPass<Real>& pass, const Member& member, const F& f) {
    if (member.rank >= pass.schedule.threads) return;
    for (Index part = take(); part < pass.parts.count(); part = take()) f(part);
  }

 private:
  Index take() { return next_.fetch_add(1, std::memory_order_relaxed); }

  std::atomic<Index> next_{0};
};

// A step of a part's sequences, by members that share its units.
struct Step {
  Index s;
  Index part;
  const Member& member;
};

// Pointers to the operands and results of a product, row by row; a thread's own.
template <class Real>
struct ProductRows {
  std::vector<const Real*> from;
  std::vector<Real*> to;

  void resize(Index rows) {
    from.resize(at(rows));
    to.resize(at(rows));
  }
};

}  // namespace rnnfast
