#include "gradients.hpp"

#include <algorithm>

#include "../base/fault.hpp"

namespace rnnfast {

template <class Real>
GradientScratch<Real> BlockGradients<Real>::new_scratch() const {
  GradientScratch<Real> scratch;
  scratch.a.resize(at(kRowBlock));
  scratch.b.resize(at(kRowBlock));
  scratch.x.resize(at(kRowBlock));
  scratch.panels = Buffer<Real>(outer_scratch<Real>(pass_.C, pass_.H));
  if (input_dropout_.active()) scratch.dropped = Buffer<Real>(kRowBlock * pass_.C);
  if (mask_.active()) scratch.masked = Buffer<Real>(kRowBlock * pass_.P);
  if (norm_ != nullptr && pass_.spec.output_gate >= 0) scratch.normed = Buffer<Real>(kRowBlock * pass_.H);
  return scratch;
}

template <class Real>
Index BlockGradients<Real>::done_after(Range steps) const {
  const Index rows = pass_.plan.rows();
  const Index blocks = ceil_div(rows, kRowBlock);
  if (pass_.time_step > 0) return blocks - ceil_div(pass_.plan.first_row(steps.begin), kRowBlock);
  const Index end = pass_.plan.first_row(steps.end);
  return end == rows ? blocks : end / kRowBlock;
}

// From the last block or, where time runs backwards, from the first one.
template <class Real>
void BlockGradients<Real>::add(Index i, const GradientRows<Real>& rows, const Member& member,
                               GradientScratch<Real>& scratch) const {
  const Index block = pass_.time_step > 0 ? ceil_div(pass_.plan.rows(), kRowBlock) - 1 - i : i;
  if (faulty(Fault::kSkippedBlock) && block == 1) return;
  const Range range = {block * kRowBlock, smaller((block + 1) * kRowBlock, pass_.plan.rows())};
  const Block work{rows, range, member, scratch};
  for (int i = 0; i < pass_.spec.segments; ++i) add_segment(pass_.spec.segment[i], work);
  if (norm_ != nullptr) add_gate_norms(work);
  if (norm_ != nullptr && pass_.spec.output_gate >= 0) add_output_norm(work);
  for (int i = 0; i < pass_.spec.peepholes && out_.dpeepholes != nullptr; ++i) add_peephole(i, work);
  if (out_.dprojection != nullptr) add_projection(work);
}

// x as the layer saw it.
template <class Real>
void BlockGradients<Real>::list_inputs(const Block& block) const {
  const Real** x = block.scratch.x.data();
  list_rows(pass_.plan, block.rows, block.of.x, x);
  if (!input_dropout_.active()) return;
  Real* dropped = block.scratch.dropped.data();
  for_rows(pass_.plan, block.rows, [&](const Row& row) {
    input_dropout_.apply(row, *x, dropped);
    *x++ = dropped;
    dropped += pass_.C;
  });
}

// What the segment's rows of R were multiplied with.
template <class Real>
void BlockGradients<Real>::list_operands(const SegmentSpec& segment, const Block& block) const {
  const Real** operand = block.scratch.b.data();
  if (segment.operand == Operand::kAux)
    list_rows(pass_.plan, block.rows, block.of.aux, operand);
  else
    list_rows_before(pass_.plan, block.rows, block.of.y, pass_.time_step, block.of.h0, operand);
  if (!mask_.active()) return;
  Real* masked = block.scratch.masked.data();
  for_rows(pass_.plan, block.rows, [&](const Row& row) {
    const Real* mask = mask_.data() + row.n * pass_.P;
    for (Index j = 0; j < pass_.P; ++j) masked[j] = (*operand)[j] * mask[j];
    *operand++ = masked;
    masked += pass_.P;
  });
}

// dW, dR and the biases' gradients of the segment's gates. Where dq is du, one pass over it makes both; with a single
// column of x, dW is a sum as those of the biases.
template <class Real>
void BlockGradients<Real>::add_segment(const SegmentSpec& segment, const Block& block) const {
  const Index H = pass_.H;
  const Index first = segment.first_gate * H;
  const Range mine = share(segment.gates * H, block.member);
  Real* const db_w = norm_ == nullptr && out_.db_w != nullptr ? out_.db_w + first : nullptr;
  Real* const db_r = norm_ == nullptr && out_.db_r != nullptr ? out_.db_r + first : nullptr;
  const View<const Real> du = norm_ != nullptr ? read_only(norm_->d) : block.of.u;
  View<const Real> dq = segment.dq == Source::kGates ? block.of.u : block.of.aux;
  Index first_q = segment.dq_gate * H;
  if (norm_ != nullptr) {
    dq = du;
    first_q = pass_.spec.gates * H + first;
  }
  GradientScratch<Real>& scratch = block.scratch;
  const OuterFactor<Real> x = {scratch.x.data(), pass_.C, out_.dW + first * pass_.C};
  const OuterFactor<Real> h = {scratch.b.data(), pass_.P, out_.dR + first * pass_.P};
  const Index count = block.rows.end - block.rows.begin;
  list_rows(pass_.plan, block.rows, columns(du, first), scratch.a.data());
  list_inputs(block);
  list_operands(segment, block);
  const bool one_pass = dq.data == du.data && first_q == first;
  const bool one_column = pass_.C == 1;
  ColumnSums<Real> sums{db_w};
  if (one_pass) sums.also = db_r;
  if (one_column) {
    sums.b = x.b;
    sums.weighted = x.c;
  }
  if (one_pass && !one_column)
    add_outers<Real>(count, scratch.a.data(), mine, {x, h}, scratch.panels.data());
  else if (!one_column)
    add_outer(count, scratch.a.data(), mine, x, scratch.panels.data());
  add_column_sums(count, scratch.a.data(), mine, sums);
  if (one_pass && !one_column) return;
  if (!one_pass) list_rows(pass_.plan, block.rows, columns(dq, first_q), scratch.a.data());
  add_outer(count, scratch.a.data(), mine, h, scratch.panels.data());
  if (!one_pass) add_column_sums<Real>(count, scratch.a.data(), mine, {db_r});
}

// The gammas of W x and R h, and the betas, which are the biases.
template <class Real>
void BlockGradients<Real>::add_gate_norms(const Block& block) const {
  GradientScratch<Real>& scratch = block.scratch;
  const Index width = pass_.spec.gates * pass_.H;
  const auto add = [&](const View<const Real>& a, Index first_a, Index first_b, Index cols, Real* dots, Real* sums) {
    const Index count = block.rows.end - block.rows.begin;
    list_rows(pass_.plan, block.rows, columns(a, first_a), scratch.a.data());
    list_rows(pass_.plan, block.rows, columns(norm_->raw, first_b), scratch.b.data());
    const Range mine = share(cols, block.member);
    add_column_dots(count, scratch.a.data(), scratch.b.data(), mine, dots);
    add_column_sums<Real>(count, scratch.a.data(), mine, {sums});
  };
  add(block.of.u, 0, 0, width, out_.dgamma_ih, out_.db_w);
  for (int i = 0; i < pass_.spec.segments; ++i) {
    const SegmentSpec& segment = pass_.spec.segment[i];
    const Index first = segment.first_gate * pass_.H;
    add(segment.dq == Source::kGates ? block.of.u : block.of.aux, segment.dq_gate * pass_.H, width + first,
        segment.gates * pass_.H, out_.dgamma_hh + first, out_.db_r != nullptr ? out_.db_r + first : nullptr);
  }
}

// gamma and beta of c.
template <class Real>
void BlockGradients<Real>::add_output_norm(const Block& block) const {
  GradientScratch<Real>& scratch = block.scratch;
  const Index H = pass_.H;
  Norm<Real> plain = pass_.weights.output_norm();
  plain.gamma = nullptr;
  plain.beta = nullptr;
  Index count = 0;
  for_rows(pass_.plan, block.rows, [&](const Row& row) {
    Real* hat = scratch.normed.data() + count * H;
    pass_.weights.table.normalize(plain, row_of(block.of.aux, row), hat);
    scratch.a[at(count)] = row_of(norm_->d, row) + 2 * norm_->width();
    scratch.b[at(count)] = hat;
    ++count;
  });
  const Range mine = share(H, block.member);
  if (out_.dgamma_c != nullptr) add_column_dots(count, scratch.a.data(), scratch.b.data(), mine, out_.dgamma_c);
  add_column_sums<Real>(count, scratch.a.data(), mine, {out_.dbeta_c});
}

template <class Real>
void BlockGradients<Real>::add_projection(const Block& block) const {
  GradientScratch<Real>& scratch = block.scratch;
  const Index count = block.rows.end - block.rows.begin;
  list_rows(pass_.plan, block.rows, block.of.dh, scratch.a.data());
  list_rows(pass_.plan, block.rows, block.of.out, scratch.b.data());
  add_outer<Real>(count, scratch.a.data(), share(pass_.P, block.member), {scratch.b.data(), pass_.H, out_.dprojection},
                  scratch.panels.data());
}

template <class Real>
void BlockGradients<Real>::add_peephole(int peephole, const Block& block) const {
  GradientScratch<Real>& scratch = block.scratch;
  const PeepholeSpec& of = pass_.spec.peephole[peephole];
  const Index count = block.rows.end - block.rows.begin;
  list_rows(pass_.plan, block.rows, columns(block.of.u, of.gate * pass_.H), scratch.a.data());
  if (of.own)
    list_rows(pass_.plan, block.rows, block.of.aux, scratch.b.data());
  else
    list_rows_before(pass_.plan, block.rows, block.of.aux, pass_.time_step, block.of.c0, scratch.b.data());
  add_column_dots(count, scratch.a.data(), scratch.b.data(), share(pass_.H, block.member),
                  out_.dpeepholes + peephole * pass_.H);
}

template class BlockGradients<float>;
template class BlockGradients<double>;

}  // namespace rnnfast
