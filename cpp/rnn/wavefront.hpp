// Layers above each other at the same time: each member of a team takes every so-many-th layer, and follows the layer
// it reads from a chunk of time behind.
#pragma once
#include <memory>
#include <vector>

#include "../cpu/barrier.hpp"
#include "schedule.hpp"

namespace rnnfast {

// How many steps a layer has finished, and the one it reads from; null where nobody has to wait.
struct Link {
  Phase *source = nullptr, *own = nullptr;

  // Returns when the source has finished so many steps, or the call was stopped.
  void await(Index steps, const Interrupt& interrupt) const;
  void publish(Index steps) const;      // so many more
  void give_up() const { publish(1); }  // the call was stopped: wakes who waits
};

class Wavefront {
 public:
  // Of layers in the order in which they are computed.
  Wavefront(const std::vector<LayerSize>& layers, const Plan& plan, int threads, bool saves);
  int threads() const { return threads_; }  // 1: it does not pay
  Index chunk() const { return chunk_; }    // rows, of all layers

  // Calls run(layer, member, link) for the member's layers; all wait for all.
  template <class Run>
  void share(const Member& member, const Run& run) {
    for (Index layer = member.rank; layer < layers_; layer += member.size)
      run(layer, Member{0, 1, nullptr}, Link{layer > 0 ? &done_[layer - 1] : nullptr, &done_[layer]});
    member.wait();
  }

 private:
  const Index layers_;
  int threads_ = 1;
  Index chunk_ = 0;
  std::unique_ptr<Phase[]> done_;
};

}  // namespace rnnfast
