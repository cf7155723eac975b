#include "output_head.hpp"

#include <algorithm>

namespace rnnfast {

namespace {

template <class Real>
std::vector<Real*> rows_of(Buffer<Real>& buffer, Index rows, Index cols) {
  std::vector<Real*> pointers;
  for (Index r = 0; r < rows; ++r) pointers.push_back(buffer.data() + r * cols);
  return pointers;
}

}  // namespace

template <class Real>
OutputHead<Real>::OutputHead(const Head<Real>& head, Index capacity, Index first, Index sources)
    : head_(head), first_(first) {
  if (head.attention == nullptr) return;
  const WriterAttention<Real>& attention = *head.attention;
  const Index S = attention.S;
  const Index A = attention.A;
  const Index M = attention.M;
  for (Index n = first; n < first + sources; ++n)
    sources_.emplace_back(attention.source_lengths == nullptr ? S : attention.source_lengths[n], A, M,
                          attention.keys + n * S * A, attention.memory + n * S * M, attention.v);
  query_ = Buffer<Real>(checked_product(capacity, A));
  weights_ = Buffer<Real>(checked_product(capacity, S));
  joined_ = Buffer<Real>(checked_product(capacity, M + head.H));
  combined_ = Buffer<Real>(checked_product(capacity, head.H));
  query_rows_ = rows_of(query_, capacity, A);
  weight_rows_ = rows_of(weights_, capacity, S);
  context_rows_ = rows_of(joined_, capacity, M + head.H);
  combined_rows_ = rows_of(combined_, capacity, head.H);
}

template <class Real>
void OutputHead<Real>::attend(Index rows, const Real* const* h, const Index* source) {
  const WriterAttention<Real>& attention = *head_.attention;
  const Real* const* query = h;
  if (attention.v != nullptr) {
    multiply(attention.query, rows, h, query_rows_.data(), attention.query_bias);
    query = query_rows_.data();
  }
  for (Index i = 0; i < rows; ++i) {
    sources_[static_cast<std::size_t>(source[i] - first_)].read(1, query + i, weight_rows_.data() + i,
                                                                context_rows_.data() + i);
    std::copy_n(h[i], head_.H, context_rows_[static_cast<std::size_t>(i)] + attention.M);
  }
  multiply<Real>(attention.combine, rows, context_rows_.data(), combined_rows_.data(), attention.combine_bias);
  kernels<Real>().unary(Unary::kTanh, rows * head_.H, combined_.data(), combined_.data());
}

template <class Real>
void OutputHead<Real>::run(Index rows, const Real* const* h, const Index* source, Real* const* outputs) {
  if (head_.attention == nullptr) return multiply(head_.W, rows, h, outputs, head_.b);
  attend(rows, h, source);
  multiply<Real>(head_.W, rows, combined_rows_.data(), outputs, head_.b);
}

template class OutputHead<float>;
template class OutputHead<double>;

}  // namespace rnnfast
