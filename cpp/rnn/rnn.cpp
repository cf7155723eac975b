#include "rnn.hpp"

#include <algorithm>
#include <optional>

#include "backward.hpp"

namespace rnnfast {

namespace {

// dx of a layer with two directions: of a block of rows both products one after the other.
template <class Real>
void add_both_dx(const Plan& plan, BackwardScan<Real>& ahead, BackwardScan<Real>& back, const Member& member) {
  const Range mine = share(plan.rows(), member.size, member.rank);
  for (Index row = mine.begin; row < mine.end; row += kRowBlock) {
    const Range block = {row, smaller(row + kRowBlock, mine.end)};
    ahead.add_dx(block, member.rank);
    back.add_dx(block, member.rank);
  }
}

// Whether the layers of a call may take sequences in lanes, as far as the batch and the options of the call are
// concerned.
template <class Real>
bool allows_lanes(const ForwardCall<Real>& call) {
  return call.plan.equal_lengths() && call.x.starts == nullptr && !call.random.any();
}

template <class Real>
LayerSize size_of(const Weights<Real>& weights, bool lanes) {
  return {&weights.spec(), weights.arrays.C, weights.arrays.H, sizeof(Real),
          lanes && weights.takes_lanes() ? static_cast<Index>(weights.table.lanes) : 0};
}

// Of a stack's layers from the first one up or, going back, from the last one down; two directions take turns instead.
template <class Real>
Wavefront wavefront_of(const Stack<Real>& stack, Index D, const Plan& plan, int threads, bool saves, bool back,
                       bool lanes) {
  std::vector<LayerSize> sizes;
  for (std::size_t i = 0; D == 1 && stack.size() > 1 && i < stack.size(); ++i)
    sizes.push_back(size_of(*stack[back ? stack.size() - 1 - i : i], lanes));
  return {sizes, plan, threads, saves};
}

// Elements are constructed in place, one after another; they cannot be moved.
template <class T>
using InPlace = std::vector<std::optional<T>>;

// How a layer is computed: by a thread of its own in a wavefront, else by the whole team.
const LayerSchedule& schedule_layer(std::optional<LayerSchedule>& layer, const Wavefront& wave, Index D,
                                    const Plan& plan, const LayerSize& size, int threads, bool saves) {
  const bool at_once = wave.threads() > 1;
  layer.emplace(D, plan, size, at_once ? 1 : threads, saves);
  if (at_once) layer->limit_chunk(wave.chunk());
  return *layer;
}

}  // namespace

template <class Real>
bool forward(const ForwardCall<Real>& call, Interrupt& interrupt) {
  const Index D = call.directions;
  const Index L = static_cast<Index>(call.layers.size()) / D;
  const bool saves = call.saved != nullptr;
  const bool lanes = allows_lanes(call);
  const int most = team_threads(call.threads);
  Wavefront wave = wavefront_of(call.layers, D, call.plan, most, saves, false, lanes);
  // Each buffer keeps a layer's output until the layer above and the layer itself have read it.
  std::vector<Buffer<Real>> between(saves ? 0 : at(smaller(L - 1, std::max(2, wave.threads()))));
  InPlace<LayerSchedule> layers(at(L));
  InPlace<ForwardScan<Real>> scans(at(L * D));
  View<const Real> x = call.x;
  int threads = wave.threads();
  for (Index layer = 0; layer < L; ++layer) {
    const Weights<Real>& weights = *call.layers[at(layer * D)];
    const Index P = weights.arrays.P;
    View<Real> y = call.y;
    if (layer + 1 < L) {
      Buffer<Real>& buffer = saves ? (*call.saved)[at(layer * D)].y : between[at(layer) % between.size()];
      if (buffer.size() == 0) buffer = Buffer<Real>(checked_product(call.plan.rows(), D * P));
      y = rows_view(buffer.data(), D * P);
    }
    const LayerSchedule& shared =
        schedule_layer(layers[at(layer)], wave, D, call.plan, size_of(weights, lanes), most, saves);
    threads = std::max(threads, shared.threads());
    for (Index direction = 0; direction < D; ++direction)
      scans[at(layer * D + direction)].emplace(call, layer * D + direction, shared.schedule(direction), x,
                                               columns(y, direction * P));
    x = read_only(y);
  }
  const Index width = D * call.layers.back()->arrays.P;
  run_team(threads, [&](const Member& member) {
    zero_padding(call.plan, call.y, call.T, width, share(call.plan.sequences(), member.size, member.rank));
    if (wave.threads() > 1)
      return wave.share(member, [&](Index layer, const Member& alone, const Link& link) {
        scans[at(layer)]->run(alone, interrupt, link);
      });
    for (Index layer = 0; layer < L; ++layer)
      layers[at(layer)]->share(
          member, [&](Index direction, const Member& part) { scans[at(layer * D + direction)]->run(part, interrupt); });
  });
  return !interrupt.stopped();
}

template bool forward(const ForwardCall<float>&, Interrupt&);
template bool forward(const ForwardCall<double>&, Interrupt&);

template <class Real>
bool backward(const BackwardCall<Real>& call, Interrupt& interrupt) {
  const Index D = call.directions;
  const Index L = static_cast<Index>(call.layers.size()) / D;
  const int most = team_threads(call.threads);
  Wavefront wave = wavefront_of(call.layers, D, call.plan, most, true, true, false);
  std::vector<Buffer<Real>> between(at(smaller(L - 1, std::max(2, wave.threads()))));
  InPlace<LayerSchedule> layers(at(L));  // and scans: from the last layer on
  InPlace<BackwardScan<Real>> scans(at(L * D));
  Surroundings<Real> views{call.x, call.y, call.dy, call.dx};
  int threads = wave.threads();
  for (Index layer = L - 1; layer >= 0; --layer) {
    const Weights<Real>& weights = *call.layers[at(layer * D)];
    const Index C = weights.arrays.C;
    if (layer + 1 < L) {
      views.y = views.x;
      views.dy = read_only(views.dx);
    }
    views.x = layer > 0 ? rows_view<const Real>(call.saved[at((layer - 1) * D)].y.data(), C) : call.x;
    views.dx = call.dx;
    if (layer > 0) {
      Buffer<Real>& buffer = between[at(layer) % between.size()];
      if (buffer.size() == 0) buffer = Buffer<Real>(checked_product(call.plan.rows(), C));
      views.dx = rows_view(buffer.data(), C);
    }
    const Index i = L - 1 - layer;
    const LayerSchedule& shared =
        schedule_layer(layers[at(i)], wave, D, call.plan, size_of(weights, false), most, true);
    threads = std::max(threads, shared.threads());
    for (Index direction = 0; direction < D; ++direction)
      scans[at(i * D + direction)].emplace(call, layer * D + direction, shared.schedule(direction), views);
  }
  run_team(threads, [&](const Member& member) {
    if (call.dx.data != nullptr)
      zero_padding(call.plan, call.dx, call.T, call.layers[0]->arrays.C,
                   share(call.plan.sequences(), member.size, member.rank));
    if (wave.threads() > 1)
      return wave.share(
          member, [&](Index i, const Member& alone, const Link& link) { scans[at(i)]->run(alone, interrupt, link); });
    for (Index i = 0; i < L; ++i) {  // from the last layer on
      layers[at(i)]->share(
          member, [&](Index direction, const Member& part) { scans[at(i * D + direction)]->run(part, interrupt); });
      if (D == 1 || (i + 1 == L && call.dx.data == nullptr)) continue;
      add_both_dx(call.plan, *scans[at(i * D)], *scans[at(i * D + 1)], member);
      member.wait();
    }
  });
  return !interrupt.stopped();
}

template bool backward(const BackwardCall<float>&, Interrupt&);
template bool backward(const BackwardCall<double>&, Interrupt&);

}  // namespace rnnfast
