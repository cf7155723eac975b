#include "gradients.hpp"

#include <algorithm>

namespace rnnfast {

namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

}  // namespace

template <class Real>
GradientScratch<Real> BlockGradients<Real>::new_scratch() const {
  return {std::vector<const Real*>(at(kRowBlock)),
          std::vector<const Real*>(at(kRowBlock)),
          Buffer<Real>(outer_scratch<Real>(std::max(C, H))),
          Buffer<Real>(dropout.p > 0 ? kRowBlock * C : 0),
          Buffer<Real>(masks != nullptr ? kRowBlock * P : 0),
          Buffer<Real>(d.data != nullptr && spec.output_gate >= 0 ? kRowBlock * H : 0)};
}

// x as the layer saw it.
template <class Real>
const Real* BlockGradients<Real>::input(Index row, const Row& slot, Index i, GradientScratch<Real>& scratch) const {
  const Real* from = row_of(x, row, slot.n, slot.t);
  if (dropout.p == 0) return from;
  Real* to = scratch.dropped.data() + i * C;
  kernels<Real>().dropout(C, from, to, dropout_key(dropout, layer, slot), static_cast<Real>(1 / (1 - dropout.p)));
  return to;
}

template <class Real>
void BlockGradients<Real>::add(Index block, Index part, Index parts, GradientScratch<Real>& scratch) const {
  const Range rows = {block * kRowBlock, smaller((block + 1) * kRowBlock, plan.rows())};
  Index count = 0;
  for_rows(plan, rows, [&](Index row, const Row& slot) {
    scratch.a[at(count)] = row_of(d.data != nullptr ? d : u, row, slot.n, slot.t);
    scratch.b[at(count)] = input(row, slot, count, scratch);
    ++count;
  });
  const Range columns = share(spec.gates * H, parts, part);
  add_outer(count, scratch.a.data(), columns, scratch.b.data(), C, out.dW, scratch.panels.data());
  if (d.data != nullptr)
    add_norms(rows, part, parts, scratch);
  else if (out.db_w != nullptr)
    add_column_sums(count, scratch.a.data(), columns, out.db_w);
  for (int i = 0; i < spec.segments; ++i) add_segment(rows, spec.segment[i], part, parts, scratch);
  for (int i = 0; i < spec.peepholes && out.dP != nullptr; ++i) add_peephole(rows, i, part, parts, scratch);
  if (out.dHr != nullptr) add_projection(rows, part, parts, scratch);
}

template <class Real>
void BlockGradients<Real>::add_segment(Range rows, const SegmentSpec& segment, Index part, Index parts,
                                       GradientScratch<Real>& scratch) const {
  const bool normed = d.data != nullptr;
  const View<const Real>& dq = normed ? d : segment.dq == Source::kGates ? u : aux;
  const Index first = normed ? (spec.gates + segment.first_gate) * H : segment.dq_gate * H;
  Index count = 0;
  for_rows(plan, rows, [&](Index row, const Row& slot) {
    scratch.a[at(count)] = row_of(dq, row, slot.n, slot.t) + first;
    const Real* operand =
        segment.operand == Operand::kAux ? row_of(aux, row, slot.n, slot.t) : row_before(y, slot, dt, h0);
    if (masks != nullptr) {
      Real* masked = scratch.masked.data() + count * P;
      for (Index i = 0; i < P; ++i) masked[i] = operand[i] * masks[slot.n * P + i];
      operand = masked;
    }
    scratch.b[at(count++)] = operand;
  });
  const Range columns = share(segment.gates * H, parts, part);
  Real* dR = out.dR + segment.first_gate * H * P;
  add_outer(count, scratch.a.data(), columns, scratch.b.data(), P, dR, scratch.panels.data());
  if (out.db_r != nullptr && !normed)
    add_column_sums(count, scratch.a.data(), columns, out.db_r + segment.first_gate * H);
}

// The gammas, and the betas: biases and that of c.
template <class Real>
void BlockGradients<Real>::add_norms(Range rows, Index part, Index parts, GradientScratch<Real>& scratch) const {
  const Index width = spec.gates * H, count = rows.end - rows.begin;
  const auto add = [&](Range columns, Real* dots, Real* sums) {
    if (dots != nullptr) add_column_dots(count, scratch.a.data(), scratch.b.data(), columns, dots);
    if (sums != nullptr) add_column_sums(count, scratch.a.data(), columns, sums);
  };
  const auto gather = [&](const View<const Real>& a, Index first_a, Index first_b) {
    Index i = 0;
    for_rows(plan, rows, [&](Index row, const Row& slot) {
      scratch.a[at(i)] = row_of(a, row, slot.n, slot.t) + first_a;
      scratch.b[at(i++)] = row_of(raw, row, slot.n, slot.t) + first_b;
    });
  };
  gather(u, 0, 0);
  add(share(width, parts, part), out.dgamma_ih, out.db_w);
  for (int i = 0; i < spec.segments; ++i) {
    const SegmentSpec& segment = spec.segment[i];
    const Index first = segment.first_gate * H;
    gather(segment.dq == Source::kGates ? u : aux, segment.dq_gate * H, width + first);
    add(share(segment.gates * H, parts, part), out.dgamma_hh + first, out.db_r != nullptr ? out.db_r + first : nullptr);
  }
  if (spec.output_gate < 0) return;
  Index i = 0;
  for_rows(plan, rows, [&](Index row, const Row& slot) {
    Real* hat = scratch.normed.data() + i * H;
    kernels<Real>().normalize({H, eps, nullptr, nullptr}, row_of(aux, row, slot.n, slot.t), hat);
    scratch.a[at(i)] = row_of(d, row, slot.n, slot.t) + 2 * width;
    scratch.b[at(i++)] = hat;
  });
  add(share(H, parts, part), out.dgamma_c, out.dbeta_c);
}

template <class Real>
void BlockGradients<Real>::add_projection(Range rows, Index part, Index parts, GradientScratch<Real>& scratch) const {
  Index count = 0;
  for_rows(plan, rows, [&](Index row, const Row& slot) {
    scratch.a[at(count)] = row_of(dh, row, slot.n, slot.t);
    scratch.b[at(count++)] = row_of(out_rows, row, slot.n, slot.t);
  });
  add_outer(count, scratch.a.data(), share(P, parts, part), scratch.b.data(), H, out.dHr, scratch.panels.data());
}

template <class Real>
void BlockGradients<Real>::add_peephole(Range rows, int peephole, Index part, Index parts,
                                        GradientScratch<Real>& scratch) const {
  const PeepholeSpec& spec_of_it = spec.peephole[peephole];
  Index count = 0;
  for_rows(plan, rows, [&](Index row, const Row& slot) {
    scratch.a[at(count)] = row_of(u, row, slot.n, slot.t) + spec_of_it.gate * H;
    scratch.b[at(count++)] = spec_of_it.own ? row_of(aux, row, slot.n, slot.t) : row_before(aux, slot, dt, c0);
  });
  add_column_dots(count, scratch.a.data(), scratch.b.data(), share(H, parts, part), out.dP + peephole * H);
}

template struct BlockGradients<float>;
template struct BlockGradients<double>;

}  // namespace rnnfast
