// A stack that advances one step a call and keeps its states: what generation and streaming stand on.
#pragma once
#include <vector>

#include "rnn.hpp"

namespace rnnfast {

// Allocates at construction only. The same bits as forward() over the same steps. The weights must outlive it.
template <class Real>
class Stepper {
 public:
  Stepper(const Stack<Real>& layers, Index batch);

  // x: [batch] pointers to C numbers. Returns the last layer's h [batch, H], valid until the next call.
  const Real* step(const Real* const* x);

  // States of all layers, [batch, H] each; c is null for cells without one.
  Real* h(Index layer) { return layers_[static_cast<std::size_t>(layer)].h.data(); }
  Real* c(Index layer) { return layers_[static_cast<std::size_t>(layer)].c.data(); }
  const Real* last_h() const { return layers_.back().h.data(); }

  // Row n of every state becomes what row from[n] was; rows from `count` on become zero.
  void reorder(const Index* from, Index count);

 private:
  struct Layer {
    const Weights<Real>* weights;
    Buffer<Real> h, h_next, c, c_next, u, aux;
    std::vector<const Real*> h_rows;  // of h_next
    std::vector<Real*> u_rows;
  };

  void run_stages(Layer& layer) const;

  const Index batch_;
  std::vector<Layer> layers_;
};

}  // namespace rnnfast
