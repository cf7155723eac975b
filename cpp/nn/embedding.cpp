#include <cstring>
#include <vector>

#include "../cpu/cost.hpp"
#include "../cpu/isa.hpp"
#include "nn.hpp"

namespace rnnfast {

namespace {

// Rows of dy by symbol: those of symbol v, in their order, are rows[first[v]] .. rows[first[v + 1] - 1].
template <class Real>
struct BySymbol {
  std::vector<Index> first;
  std::vector<const Real*> rows;
};

template <class Real>
BySymbol<Real> sort_by_symbol(Index M, Index V, Index D, const Index* ids, const Real* dy) {
  BySymbol<Real> sorted;
  sorted.first.assign(static_cast<std::size_t>(V + 1), 0);
  sorted.rows.resize(static_cast<std::size_t>(M));
  Index* first = sorted.first.data();
  for (Index m = 0; m < M; ++m) ++first[ids[m] + 1];
  for (Index v = 0; v < V; ++v) first[v + 1] += first[v];
  std::vector<Index> next(sorted.first);
  for (Index m = 0; m < M; ++m) {
    const auto place = static_cast<std::size_t>(next[static_cast<std::size_t>(ids[m])]++);
    sorted.rows[place] = dy + m * D;
  }
  return sorted;
}

}  // namespace

template <class Real>
void embedding(Index M, Index D, const Index* ids, const Real* E, Real* y) {
  const double numbers = static_cast<double>(M) * static_cast<double>(D);
  const std::size_t bytes = sizeof(Real) * static_cast<std::size_t>(D);
  run_team(team_for(numbers / kNumbersPerNs), [&](const Member& member) {
    const Range own = share(M, member.size, member.rank);
    for (Index m = own.begin; m < own.end; ++m) std::memcpy(y + m * D, E + ids[m] * D, bytes);
  });
}

template <class Real>
void embedding_backward(Index M, Index V, Index D, const Index* ids, const Real* dy, Real* dE) {
  if (M == 0 || D == 0) return;
  const BySymbol<Real> sorted = sort_by_symbol(M, V, D, ids, dy);
  const double numbers = static_cast<double>(M) * static_cast<double>(D);
  run_team(team_for(numbers / kNumbersPerNs), [&](const Member& member) {
    // A symbol belongs to the member whose share of the sorted rows holds its first row.
    const Range own = share(M, member.size, member.rank);
    for (Index v = 0; v < V; ++v) {
      const Index begin = sorted.first[static_cast<std::size_t>(v)];
      const Index end = sorted.first[static_cast<std::size_t>(v + 1)];
      if (begin < own.begin || begin >= own.end) continue;
      for (Index row = begin; row < end; row += kRowBlock)
        kernels<Real>().column_sums(smaller(kRowBlock, end - row), D, sorted.rows.data() + row, {dE + v * D});
    }
  });
}

template void embedding(Index, Index, const Index*, const float*, float*);
template void embedding(Index, Index, const Index*, const double*, double*);
template void embedding_backward(Index, Index, Index, const Index*, const float*, float*);
template void embedding_backward(Index, Index, Index, const Index*, const double*, double*);

}  // namespace rnnfast
