// Dimensions, used with these letters everywhere:
//   N sequences   T steps   C input features   H hidden units   P numbers of h, H unless projected   L layers
//   D directions   G gates   K inner dimension of a product
// A "row" is one valid (sequence, step); rows are numbered step by step, within a step by sequence.
#pragma once
#include <cstdint>

namespace rnnfast {

using Index = std::int64_t;

// static: each object file has its own, also where nothing is inlined and the files differ in instruction set.
static constexpr Index ceil_div(Index a, Index b) { return (a + b - 1) / b; }
static constexpr Index smaller(Index a, Index b) { return a < b ? a : b; }
static constexpr Index larger(Index a, Index b) { return a < b ? b : a; }

}  // namespace rnnfast
