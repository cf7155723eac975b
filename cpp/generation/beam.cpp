#include <algorithm>
#include <cmath>
#include <deque>
#include <numeric>

#include "generate.hpp"
#include "input_table.hpp"

namespace rnnfast {

namespace {

struct Candidate {
  double log_p;
  Index parent;
  Index id;
};

// The hypotheses of one prompt at a time.
template <class Real>
class Beam {
 public:
  Beam(const BeamCall<Real>& call, const InputTable<Real>& inputs, Range sequences);
  void run(Index n, bool polls, Interrupt& interrupt);

 private:
  void start(Index n);
  void expand();
  void extend(Index n, Index t);
  void finish(Index n, const std::vector<Index>& ids, double log_p, Index elements);

  const BeamCall<Real>& call_;
  const InputTable<Real>& inputs_;
  Stepper<Real> stepper_;
  OutputHead<Real> head_;
  Buffer<Real> outputs_;
  std::vector<const Real*> rows_;
  std::vector<Real*> output_rows_;
  std::vector<Index> parents_;
  std::vector<Index> source_;
  std::vector<Candidate> candidates_;
  std::vector<std::vector<Index>> alive_;  // ids of each hypothesis
  std::vector<double> log_p_;
};

template <class Real>
Beam<Real>::Beam(const BeamCall<Real>& call, const InputTable<Real>& inputs, Range sequences)
    : call_(call),
      inputs_(inputs),
      stepper_(call.layers, call.beams),
      head_(call.writer.head, call.beams, sequences.begin, sequences.end - sequences.begin),
      outputs_(checked_product(call.beams, call.writer.head.K)) {
  rows_.resize(at(call.beams));
  parents_.resize(at(call.beams));
  source_.resize(at(call.beams));
  for (Index i = 0; i < call.beams; ++i) output_rows_.push_back(outputs_.data() + i * call.writer.head.K);
}

template <class Real>
void Beam<Real>::start(Index n) {
  for (Index layer = 0; layer < static_cast<Index>(call_.layers.size()); ++layer) {
    const Index H = call_.layers[at(layer)]->arrays.H;
    const Index P = call_.layers[at(layer)]->arrays.P;
    const Index row = layer * call_.R + n;
    for (Index i = 0; i < call_.beams; ++i) {
      std::copy_n(call_.h0 + row * P, P, stepper_.h(layer) + i * P);
      if (call_.c0 != nullptr) std::copy_n(call_.c0 + row * H, H, stepper_.c(layer) + i * H);
    }
  }
  source_.assign(at(call_.beams), n);
  alive_.assign(1, {});
  log_p_.assign(1, 0.0);
  call_.scores[n] = -HUGE_VAL;
  call_.counts[n] = 0;
}

// All continuations of all hypotheses, the best 2 beams of them first: at most `beams` can end here, as many must live
// on.
template <class Real>
void Beam<Real>::expand() {
  const Index K = call_.writer.head.K;
  const Index P = call_.layers.back()->arrays.P;
  const Index alive = static_cast<Index>(alive_.size());
  for (Index i = 0; i < alive; ++i) rows_[at(i)] = stepper_.last_h() + i * P;
  head_.run(alive, rows_.data(), source_.data(), output_rows_.data());
  kernels<Real>().nn.log_softmax(alive, K, outputs_.data(), outputs_.data());
  candidates_.clear();
  for (Index i = 0; i < alive; ++i)
    for (Index id = 0; id < K; ++id)
      candidates_.push_back({log_p_[at(i)] + static_cast<double>(output_rows_[at(i)][id]), i, id});
  const auto kept = candidates_.begin() + smaller(2 * call_.beams, static_cast<Index>(candidates_.size()));
  std::partial_sort(candidates_.begin(), kept, candidates_.end(), [](const Candidate& a, const Candidate& b) {
    if (a.log_p != b.log_p) return a.log_p > b.log_p;
    return a.parent != b.parent ? a.parent < b.parent : a.id < b.id;
  });
  candidates_.erase(kept, candidates_.end());
}

template <class Real>
void Beam<Real>::finish(Index n, const std::vector<Index>& ids, double log_p, Index elements) {
  const double score = log_p / std::pow((5.0 + static_cast<double>(elements)) / 6.0, call_.length_penalty);
  if (score <= call_.scores[n]) return;
  call_.scores[n] = score;
  call_.counts[n] = static_cast<Index>(ids.size());
  std::copy(ids.begin(), ids.end(), call_.ids + n * call_.length);
}

// Element t: candidates that stop are finished, the best of the others are the new hypotheses.
template <class Real>
void Beam<Real>::extend(Index n, Index t) {
  std::vector<std::vector<Index>> alive;
  std::vector<double> log_p;
  Index rank = 0;
  for (const Candidate& candidate : candidates_) {
    const std::vector<Index>& ids = alive_[at(candidate.parent)];
    if (candidate.id == call_.stop) {
      if (rank < call_.beams) finish(n, ids, candidate.log_p, t + 1);
    } else if (static_cast<Index>(alive.size()) < call_.beams) {
      parents_[alive.size()] = candidate.parent;
      alive.push_back(ids);
      alive.back().push_back(candidate.id);
      log_p.push_back(candidate.log_p);
    }
    ++rank;
  }
  alive_ = std::move(alive);
  log_p_ = std::move(log_p);
}

template <class Real>
void Beam<Real>::run(Index n, bool polls, Interrupt& interrupt) {
  start(n);
  for (Index t = 0; t < call_.length && !alive_.empty(); ++t) {
    if (polls) interrupt.check();
    if (interrupt.stopped()) return;
    expand();
    extend(n, t);
    if (t + 1 == call_.length) break;
    const Index alive = static_cast<Index>(alive_.size());
    stepper_.reorder(parents_.data(), alive);
    for (Index i = 0; i < alive; ++i) rows_[at(i)] = inputs_.row(alive_[at(i)].back());
    inputs_.step(stepper_, alive, rows_.data());
  }
  for (std::size_t i = 0; i < alive_.size(); ++i) finish(n, alive_[i], log_p_[i], static_cast<Index>(alive_[i].size()));
}

}  // namespace

template <class Real>
bool beam_search(const BeamCall<Real>& call, Interrupt& interrupt) {
  const Index parts = std::max<Index>(1, smaller(call.threads, call.R));
  const InputTable<Real> inputs(call.layers, call.writer.table, call.writer.V,
                                static_cast<double>(call.R * call.beams) * static_cast<double>(call.length) / 4);
  std::deque<Beam<Real>> beams;
  for (Index part = 0; part < parts; ++part) beams.emplace_back(call, inputs, share(call.R, parts, part));
  run_parts(parts, interrupt, [&](Index part, bool polls) {
    const Range own = share(call.R, parts, part);
    for (Index n = own.begin; n < own.end && !interrupt.stopped(); ++n) beams[at(part)].run(n, polls, interrupt);
  });
  return !interrupt.stopped();
}

template bool beam_search(const BeamCall<float>&, Interrupt&);
template bool beam_search(const BeamCall<double>&, Interrupt&);

}  // namespace rnnfast
