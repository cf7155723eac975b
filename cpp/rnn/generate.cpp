#include "generate.hpp"

#include <algorithm>
#include <atomic>
#include <deque>
#include <thread>

#include "stepper.hpp"

namespace rnnfast {

namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

// A share of the sequences, written by one thread without regard to the others.
template <class Real>
class Scribe {
 public:
  Scribe(const GenerateCall<Real>& call, Range sequences);
  void run(bool polls, Interrupt& interrupt);

 private:
  bool choose(Index i, Index t);
  void choose_id(Index n, Index t, const Real* outputs);
  void choose_labels(Index n, Index t, const Real* outputs);

  const GenerateCall<Real>& call_;
  const Range sequences_;
  Stepper<Real> stepper_;
  Sampler<Real> sampler_;
  Buffer<Real> outputs_;
  std::vector<const Real*> h_rows_, x_rows_;
  std::vector<Real*> output_rows_;
};

template <class Real>
Scribe<Real>::Scribe(const GenerateCall<Real>& call, Range sequences)
    : call_(call),
      sequences_(sequences),
      stepper_(call.layers, sequences.end - sequences.begin),
      sampler_(call.sampling, call.writer.K),
      outputs_(checked_product(sequences.end - sequences.begin, call.writer.K)) {
  const Index R = sequences.end - sequences.begin;
  for (Index layer = 0; layer < static_cast<Index>(call.layers.size()); ++layer) {
    const Index H = call.layers[at(layer)]->arrays.H, offset = (layer * call.R + sequences.begin) * H;
    std::copy_n(call.h0 + offset, R * H, stepper_.h(layer));
    if (call.c0 != nullptr) std::copy_n(call.c0 + offset, R * H, stepper_.c(layer));
  }
  h_rows_.resize(at(R)), x_rows_.resize(at(R));
  for (Index i = 0; i < R; ++i) output_rows_.push_back(outputs_.data() + i * call.writer.K);
}

template <class Real>
void Scribe<Real>::choose_id(Index n, Index t, const Real* outputs) {
  const Index forced =
      call_.prefix != nullptr && t < call_.prefix_length ? call_.prefix[n * call_.prefix_length + t] : -1;
  double& log_probability = call_.log_probability[n * call_.length + t];
  Index& id = call_.ids[n * call_.length + t];
  id = forced >= 0 ? forced : sampler_.choose(outputs, uniform(call_.sampling.seed, n, t, 0), log_probability);
  if (forced >= 0) log_probability = sampler_.log_probability(outputs, forced);
}

template <class Real>
void Scribe<Real>::choose_labels(Index n, Index t, const Real* outputs) {
  const Index K = call_.writer.K;
  Real* labels = call_.vectors + (n * call_.length + t) * K;
  if (call_.sampling.greedy) {
    for (Index k = 0; k < K; ++k) labels[k] = outputs[k] > Real(0) ? Real(1) : Real(0);
    return;
  }
  const Real scale = static_cast<Real>(1 / call_.sampling.temperature);
  for (Index k = 0; k < K; ++k) labels[k] = outputs[k] * scale;
  kernels<Real>().unary(Unary::kSigmoid, K, labels, labels);
  for (Index k = 0; k < K; ++k) {
    const double u = uniform(call_.sampling.seed, n, t, k);
    labels[k] = u < static_cast<double>(labels[k]) ? Real(1) : Real(0);
  }
}

// Chooses element t of the i-th sequence; answers whether the sequence goes on.
template <class Real>
bool Scribe<Real>::choose(Index i, Index t) {
  const Index n = sequences_.begin + i, K = call_.writer.K;
  if (call_.counts[n] < t) return false;
  const Real* outputs = output_rows_[at(i)];
  if (call_.writer.element == Element::kId) {
    choose_id(n, t, outputs);
    const Index id = call_.ids[n * call_.length + t];
    x_rows_[at(i)] = call_.writer.table + id * call_.layers.front()->arrays.C;
    if (id == call_.stop) return false;
  } else {
    if (call_.writer.element == Element::kLabels)
      choose_labels(n, t, outputs);
    else
      std::copy_n(outputs, K, call_.vectors + (n * call_.length + t) * K);
    x_rows_[at(i)] = call_.vectors + (n * call_.length + t) * K;
  }
  call_.counts[n] = t + 1;
  return true;
}

template <class Real>
void Scribe<Real>::run(bool polls, Interrupt& interrupt) {
  const Index R = sequences_.end - sequences_.begin, H = call_.layers.back()->arrays.H;
  std::fill_n(call_.counts + sequences_.begin, R, Index{0});
  for (Index t = 0; t < call_.length; ++t) {
    if (polls) interrupt.check();
    if (interrupt.stopped()) return;
    for (Index i = 0; i < R; ++i) h_rows_[at(i)] = stepper_.last_h() + i * H;
    multiply(call_.writer.head, R, h_rows_.data(), output_rows_.data(), call_.writer.head_bias);
    bool any = false;
    for (Index i = 0; i < R; ++i) any = choose(i, t) || any;
    if (!any) return;
    if (t + 1 < call_.length) stepper_.step(x_rows_.data());
  }
}

// One step of one sequence in nanoseconds, roughly: what decides whether a second thread pays.
constexpr double kFlopsPerNs = 30, kNsPerTeam = 5000;

template <class Real>
double sequence_ns(const GenerateCall<Real>& call) {
  double flops = 2.0 * static_cast<double>(call.writer.K * call.layers.back()->arrays.H);
  for (const auto& layer : call.layers)
    flops += 2.0 * layer->spec().gates * static_cast<double>(layer->arrays.H * (layer->arrays.H + layer->arrays.C));
  return flops / kFlopsPerNs * static_cast<double>(call.length);
}

}  // namespace

template <class Real>
bool generate(const GenerateCall<Real>& call, Interrupt& interrupt) {
  const bool shared = sequence_ns(call) * static_cast<double>(call.R) > 2 * kNsPerTeam;
  const Index parts = shared ? std::max<Index>(1, smaller(call.threads, call.R)) : 1;
  std::deque<Scribe<Real>> scribes;
  for (Index part = 0; part < parts; ++part) scribes.emplace_back(call, share(call.R, parts, part));
  run_parts(parts, interrupt, [&](Index part, bool polls) { scribes[at(part)].run(polls, interrupt); });
  return !interrupt.stopped();
}

void run_parts(Index parts, Interrupt& interrupt, const std::function<void(Index part, bool polls)>& f) {
  std::atomic<int> done{0};
  struct Leave {
    std::atomic<int>& done;
    ~Leave() { ++done; }
  };
  run_team(static_cast<int>(parts), [&](const Member& member) {
    {
      const Leave leave{done};  // also when f throws
      for (Index part = member.rank; part < parts; part += member.size) f(part, member.rank == 0);
    }
    while (member.rank == 0 && done < member.size && !interrupt.stopped()) {
      interrupt.check();
      std::this_thread::yield();
    }
  });
}

template bool generate(const GenerateCall<float>&, Interrupt&);
template bool generate(const GenerateCall<double>&, Interrupt&);

}  // namespace rnnfast
