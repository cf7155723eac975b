#include "attention.hpp"

#include <algorithm>
#include <vector>

#include "../cpu/cost.hpp"

namespace rnnfast {

namespace {

template <class Pointer>
std::vector<Pointer> pointers_to(Pointer data, Index rows, Index cols) {
  std::vector<Pointer> pointers(static_cast<std::size_t>(rows));
  for (Index r = 0; r < rows; ++r) pointers[static_cast<std::size_t>(r)] = data + r * cols;
  return pointers;
}

template <class Real>
int team_of(const AttentionArgs<Real>& args, double times) {
  const double queries = static_cast<double>(args.query_starts.back());
  const double flops = 2.0 * queries * static_cast<double>(args.S * (args.A + args.M));
  return static_cast<int>(smaller(team_for(times * flops / kScoreFlopsPerNs), std::max<Index>(1, args.N)));
}

// Gradients of one sequence. Its dv goes to a place of its own.
template <class Real>
class SequenceGradients {
 public:
  SequenceGradients(const AttentionArgs<Real>& args, const AttentionGradients<Real>& gradients, Index n)
      : args_(args),
        queries_(range_of(args.query_starts, n)),
        steps_(range_of(args.source_starts, n)),
        T_(queries_.end - queries_.begin),
        S_(steps_.end - steps_.begin),
        query_(args.query + queries_.begin * args.A),
        keys_(args.keys + steps_.begin * args.A),
        dquery_(gradients.dquery + queries_.begin * args.A),
        dkeys_(gradients.dkeys + steps_.begin * args.A),
        scores_(checked_product(T_, S_)) {
    set_scores(gradients);
    add_memory(gradients);
  }

  void run(Real* dv) {
    if (args_.v == nullptr)
      multiply_back();
    else
      for (Index t = 0; t < T_; ++t)
        kernels<Real>().nn.additive_backward({S_, args_.A, query_ + t * args_.A, args_.v, keys_,
                                              scores_.data() + t * S_, dquery_ + t * args_.A, dkeys_, dv});
  }

 private:
  // The gradients of the scores [T, S], from those of their softmax: dp = dcontext memory^T.
  void set_scores(const AttentionGradients<Real>& gradients) {
    const Index M = args_.M;
    const Panels<Real> memory = panels_of_transpose(args_.memory + steps_.begin * M, S_, M);
    const auto dcontext = pointers_to(gradients.dcontext + queries_.begin * M, T_, M);
    const auto dp = pointers_to(scores_.data(), T_, S_);
    multiply<Real>(memory, T_, dcontext.data(), dp.data(), nullptr);
    for (Index t = 0; t < T_; ++t)
      kernels<Real>().nn.softmax_backward(1, S_, gradients.weights + (queries_.begin + t) * args_.S,
                                          scores_.data() + t * S_, scores_.data() + t * S_);
  }

  void add_memory(const AttentionGradients<Real>& gradients) const {
    const Index M = args_.M;
    const auto weights = pointers_to(gradients.weights + queries_.begin * args_.S, T_, args_.S);
    const auto dcontext = pointers_to(gradients.dcontext + queries_.begin * M, T_, M);
    Buffer<Real> scratch(outer_scratch<Real>(M));
    add_outer<Real>(T_, weights.data(), {0, S_}, {dcontext.data(), M, gradients.dmemory + steps_.begin * M},
                    scratch.data());
  }

  void multiply_back() {
    const Index A = args_.A;
    const Panels<Real> keys = panels_of(keys_, S_, A);
    const auto de = pointers_to<const Real*>(scores_.data(), T_, S_);
    const auto query = pointers_to(query_, T_, A);
    multiply<Real>(keys, T_, de.data(), pointers_to(dquery_, T_, A).data(), nullptr);
    Buffer<Real> scratch(outer_scratch<Real>(A));
    add_outer<Real>(T_, de.data(), {0, S_}, {query.data(), A, dkeys_}, scratch.data());
  }

