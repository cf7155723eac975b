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

  // One step of the first `rows` sequences. x: [rows] pointers to C numbers; if `projected`, to G H numbers W x + b_w
  // of the first layer. Returns the last layer's h [rows, H], valid until the next call.
  const Real* step(Index rows, const Real* const* x, bool projected = false);

  // States of all layers, [batch, H] each; c is null for cells without one.
  Real* h(Index layer) { return layers_[static_cast<std::size_t>(layer)].h.data(); }
  Real* c(Index layer) { return layers_[static_cast<std::size_t>(layer)].c.data(); }
  const Real* last_h() const { return layers_.back().h.data(); }

  // Row n < count of every state becomes what row from[n] was.
  void reorder(const Index* from, Index count);

 private:
  struct Layer {
    const Weights<Real>* weights;
    Buffer<Real> h, h_next, c, c_next, u, aux;
    std::vector<const Real*> h_rows;  // of h_next
    std::vector<Real*> u_rows;
  };

  static void run_stages(Layer& layer, Index rows);

  std::vector<Layer> layers_;
};

}  // namespace rnnfast
