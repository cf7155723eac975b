#include "bidirectional.hpp"

#include <algorithm>

#include "../cpu/cost.hpp"

namespace rnnfast {

Bidirectional::Bidirectional(Index count, const Plan& plan, const CellSpec& cell, Index C, Index H, Index bytes,
                             int threads, bool training)
    : count_(count) {
  const auto planned = [&](int own) { return make_schedule(plan, cell, C, H, bytes, own, training); };
  schedules_.fill(planned(threads));
  if (count == 1 || threads == 1) return;
  const std::array<Schedule, 2> parts = {planned(threads - threads / 2), planned(threads / 2)};
  const double together = std::max(parts[0].ns, parts[1].ns) + kNsPerPart;
  const double apart = 2 * schedules_[0].ns * (schedules_[0].threads > 1 ? 1 : kWorthATeam);
  if (together >= apart) return;
  side_by_side_ = true;
  schedules_ = parts;
  for (std::size_t i = 0; i < 2; ++i)
    if (parts[i].threads > 1) barriers_[i].emplace(parts[i].threads);
}

void Bidirectional::limit_chunk(Index rows) {
  for (Schedule& schedule : schedules_) schedule.chunk = smaller(schedule.chunk, rows);
}

int Bidirectional::threads() const {
  return side_by_side_ ? schedules_[0].threads + schedules_[1].threads : schedules_[0].threads;
}

}  // namespace rnnfast
