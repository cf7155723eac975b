// A few rows of an array that is made from its last row to its first and read a little behind.
#pragma once
#include "plan.hpp"

namespace rnnfast {

// du, or aux, of a layer that saved no gates: the rows of the chunk in work and, above them, those that the step before
// or an unfinished block of rows still reads.
template <class Real>
class SlidingRows {
 public:
  SlidingRows() = default;
  // room: for the largest chunk and a step, or several so that what is above moves more rarely.
  SlidingRows(Index rows, Index room, Index width)
      : rows_(smaller(rows, room + kRowBlock)),
        width_(width),
        row0_(rows - rows_),
        buffer_(checked_product(rows_, width)) {}

  View<Real> view() { return rows_view(buffer_.data(), width_, row0_); }

  // Makes the rows [begin, end) the highest ones.
  void slide(Index begin, Index end) {
    const Index row0 = end > rows_ ? end - rows_ : 0;
    std::memmove(buffer_.data() + (begin - row0) * width_, buffer_.data() + (begin - row0_) * width_,
                 sizeof(Real) * static_cast<std::size_t>((end - begin) * width_));
    row0_ = row0;
  }

 private:
  Index rows_ = 0, width_ = 0, row0_ = 0;  // it holds [row0, row0 + rows)
  Buffer<Real> buffer_;
};

}  // namespace rnnfast
