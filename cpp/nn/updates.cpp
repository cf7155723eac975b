#include <cmath>

#include "../cpu/isa.hpp"
#include "nn.hpp"

namespace rnnfast {

namespace {

constexpr double kNsPerNumber = 0.5;
constexpr Index kPiece = 16384;

struct Piece {
  std::size_t array;
  Index offset, size;
};

// The arrays cut into pieces of at most `longest` numbers.
template <class Arrays>
std::vector<Piece> cut(const Arrays& arrays, Index longest) {
  std::vector<Piece> pieces;
  for (std::size_t i = 0; i < arrays.size(); ++i)
    for (Index offset = 0; offset < arrays[i].size; offset += longest)
      pieces.push_back({i, offset, smaller(longest, arrays[i].size - offset)});
  return pieces;
}

template <class Fn>
void for_each_piece(const std::vector<Piece>& pieces, const Fn& fn) {
  double numbers = 0;
  for (const Piece& piece : pieces) numbers += static_cast<double>(piece.size);
  run_team(team_for(numbers * kNsPerNumber), [&](const Member& member) {
    const Range own = share(static_cast<Index>(pieces.size()), member.size, member.rank);
    for (Index i = own.begin; i < own.end; ++i) fn(static_cast<std::size_t>(i));
  });
}

// base^n by squaring: the same bits on every machine, which a library's pow does not promise.
double power(double base, Index n) {
  double result = 1;
  for (; n > 0; n /= 2, base *= base)
    if (n % 2 == 1) result *= base;
  return result;
}

// The numbers of one piece: shifts every pointer that is there.
template <class Real>
Tensor<Real> piece_of(const std::vector<Tensor<Real>>& tensors, const Piece& piece) {
  Tensor<Real> t = tensors[piece.array];
  t.size = piece.size;
  t.value += piece.offset;
  t.grad += piece.offset;
  for (Real*& kept : t.kept)
    if (kept != nullptr) kept += piece.offset;
  return t;
}

}  // namespace

template <class Real>
void sgd_step(const std::vector<Tensor<Real>>& tensors, const SgdOptions& o, Index& step) {
  const auto pieces = cut(tensors, kPiece);
  for_each_piece(pieces, [&](std::size_t i) {
    const Tensor<Real> t = piece_of(tensors, pieces[i]);
    kernels<Real>().nn.sgd({t.size, t.value, t.grad, o.momentum != 0 ? t.kept[0] : nullptr, step == 0, o.nesterov,
                            static_cast<Real>(o.lr), static_cast<Real>(o.momentum), static_cast<Real>(1 - o.dampening),
                            static_cast<Real>(o.weight_decay)});
  });
  ++step;
}

template <class Real>
void adam_step(const std::vector<Tensor<Real>>& tensors, const AdamOptions& o, Index& step) {
  const auto pieces = cut(tensors, kPiece);
  AdamArgs<Real> all{};
  all.keep = static_cast<Real>(o.decoupled ? 1 - o.lr * o.weight_decay : 1.0);
  all.weight_decay = static_cast<Real>(o.decoupled ? 0.0 : o.weight_decay);
  all.mix1 = static_cast<Real>(1 - o.beta1);
  all.beta2 = static_cast<Real>(o.beta2);
  all.mix2 = static_cast<Real>(1 - o.beta2);
  all.step_size = static_cast<Real>(o.lr / (1 - power(o.beta1, step + 1)));
  all.root_scale = static_cast<Real>(1 / std::sqrt(1 - power(o.beta2, step + 1)));
  all.eps = static_cast<Real>(o.eps);
  for_each_piece(pieces, [&](std::size_t i) {
    const Tensor<Real> t = piece_of(tensors, pieces[i]);
    AdamArgs<Real> args = all;
    args.n = t.size, args.value = t.value, args.grad = t.grad, args.m = t.kept[0], args.v = t.kept[1];
    kernels<Real>().nn.adam(args);
  });
  ++step;
}

template <class Real>
void rmsprop_step(const std::vector<Tensor<Real>>& tensors, const RmspropOptions& o, Index& step) {
  const auto pieces = cut(tensors, kPiece);
  for_each_piece(pieces, [&](std::size_t i) {
    const Tensor<Real> t = piece_of(tensors, pieces[i]);
    kernels<Real>().nn.rmsprop({t.size, t.value, t.grad, t.kept[0], o.centered ? t.kept[2] : nullptr,
                                o.momentum != 0 ? t.kept[1] : nullptr, static_cast<Real>(o.lr),
                                static_cast<Real>(o.alpha), static_cast<Real>(1 - o.alpha), static_cast<Real>(o.eps),
                                static_cast<Real>(o.weight_decay), static_cast<Real>(o.momentum)});
  });
  ++step;
}

template <class Real>
double squared_norm(const std::vector<Numbers<const Real>>& arrays) {
  const auto pieces = cut(arrays, kNormBlock);
  std::vector<double> sums(pieces.size());
  for_each_piece(pieces, [&](std::size_t i) {
    sums[i] = kernels<Real>().nn.squared_norm(pieces[i].size, arrays[pieces[i].array].data + pieces[i].offset);
  });
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum;
}

template <class Real>
void scale(const std::vector<Numbers<Real>>& arrays, double factor) {
  const auto pieces = cut(arrays, kPiece);
  for_each_piece(pieces, [&](std::size_t i) {
    kernels<Real>().nn.scale(pieces[i].size, static_cast<Real>(factor),
                             arrays[pieces[i].array].data + pieces[i].offset);
  });
}

#define RNNFAST_INSTANTIATE(Real)                                                              \
  template void sgd_step(const std::vector<Tensor<Real>>&, const SgdOptions&, Index&);         \
  template void adam_step(const std::vector<Tensor<Real>>&, const AdamOptions&, Index&);       \
  template void rmsprop_step(const std::vector<Tensor<Real>>&, const RmspropOptions&, Index&); \
  template double squared_norm<Real>(const std::vector<Numbers<const Real>>&);                 \
  template void scale(const std::vector<Numbers<Real>>&, double);
RNNFAST_INSTANTIATE(float)
RNNFAST_INSTANTIATE(double)
#undef RNNFAST_INSTANTIATE

}  // namespace rnnfast
