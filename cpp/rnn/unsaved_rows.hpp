// Rows that were not saved and are made going back through time: a few at once, in memory that slides down with them.
#pragma once
#include "layer_pass.hpp"
#include "sliding_rows.hpp"

namespace rnnfast {

template <class Real>
class UnsavedRows {
 public:
  explicit UnsavedRows(const Plan& plan) : plan_(plan) {}
  // view becomes [held of all rows, width], and moves with them; it must outlive this.
  void add(Index held, Index width, View<Real>& view) {
    windows_.push_back({SlidingRows<Real>(plan_.rows(), held, width), &view});
    view = windows_.back().rows.view();
  }
  bool must_slide(Index lowest) const { return !windows_.empty() && lowest < windows_.front().view->row0; }
  // Makes room for the steps below s1. Of the rows above, those of the step s1 and of the first `blocks` blocks stay.
  void slide(Index s1, Index blocks) {
    const Index above = plan_.first_row(smaller(s1 + 1, plan_.steps()));
    const Index begin = plan_.first_row(s1);
    const Index end = std::max(above, smaller(blocks * kRowBlock, plan_.rows()));
    for (Window& window : windows_) {
      window.rows.slide(begin, end);
      *window.view = window.rows.view();
    }
  }

 private:
  struct Window {
    SlidingRows<Real> rows;
    View<Real>* view;
  };

  const Plan& plan_;
  std::vector<Window> windows_;
};

}  // namespace rnnfast
