#include "generate.hpp"

#include <algorithm>
#include <atomic>
#include <deque>
#include <thread>

#include "../cpu/cost.hpp"
#include "input_table.hpp"

namespace rnnfast {

namespace {

// A share of the sequences, written by one thread without regard to the others. Sequences that stopped leave the
// stepper's rows to the ones that go on.
template <class Real>
class SequenceWriter {
 public:
  SequenceWriter(const GenerateCall<Real>& call, const InputTable<Real>& inputs, Range sequences);
  void run(bool polls, Interrupt& interrupt);

 private:
  bool choose(Index n, Index t, const Real* outputs);
  void choose_id(Index n, Index t, const Real* outputs);
  void choose_labels(Index n, Index t, const Real* outputs);
  const Real* input(Index n, Index t) const;
  void choose_all(Index t);

  const GenerateCall<Real>& call_;
  const InputTable<Real>& inputs_;
  Stepper<Real> stepper_;
  Sampler<Real> sampler_;
  OutputHead<Real> head_;
  Buffer<Real> outputs_;
  // the sequence of each row; the rows that go on
  std::vector<Index> stream_;
  std::vector<Index> kept_;
  std::vector<const Real*> h_rows_;
  std::vector<const Real*> x_rows_;
  std::vector<Real*> output_rows_;
};

template <class Real>
SequenceWriter<Real>::SequenceWriter(const GenerateCall<Real>& call, const InputTable<Real>& inputs, Range sequences)
    : call_(call),
      inputs_(inputs),
      stepper_(call.layers, sequences.end - sequences.begin),
      sampler_(call.sampling, call.writer.head.K),
      head_(call.writer.head, sequences.end - sequences.begin, sequences.begin, sequences.end - sequences.begin),
      outputs_(checked_product(sequences.end - sequences.begin, call.writer.head.K)) {
  const Index R = sequences.end - sequences.begin;
  for (Index layer = 0; layer < static_cast<Index>(call.layers.size()); ++layer) {
    const Index H = call.layers[at(layer)]->arrays.H;
    const Index P = call.layers[at(layer)]->arrays.P;
    const Index first = layer * call.R + sequences.begin;
    std::copy_n(call.h0 + first * P, R * P, stepper_.h(layer));
    if (call.c0 != nullptr) std::copy_n(call.c0 + first * H, R * H, stepper_.c(layer));
  }
  h_rows_.resize(at(R));
  x_rows_.resize(at(R));
  for (Index i = 0; i < R; ++i) {
    stream_.push_back(sequences.begin + i);
    output_rows_.push_back(outputs_.data() + i * call.writer.head.K);
  }
}

template <class Real>
void SequenceWriter<Real>::choose_id(Index n, Index t, const Real* outputs) {
  const Index forced =
      call_.prefix != nullptr && t < call_.prefix_length ? call_.prefix[n * call_.prefix_length + t] : -1;
  const Index id = forced >= 0 ? forced : sampler_.choose(outputs, uniform(call_.sampling.seed, n, t, 0));
  call_.ids[n * call_.length + t] = id;
  if (call_.log_probability != nullptr)
    call_.log_probability[n * call_.length + t] = sampler_.log_probability(outputs, id);
}

template <class Real>
void SequenceWriter<Real>::choose_labels(Index n, Index t, const Real* outputs) {
  const Index K = call_.writer.head.K;
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

// Chooses element t of sequence n; answers whether the sequence goes on.
template <class Real>
bool SequenceWriter<Real>::choose(Index n, Index t, const Real* outputs) {
  const Index K = call_.writer.head.K;
  if (call_.writer.element == Element::kId) {
    choose_id(n, t, outputs);
    if (call_.ids[n * call_.length + t] == call_.stop) return false;
  } else if (call_.writer.element == Element::kLabels) {
    choose_labels(n, t, outputs);
  } else {
    std::copy_n(outputs, K, call_.vectors + (n * call_.length + t) * K);
  }
  call_.counts[n] = t + 1;
  return true;
}

template <class Real>
const Real* SequenceWriter<Real>::input(Index n, Index t) const {
  if (call_.writer.element == Element::kId) return inputs_.row(call_.ids[n * call_.length + t]);
  return call_.vectors + (n * call_.length + t) * call_.writer.head.K;
}

template <class Real>
void SequenceWriter<Real>::choose_all(Index t) {
  kept_.clear();
  for (Index i = 0; i < static_cast<Index>(stream_.size()); ++i)
    if (choose(stream_[at(i)], t, output_rows_[at(i)])) kept_.push_back(i);
  if (kept_.size() == stream_.size()) return;
  stepper_.reorder(kept_.data(), static_cast<Index>(kept_.size()));
  for (std::size_t i = 0; i < kept_.size(); ++i) stream_[i] = stream_[at(kept_[i])];
  stream_.resize(kept_.size());
}

template <class Real>
void SequenceWriter<Real>::run(bool polls, Interrupt& interrupt) {
  const Index P = call_.layers.back()->arrays.P;
  for (const Index n : stream_) call_.counts[n] = 0;
  for (Index t = 0; t < call_.length && !stream_.empty(); ++t) {
    if (polls) interrupt.check();
    if (interrupt.stopped()) return;
    const Index rows = static_cast<Index>(stream_.size());
    for (Index i = 0; i < rows; ++i) h_rows_[at(i)] = stepper_.last_h() + i * P;
    head_.run(rows, h_rows_.data(), stream_.data(), output_rows_.data());
    choose_all(t);
    if (t + 1 == call_.length) return;
    for (std::size_t i = 0; i < stream_.size(); ++i) x_rows_[i] = input(stream_[i], t);
    inputs_.step(stepper_, static_cast<Index>(stream_.size()), x_rows_.data());
  }
}

// About how long one sequence takes: what decides whether a second thread pays.
template <class Real>
double sequence_ns(const GenerateCall<Real>& call) {
  double flops = 2.0 * static_cast<double>(call.writer.head.K * call.layers.back()->arrays.P);
  for (const auto& layer : call.layers)
    flops += 2.0 * layer->spec().gates * static_cast<double>(layer->arrays.H * (layer->arrays.P + layer->arrays.C));
  return flops / kFlopsPerNs * static_cast<double>(call.length);
}

}  // namespace

template <class Real>
bool generate(const GenerateCall<Real>& call, Interrupt& interrupt) {
  const bool shared = sequence_ns(call) * static_cast<double>(call.R) > kNsPerMember;
  const Index parts = shared ? std::max<Index>(1, smaller(call.threads, call.R)) : 1;
  const InputTable<Real> inputs(call.layers, call.writer.table, call.writer.V,
                                static_cast<double>(call.R) * static_cast<double>(call.length) / 4);
  std::deque<SequenceWriter<Real>> writers;
  for (Index part = 0; part < parts; ++part) writers.emplace_back(call, inputs, share(call.R, parts, part));
  run_parts(parts, interrupt, [&](Index part, bool polls) { writers[at(part)].run(polls, interrupt); });
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
