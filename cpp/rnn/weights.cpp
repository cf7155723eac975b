#include "weights.hpp"

#include <vector>

namespace rnnfast {

namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

// The stage's rows of R in panels of units, the gates of a vector of units side by side:
// [panel][H][blocks][gates][lanes].
template <class Real>
void pack_stage(const Weights<Real>& weights, int stage, Buffer<Real>& r, Buffer<Real>& bias) {
  const auto& [cell, activation, C, H, w_, R, b_w, b_r] = weights.arrays;
  const StageSpec& spec = weights.spec().forward[stage];
  const Index lanes = weights.table.lanes, full = weights.table.forward_blocks[static_cast<int>(cell)][stage];
  const Index panels = weights.forward_panels(stage), width = full * spec.gates * lanes;
  r = Buffer<Real>(checked_product(checked_product(panels, H), width));
  bias = Buffer<Real>::zeros(panels * width);
  std::vector<const Real*> columns(at(width));
  for (Index panel = 0; panel < panels; ++panel) {
    const Index blocks = smaller(full, ceil_div(H, lanes) - panel * full);
    for (Index block = 0, column = 0; block < blocks; ++block)
      for (Index g = 0; g < spec.gates; ++g)
        for (Index lane = 0; lane < lanes; ++lane, ++column) {
          const Index unit = (panel * full + block) * lanes + lane, row = (spec.first_gate + g) * H + unit;
          columns[at(column)] = unit < H ? R + row * H : nullptr;
          if (unit < H && b_r != nullptr) bias.data()[panel * width + column] = b_r[row];
        }
    pack_columns(H, blocks * spec.gates * lanes, columns.data(), r.data() + panel * H * width);
  }
}

// The stage's rows of R as they are, in panels of units: [panel][gates H][blocks][lanes].
template <class Real>
void pack_transposed_stage(const Weights<Real>& weights, int stage, Buffer<Real>& r) {
  const StageSpec& spec = weights.spec().backward[stage];
  const Index H = weights.arrays.H, lanes = weights.table.lanes, full = weights.table.backward_blocks * lanes;
  const Index inner = spec.gates * H, panels = weights.backward_panels();
  r = Buffer<Real>(checked_product(checked_product(panels, inner), full));
  std::vector<const Real*> rows(at(inner));
  for (Index k = 0; k < inner; ++k) rows[at(k)] = weights.arrays.r + (spec.first_gate * H + k) * H;
  for (Index panel = 0; panel < panels; ++panel) {
    weights.table.pack_rows(inner, smaller(full, H - panel * full), rows.data(), panel * full,
                            r.data() + panel * inner * full);
  }
}

}  // namespace

template <class Real>
Weights<Real>::Weights(const WeightArrays<Real>& given)
    : arrays(given), table(kernels<Real>()), w(panels_of_transpose(given.w, spec().gates * given.H, given.C)) {
  for (int stage = 0; stage < spec().stages; ++stage) pack_stage(*this, stage, r[at(stage)], bias[at(stage)]);
}

template <class Real>
const typename Weights<Real>::Backward& Weights<Real>::backward() const {
  std::call_once(once_, [this] {
    backward_.w = panels_of(arrays.w, spec().gates * arrays.H, arrays.C);
    for (int stage = 0; stage < spec().stages; ++stage) pack_transposed_stage(*this, stage, backward_.r[at(stage)]);
  });
  return backward_;
}

template <class Real>
Index Weights<Real>::forward_panels(int stage) const {
  const Index blocks = table.forward_blocks[static_cast<int>(arrays.cell)][stage];
  return ceil_div(arrays.H, blocks * table.lanes);
}

template <class Real>
Index Weights<Real>::backward_panels() const {
  return ceil_div(arrays.H, static_cast<Index>(table.backward_blocks) * table.lanes);
}

template class Weights<float>;
template class Weights<double>;

}  // namespace rnnfast
