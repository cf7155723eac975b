// A few rows of an array that is made from its last row to its first and read a little behind.
#pragma once
#include "rows.hpp"

namespace rnnfast {

// du of a layer that saves no gates: the rows of the chunk in work and, above them, those that the step before or an
// unfinished block of rows still reads. Memory for several chunks, so that what is above rarely moves.
template <class Real>
class Window {
 public:
  Window() = default;
  // chunk_rows: of the largest chunk, hence no fewer than a step's.
  Window(Index rows, Index chunk_rows, Index width)
      : rows_(smaller(rows, kChunks * chunk_rows + kRowBlock)),
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
  static constexpr Index kChunks = 5;
  Index rows_ = 0, width_ = 0, row0_ = 0;  // it holds [row0, row0 + rows)
  Buffer<Real> buffer_;
};

}  // namespace rnnfast
