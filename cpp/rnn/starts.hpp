// c as it enters each chunk of steps but the first: what the forward pass leaves where gates are computed again.
#pragma once
#include "layer_pass.hpp"

namespace rnnfast {

// Chunks so large that their starts are a small part of y, and so small that the gates of one are, too.
Schedule with_spaced_starts(Schedule schedule, const Plan& plan);

template <class Real>
class Starts {
 public:
  Starts(const LayerPass<Real>& pass, Saved<Real>& saved) : pass_(pass), saved_(saved) {}
  // Memory for them.
  void allocate();
  // Of a part's sequences; aux holds the states behind chunk i.
  void after_chunk(Index i, const View<Real>& aux, Index part) const;
  // Of one row of the step before chunk i, into aux.
  void restore(Index i, const Row& row, const View<Real>& aux) const;

 private:
  Real* start_of(Index i, Index n) const { return saved_.starts.data() + ((i - 1) * pass_.N + n) * pass_.H; }

  const LayerPass<Real>& pass_;
  Saved<Real>& saved_;
};

}  // namespace rnnfast
