// What enters the first layer for every id.
#pragma once
#include "../rnn/stepper.hpp"

namespace rnnfast {

// Rows of the table [V, C]; or, where `uses` of them make it worth while, their products u = W x + b_w, each computed
// once. table may be null: then ids are unit vectors of V = C numbers, whose products are columns of W; or, with V = 0,
// there are no rows.
template <class Real>
class InputTable {
 public:
  InputTable(const Stack<Real>& layers, const Real* table, Index V, double uses);

  bool projected() const { return projected_; }
  const Real* row(Index id) const { return rows_ + id * width_; }
  // Lets `rows` sequences read their entries.
  void step(Stepper<Real>& stepper, Index rows, const Real* const* entries) const {
    stepper.step({nullptr, 0, entries, projected_}, rows);
  }

 private:
  bool projected_;
  Index width_;
  Buffer<Real> products_;
  const Real* rows_;
};

}  // namespace rnnfast
