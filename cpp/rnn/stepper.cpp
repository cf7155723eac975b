#include "stepper.hpp"

#include <algorithm>
#include <utility>

#include "rows.hpp"

namespace rnnfast {

template <class Real>
Stepper<Real>::Stepper(const Stack<Real>& layers, Index batch) {
  for (const auto& weights : layers) {
    const CellSpec& spec = weights->spec();
    const Index H = weights->arrays.H, units = checked_product(batch, H);
    Layer layer{weights.get(),
                Buffer<Real>::zeros(units),
                Buffer<Real>(units),
                {},
                {},
                Buffer<Real>(units * spec.gates),
                {},
                {},
                {}};
    if (spec.states > 1) {
      layer.c = Buffer<Real>::zeros(units);
      layer.c_next = Buffer<Real>(units);
    } else if (spec.aux > 0) {
      layer.aux = Buffer<Real>(units);
    }
    layer.h_rows.resize(static_cast<std::size_t>(batch));
    for (Index n = 0; n < batch; ++n) layer.u_rows.push_back(layer.u.data() + n * spec.gates * H);
    layers_.push_back(std::move(layer));
  }
}

template <class Real>
void Stepper<Real>::run_stages(Layer& layer, Index rows) {
  const Weights<Real>& weights = *layer.weights;
  const Index H = weights.arrays.H;
  const bool has_c = weights.spec().states > 1;
  ForwardArgs<Real> args{};
  args.walk = {rows, 1, 1, nullptr, nullptr, 1, 0, 0, rows};
  args.s0 = 0, args.s1 = 1, args.panel0 = 0, args.H = H;
  args.u = rows_view(layer.u.data(), weights.spec().gates * H);
  args.y = rows_view(layer.h_next.data(), H);
  args.aux = rows_view(has_c ? layer.c.data() : layer.aux.data(), H);
  args.h0 = layer.h.data(), args.c0 = layer.c.data(), args.zero = layer.h.data();
  args.save = false, args.activation = weights.arrays.activation;
  for (int stage = 0; stage < weights.spec().stages; ++stage) {
    args.panel1 = weights.forward_panels(stage);
    args.packed = weights.r[static_cast<std::size_t>(stage)].data();
    args.bias = weights.bias[static_cast<std::size_t>(stage)].data();
    weights.table.forward[static_cast<int>(weights.arrays.cell)][stage](args);
  }
}

template <class Real>
const Real* Stepper<Real>::step(Index rows, const Real* const* x, bool projected) {
  for (Layer& layer : layers_) {
    const WeightArrays<Real>& arrays = layer.weights->arrays;
    if (projected)
      for (Index n = 0; n < rows; ++n)
        std::copy_n(x[n], layer.weights->spec().gates * arrays.H, layer.u_rows[static_cast<std::size_t>(n)]);
    else
      multiply(layer.weights->w, rows, x, layer.u_rows.data(), arrays.b_w);
    run_stages(layer, rows);
    std::swap(layer.h, layer.h_next);
    for (Index n = 0; n < rows; ++n) layer.h_rows[static_cast<std::size_t>(n)] = layer.h.data() + n * arrays.H;
    x = layer.h_rows.data();
    projected = false;
  }
  return last_h();
}

template <class Real>
void Stepper<Real>::reorder(const Index* from, Index count) {
  const auto gather = [&](Buffer<Real>& state, Buffer<Real>& next, Index H) {
    for (Index n = 0; n < count; ++n) std::copy_n(state.data() + from[n] * H, H, next.data() + n * H);
    std::swap(state, next);
  };
  for (Layer& layer : layers_) {
    const Index H = layer.weights->arrays.H;
    gather(layer.h, layer.h_next, H);
    if (layer.c.size() > 0) gather(layer.c, layer.c_next, H);
  }
}

template class Stepper<float>;
template class Stepper<double>;

}  // namespace rnnfast
