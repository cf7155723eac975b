// How the one or two directions of a layer share a team: one after the other, each with all of it, or side by side,
// each with a part.
#pragma once
#include <array>
#include <optional>

#include "../base/fault.hpp"
#include "schedule.hpp"

namespace rnnfast {

// Of direction 0 and 1.
inline Index time_step(Index direction) { return direction == 0 || faulty(Fault::kWrongDirection) ? 1 : -1; }

class Bidirectional {
 public:
  Bidirectional(Index count, const Plan& plan, const CellSpec& cell, Index C, Index H, Index bytes, int threads,
                bool training);
  const Schedule& schedule(Index direction) const { return schedules_[static_cast<std::size_t>(direction)]; }
  int threads() const;  // of the team
  void limit_chunk(Index rows);

  // Calls run(direction, member of its part) where the member has to do with it; all wait for all. A team smaller than
  // asked for takes one direction after the other.
  template <class Run>
  void share(const Member& member, const Run& run) {
    if (side_by_side_ && member.size >= threads()) {
      int first = 0;
      for (Index direction = 0; direction < 2; ++direction) {
        const int size = schedule(direction).threads;
        const int rank = member.rank - first;
        std::optional<Barrier>& barrier = barriers_[static_cast<std::size_t>(direction)];
        if (rank >= 0 && rank < size) run(direction, Member{rank, size, barrier ? &*barrier : nullptr});
        first += size;
      }
      member.wait();
      return;
    }
    for (Index direction = 0; direction < count_; ++direction) {
      run(direction, member);
      member.wait();
    }
  }

 private:
  const Index count_;
  bool side_by_side_ = false;
  std::array<Schedule, 2> schedules_;
  std::array<std::optional<Barrier>, 2> barriers_;  // of the parts, where they have several members
};

}  // namespace rnnfast
