#include "stream.hpp"

#include <algorithm>
#include <functional>
#include <utility>

#include "../cpu/cost.hpp"

#include "plan.hpp"

namespace rnnfast {

namespace {

template <class Real>
StepCost cost_of(const Stack<Real>& layers, Index batch, int threads) {
  // One row of a normalised layer is one thread's.
  const bool alone = batch == 1 && layers.front()->normed();
  StepCost cost(batch, static_cast<Index>(sizeof(Real)), alone ? 1 : threads);
  for (const auto& layer : layers) cost.add(layer->spec(), layer->arrays.C, layer->arrays.H);
  return cost;
}

}  // namespace

template <class Real>
Stream<Real>::Stream(Stack<Real> layers, Index batch, StreamHead<Real> head)
    : layers_(std::move(layers)),
      batch_(batch),
      head_(std::move(head)),
      stepper_(layers_, batch),
      slow_(cost_of(layers_, batch, 1).alone() > kSlowNs) {
  if (head_.K == 0) return;
  h_rows_.resize(static_cast<std::size_t>(batch));
  out_rows_.resize(static_cast<std::size_t>(batch));
}

// How the next step is shared: a team that was hardly left waiting is still awake.
template <class Real>
Schedule Stream<Real>::schedule() {
  const int threads = num_threads();
  if (threads != scheduled_for_) {
    const StepCost cost = cost_of(layers_, batch_, threads);
    awake_ = cost.schedule(true);
    asleep_ = cost.schedule(false);
    scheduled_for_ = threads;
  }
  if (awake_.threads == 1) return awake_;
  return nanoseconds_since(last_end_) < kStillAwakeNs ? awake_ : asleep_;
}

// The outputs of some rows, given all rows' h.
template <class Real>
void Stream<Real>::emit(Range rows, const Real* h, Real* out) {
  const Index P = outputs();
  const Index count = rows.end - rows.begin;
  if (head_.K == 0) {
    std::copy_n(h + rows.begin * P, count * P, out + rows.begin * P);
    return;
  }
  for (Index n = rows.begin; n < rows.end; ++n) {
    h_rows_[static_cast<std::size_t>(n)] = h + n * P;
    out_rows_[static_cast<std::size_t>(n)] = out + n * head_.K;
  }
  multiply(head_.weights, count, h_rows_.data() + rows.begin, out_rows_.data() + rows.begin, head_.bias.data());
}

template <class Real>
void Stream<Real>::step(const StepInput<Real>& x, Real* out) {
  const Schedule plan = schedule();
  const auto run = [&](const Member& member) {
    stepper_.compute(x, batch_, plan.split, member);
    // Not share(batch_, member): without the division the copy of h comes too close behind its stores, 45 ns a step.
    emit(share(batch_, member.size, member.rank), stepper_.next_h(), out);
  };
  run_team(plan.threads, std::cref(run));  // by reference: a copy of the closure would be allocated
  stepper_.advance();
  if (awake_.threads > 1) last_end_ = Clock::now();
}

template <class Real>
void Stream<Real>::read_heads(Range rows, Index T, const Real* h, const View<Real>& y) const {
  const Index P = outputs();
  std::vector<const Real*> from(static_cast<std::size_t>(rows.end - rows.begin));
  std::vector<Real*> to(from.size());
  for (Index row = rows.begin; row < rows.end; ++row) {
    const auto i = static_cast<std::size_t>(row - rows.begin);
    from[i] = h + row * P;
    to[i] = row_of(y, 0, row / T, row % T);
  }
  multiply(head_.weights, rows.end - rows.begin, from.data(), to.data(), head_.bias.data());
}

template <class Real>
bool Stream<Real>::process(const View<const Real>& x, const View<Real>& y, Index T, Interrupt& interrupt) {
  const Plan plan({batch_, T, nullptr, nullptr});
  const Index P = outputs();
  Buffer<Real> h;
  View<Real> top = y;
  if (head_.K > 0) {
    h = Buffer<Real>(checked_product(plan.rows(), P));
    top = {h.data(), 0, 0, T * P, P};
  }
  ForwardCall<Real> call(layers_, plan);
  call.T = T;
  call.x = x;
  call.y = top;
  call.h0 = stepper_.h();
  call.c0 = stepper_.c();
  call.hn = stepper_.h_after();
  call.cn = stepper_.c_after();
  call.threads = num_threads();
  if (!forward(call, interrupt)) return false;
  if (head_.K > 0) {
    const auto run = [&](const Member& member) {
      const Range rows = share(plan.rows(), member.size, member.rank);
      if (rows.begin < rows.end) read_heads(rows, T, h.data(), y);
    };
    run_team(plan.rows() * P * head_.K > kSharedHeadFlops ? num_threads() : 1, std::cref(run));
  }
  stepper_.replace_states();
  return true;
}

template class Stream<float>;
template class Stream<double>;

}  // namespace rnnfast
