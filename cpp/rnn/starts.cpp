#include "starts.hpp"

#include <algorithm>
#include <cmath>

#include "../base/fault.hpp"
#include "../cpu/cost.hpp"

namespace rnnfast {

Schedule with_spaced_starts(Schedule schedule, const Plan& plan) {
  const Index root = static_cast<Index>(std::sqrt(static_cast<double>(plan.steps()) / kRecomputedRootOf));
  schedule.chunk = std::max(schedule.chunk, std::max(kFewestRecomputedSteps, root) * plan.sequences());
  return schedule;
}

template <class Real>
void Starts<Real>::allocate() {
  saved_.chunk = pass_.schedule.chunk;
  const Index count = pass_.chunks.count();
  const Index starts = pass_.spec.has_c && count > 0 ? count - 1 : 0;
  saved_.starts = Buffer<Real>(checked_product(starts, pass_.N * pass_.H));
}

template <class Real>
void Starts<Real>::after_chunk(Index i, const View<Real>& aux, Index part) const {
  if (!pass_.spec.has_c || i + 1 == pass_.chunks.count()) return;
  const auto [s0, s1] = pass_.chunks.steps(i, pass_.time_step);
  const Index last = pass_.time_step > 0 ? s1 - 1 : s0;
  pass_.parts.for_rows(last, part,
                       [&](const Row& row) { std::copy_n(row_of(aux, row), pass_.H, start_of(i + 1, row.n)); });
}

template <class Real>
void Starts<Real>::restore(Index i, const Row& row, const View<Real>& aux) const {
  if (!pass_.spec.has_c) return;
  if (faulty(Fault::kLostCarry))
    std::fill_n(row_of(aux, row), pass_.H, Real(0));
  else
    std::copy_n(start_of(i, row.n), pass_.H, row_of(aux, row));
}

template class Starts<float>;
template class Starts<double>;

}  // namespace rnnfast
