#include "weights.hpp"

#include "../base/fault.hpp"

#include <algorithm>
#include <vector>

namespace rnnfast {

namespace {

constexpr Index kTransposed = 16;  // ids whose unit inputs are written side by side: one cache line of every row of W

// Packs the stage's rows of a matrix [G H, K] in panels of units, with the gates of a vector of units side by side:
// [panels, K, blocks, gates, lanes]; and its bias [G H] likewise.
template <class Real>
void pack_stage(const Weights<Real>& weights, int stage, const Real* matrix, Index K, const Real* bias,
                Buffer<Real>& packed, Buffer<Real>& packed_bias) {
  const CellKind cell = weights.arrays.cell;
  const StageSpec& spec = weights.spec().forward[stage];
  const Index H = weights.arrays.H;
  const Index lanes = weights.table.lanes;
  const Index full = weights.table.forward_blocks[static_cast<int>(cell)][stage];
  const Index panels = weights.forward_panels(stage);
  const Index width = full * spec.gates * lanes;
  packed = Buffer<Real>(checked_product(checked_product(panels, K), width));
  packed_bias = Buffer<Real>::zeros(panels * width);
  std::vector<const Real*> columns(at(width));
  if (faulty(Fault::kMissingBias) && matrix == weights.arrays.r) bias = nullptr;
  for (Index panel = 0; panel < panels; ++panel) {
    const Index blocks = smaller(full, ceil_div(H, lanes) - panel * full);
    for (Index block = 0, column = 0; block < blocks; ++block)
      for (Index g = 0; g < spec.gates; ++g)
        for (Index lane = 0; lane < lanes; ++lane, ++column) {
          const Index unit = (panel * full + block) * lanes + lane;
          const Index gate = faulty(Fault::kSwappedGates) && spec.gates > 1 && g < 2 ? 1 - g : g;
          const Index row = (spec.first_gate + gate) * H + unit;
          columns[at(column)] = unit < H ? matrix + row * K : nullptr;
          if (unit < H && bias != nullptr) packed_bias.data()[panel * width + column] = bias[row];
        }
    pack_columns(K, blocks * spec.gates * lanes, columns.data(), packed.data() + panel * K * width);
  }
}

// Packs the stage's rows of R, not transposed, in panels of units: [panels, gates H, blocks, lanes].
template <class Real>
void pack_transposed_stage(const Weights<Real>& weights, int stage, Buffer<Real>& r) {
  const StageSpec& spec = weights.spec().backward[stage];
  const Index H = weights.arrays.H;
  const Index lanes = weights.table.lanes;
  const Index full = weights.table.backward_blocks * lanes;
  const Index inner = spec.gates * H;
  const Index panels = weights.backward_panels();
  r = Buffer<Real>(checked_product(checked_product(panels, inner), full));
  std::vector<const Real*> rows(at(inner));
  for (Index k = 0; k < inner; ++k) rows[at(k)] = weights.arrays.r + (spec.first_gate * H + k) * H;
  for (Index panel = 0; panel < panels; ++panel) {
    const Index valid = smaller(full, H - panel * full);
    weights.table.pack_rows(inner, valid, rows.data(), panel * full, r.data() + panel * inner * full,
                            ceil_div(valid, lanes) * lanes);
  }
}

template <class Real>
void set_bounds(const Kernels<Real>& table, ActivationFn<Real>& fn) {
  const Real bounds[] = {-fn.clip, fn.clip};
  Real values[2];
  table.activate(fn, 2, bounds, values);
  fn.low = values[0];
  fn.high = values[1];
}

template <class Real>
Buffer<Real> copy_of(const Real* numbers, Index count) {
  Buffer<Real> copy(count);
  std::copy_n(numbers, count, copy.data());
  return copy;
}

}  // namespace

template <class Real>
Weights<Real>::Weights(const WeightArrays<Real>& given)
    : arrays(given),
      table(kernels<Real>()),
      options(given.options),
      w(panels_of_transpose(given.w, spec().gates * given.H, given.C)) {
  for (ActivationFn<Real>* fn : {&options.f, &options.g, &options.h}) set_bounds(table, *fn);
  if (options.peepholes != nullptr) {
    peepholes_ = copy_of(options.peepholes, spec().peepholes * given.H);
    options.peepholes = peepholes_.data();
  }
  if (options.zoneout != nullptr) {
    zoneout_ = copy_of(options.zoneout, spec().states * given.H);
    options.zoneout = zoneout_.data();
  }
  if (given.b_w != nullptr) input_bias_ = copy_of(given.b_w, spec().gates * given.H);
  if (projected()) projection = panels_of_transpose(given.projection, given.P, given.H);
  if (normed()) pack_normed();
  for (int stage = 0; stage < spec().stages && !normed(); ++stage)
    pack_stage(*this, stage, given.r, given.P, given.b_r, r[at(stage)], bias[at(stage)]);
}

template <class Real>
void Weights<Real>::pack_normed() {
  const NormArrays<Real>& norm = arrays.norm;
  const Index H = arrays.H;
  const Index width = spec().gates * H;
  options.normed_output = spec().output_gate >= 0;
  for (int stage = 0; stage < spec().stages; ++stage) {
    const StageSpec& of = spec().forward[stage];
    recurrent[at(stage)] = panels_of_transpose(arrays.r + of.first_gate * H * arrays.P, of.gates * H, arrays.P);
  }
  if (arrays.b_r != nullptr) recurrent_bias_ = copy_of(arrays.b_r, width);
  gammas_ = Buffer<Real>(H + 2 * width);
  if (norm.gamma_c != nullptr) std::copy_n(norm.gamma_c, H, gammas_.data());
  std::copy_n(norm.gamma_ih, width, gammas_.data() + H);
  std::copy_n(norm.gamma_hh, width, gammas_.data() + H + width);
  if (norm.beta_c != nullptr) beta_c_ = copy_of(norm.beta_c, H);
}

template <class Real>
Norm<Real> Weights<Real>::norm_of(int segment, const Real* gammas, const Real* bias) const {
  const SegmentSpec& of = spec().segment[segment];
  const Index first = of.first_gate * arrays.H;
  return {of.gates * arrays.H, arrays.norm.eps, gammas + first, bias != nullptr ? bias + first : nullptr};
}

template <class Real>
Norm<Real> Weights<Real>::input_norm(int segment) const {
  return norm_of(segment, gammas_.data() + arrays.H, input_bias_.data());
}

template <class Real>
Norm<Real> Weights<Real>::recurrent_norm(int segment) const {
  return norm_of(segment, gammas_.data() + arrays.H + spec().gates * arrays.H, recurrent_bias_.data());
}

template <class Real>
void Weights<Real>::multiply_input(Index rows, const Real* const* x, Real* const* raw, Real* const* u,
                                   bool fetch_ahead) const {
  if (!normed()) return multiply(w, rows, x, u, input_bias(), fetch_ahead);
  multiply<Real>(w, rows, x, raw, nullptr, fetch_ahead);
  for (Index row = 0; row < rows; ++row) normalize_input(raw[row], u[row]);
}

template <class Real>
void Weights<Real>::normalize_input(const Real* raw, Real* u) const {
  for (int segment = 0; segment < spec().segments; ++segment) {
    const Index first = spec().segment[segment].first_gate * arrays.H;
    table.normalize(input_norm(segment), raw + first, u + first);
  }
}

template <class Real>
const Real* Weights<Real>::unit_inputs() const {
  std::call_once(units_once_, [this] {
    const Index C = arrays.C;
    const Index width = spec().gates * arrays.H;
    unit_inputs_ = Buffer<Real>(checked_product(C, width));
    for (Index first = 0; first < C; first += kTransposed) {
      const Index last = smaller(first + kTransposed, C);
      for (Index row = 0; row < width; ++row)
        for (Index id = first; id < last; ++id) unit_inputs_.data()[id * width + row] = arrays.w[row * C + id];
      for (Index id = first; id < last; ++id) {
        Real* u = unit_inputs_.data() + id * width;
        if (normed()) {
          normalize_input(u, u);
        } else if (input_bias() != nullptr) {
          for (Index row = 0; row < width; ++row) u[row] += input_bias()[row];
        }
      }
    }
  });
  return unit_inputs_.data();
}

template <class Real>
void Weights<Real>::multiply_input_units(int stage, Range panels, Index rows, const Real* const* x, Real* const* u,
                                         bool fetch_ahead) const {
  const StageSpec& of = spec().forward[stage];
  multiply_units<Real>({input_unit_panels().w[at(stage)].data(), arrays.C, of.gates, of.first_gate, arrays.H}, panels,
                       rows, x, u, input_bias(), fetch_ahead);
}

template <class Real>
void Weights<Real>::normalize_recurrent(int stage, const Real* raw, Real* q) const {
  const StageSpec& of = spec().forward[stage];
  for (int segment = 0; segment < spec().segments; ++segment) {
    const Index gate = spec().segment[segment].first_gate;
    const Index first = gate * arrays.H;
    if (gate >= of.first_gate && gate < of.first_gate + of.gates)
      table.normalize(recurrent_norm(segment), raw + first, q + first);
  }
}

template <class Real>
const typename Weights<Real>::InputUnitPanels& Weights<Real>::input_unit_panels() const {
  std::call_once(input_units_once_, [this] {
    for (int stage = 0; stage < spec().stages; ++stage)
      pack_stage(*this, stage, arrays.w, arrays.C, arrays.b_w, input_units_.w[at(stage)], input_units_.b_w[at(stage)]);
  });
  return input_units_;
}

template <class Real>
const typename Weights<Real>::LaneWeights& Weights<Real>::lane_weights() const {
  std::call_once(lanes_once_, [this] {
    const Index G = spec().gates;
    const Index H = arrays.H;
    const Index units = lane_units();
    lanes_.packed = Buffer<Real>::zeros(checked_product(units, (arrays.C + arrays.P) * G));
    lanes_.bias = Buffer<Real>::zeros(units * 2 * G);
    const auto pack = [&](const Real* matrix, Index K, const Real* bias, Index first_k, Index which) {
      for (Index unit = 0; unit < H; ++unit)
        for (Index g = 0; g < G; ++g) {
          const Real* row = matrix + (g * H + unit) * K;
          Real* to = lanes_.packed.data() + (unit * (arrays.C + arrays.P) + first_k) * G + g;
          for (Index k = 0; k < K; ++k) to[k * G] = row[k];
          if (bias != nullptr) lanes_.bias.data()[(unit * 2 + which) * G + g] = bias[g * H + unit];
        }
    };
    pack(arrays.w, arrays.C, arrays.b_w, 0, 0);
    pack(arrays.r, arrays.P, arrays.b_r, arrays.C, 1);
  });
  return lanes_;
}

template <class Real>
const typename Weights<Real>::Backward& Weights<Real>::backward() const {
  std::call_once(backward_once_, [this] {
    backward_.w = panels_of(arrays.w, spec().gates * arrays.H, arrays.C);
    const Index H = arrays.H;
    const Index P = arrays.P;
    if (projected()) backward_.projection = panels_of(arrays.projection, P, H);
    for (int stage = 0; stage < spec().stages; ++stage) {
      const StageSpec& of = spec().backward[stage];
      if (projected() || normed())
        backward_.recurrent[at(stage)] = panels_of(arrays.r + of.first_gate * H * P, of.gates * H, P);
      else
        pack_transposed_stage(*this, stage, backward_.r[at(stage)]);
    }
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