  const AttentionArgs<Real>& args_;
  const Range queries_;
  const Range steps_;
  const Index T_;
  const Index S_;
  const Real* query_;
  const Real* keys_;
  Real* dquery_;
  Real* dkeys_;
  Buffer<Real> scores_;
};

}  // namespace

template <class Real>
AttentionSource<Real>::AttentionSource(Index S, Index A, Index M, const Real* keys, const Real* memory, const Real* v)
    : S_(S), A_(A), keys_(keys), v_(v), packed_memory_(panels_of(memory, S, M)) {
  if (v == nullptr) packed_keys_ = panels_of_transpose(keys, S, A);
}

template <class Real>
void AttentionSource<Real>::read(Index rows, const Real* const* query, Real* const* weights,
                                 Real* const* context) const {
  const Kernels<Real>& table = kernels<Real>();
  if (v_ == nullptr)
    multiply<Real>(packed_keys_, rows, query, weights, nullptr);
  else
    for (Index r = 0; r < rows; ++r) table.nn.additive_scores(S_, A_, query[r], keys_, v_, weights[r]);
  for (Index r = 0; r < rows; ++r) table.nn.softmax(1, S_, weights[r], weights[r]);
  multiply<Real>(packed_memory_, rows, weights, context, nullptr);
}

template <class Real>
bool attend(const AttentionArgs<Real>& args, Real* context, Real* weights, Interrupt& interrupt) {
  const Index Q = args.query_starts.back();
  std::fill_n(context, Q * args.M, Real(0));
  std::fill_n(weights, Q * args.S, Real(0));
  run_team(team_of(args, 1), [&](const Member& member) {
    const Range own = share(args.N, member.size, member.rank);
    for (Index n = own.begin; n < own.end && !interrupt.stopped(); ++n) {
      if (member.rank == 0) interrupt.check();
      const Range queries = range_of(args.query_starts, n);
      const Range steps = range_of(args.source_starts, n);
      const Index T = queries.end - queries.begin;
      const AttentionSource<Real> source(steps.end - steps.begin, args.A, args.M, args.keys + steps.begin * args.A,
                                         args.memory + steps.begin * args.M, args.v);
      source.read(T, pointers_to(args.query + queries.begin * args.A, T, args.A).data(),
                  pointers_to(weights + queries.begin * args.S, T, args.S).data(),
                  pointers_to(context + queries.begin * args.M, T, args.M).data());
    }
  });
  return !interrupt.stopped();
}

template <class Real>
bool attend_backward(const AttentionArgs<Real>& args, const AttentionGradients<Real>& gradients, Interrupt& interrupt) {
  const Index Q = args.query_starts.back();
  const Index R = args.source_starts.back();
  std::fill_n(gradients.dquery, Q * args.A, Real(0));
  std::fill_n(gradients.dkeys, R * args.A, Real(0));
  std::fill_n(gradients.dmemory, R * args.M, Real(0));
  auto dv = Buffer<Real>::zeros(args.v == nullptr ? 0 : checked_product(args.N, args.A));
  run_team(team_of(args, 3), [&](const Member& member) {
    const Range own = share(args.N, member.size, member.rank);
    for (Index n = own.begin; n < own.end && !interrupt.stopped(); ++n) {
      if (member.rank == 0) interrupt.check();
      SequenceGradients<Real>(args, gradients, n).run(dv.data() + (args.v == nullptr ? 0 : n * args.A));
    }
  });
  if (interrupt.stopped()) return false;
  for (Index n = 0; n < args.N && args.v != nullptr; ++n)
    for (Index a = 0; a < args.A; ++a) gradients.dv[a] += dv.data()[n * args.A + a];
  return true;
}

#define RNNFAST_INSTANTIATE(Real)                                             \
  template class AttentionSource<Real>;                                       \
  template bool attend(const AttentionArgs<Real>&, Real*, Real*, Interrupt&); \
  template bool attend_backward(const AttentionArgs<Real>&, const AttentionGradients<Real>&, Interrupt&);
RNNFAST_INSTANTIATE(float)
RNNFAST_INSTANTIATE(double)
#undef RNNFAST_INSTANTIATE

}  // namespace rnnfast
