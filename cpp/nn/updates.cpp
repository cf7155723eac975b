#include <algorithm>
#include <iterator>

#include "../cpu/cost.hpp"
#include "../cpu/isa.hpp"
#include "nn.hpp"

namespace rnnfast {

namespace {

constexpr Index kPiece = 16384;

struct Piece {
  std::size_t array;
  Index offset;
  Index size;
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

// The numbers of one piece: shifts every pointer that is there.
template <class Real>
Tensor<Real> piece_of(const std::vector<Tensor<Real>>& tensors, const Piece& piece) {
  Tensor<Real> t = tensors[piece.array];
  t.size = piece.size;
  t.value += piece.offset;
  t.grad += piece.offset;
  for (Real*& buffer : t.buffer)
    if (buffer != nullptr) buffer += piece.offset;
  return t;
}

}  // namespace

template <class Real>
void update(OptimizerKind kind, const std::vector<Tensor<Real>>& tensors, const double* options, Index& step) {
  const auto pieces = cut(tensors, kPiece);
  const auto kernel = kernels<Real>().nn.update[static_cast<int>(kind)];
  for_each_piece(pieces, [&](std::size_t i) {
    const Tensor<Real> tensor = piece_of(tensors, pieces[i]);
    UpdateArgs<Real> args{};
    args.n = tensor.size;
    args.value = tensor.value;
    args.grad = tensor.grad;
    std::copy(std::begin(tensor.buffer), std::end(tensor.buffer), args.buffer);
    args.options = options;
    args.step = step;
    kernel(args);
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

#define RNNFAST_INSTANTIATE(Real)                                                               \
  template void update(OptimizerKind, const std::vector<Tensor<Real>>&, const double*, Index&); \
  template double squared_norm<Real>(const std::vector<Numbers<const Real>>&);                  \
  template void scale(const std::vector<Numbers<Real>>&, double);
RNNFAST_INSTANTIATE(float)
RNNFAST_INSTANTIATE(double)
#undef RNNFAST_INSTANTIATE

}  // namespace rnnfast
