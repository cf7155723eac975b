#include "input_table.hpp"

#include "../cpu/denormals.hpp"

namespace rnnfast {

namespace {

// Products kept at once; beyond, reading them costs what computing them would.
constexpr Index kMostNumbers = Index{1} << 23;

}  // namespace

template <class Real>
InputTable<Real>::InputTable(const Stack<Real>& layers, const Real* table, Index V, double uses) {
  const FlushDenormals flush;  // as in the teams that make the other products
  const Weights<Real>& first = *layers.front();
  const Index C = first.arrays.C;
  const Index width = first.spec().gates * first.arrays.H;
  if (table == nullptr && V > 0) {
    projected_ = true;
    width_ = width;
    rows_ = first.unit_inputs();
    return;
  }
  projected_ = V > 0 && static_cast<double>(V) <= uses && V <= kMostNumbers / width;
  width_ = projected_ ? width : C;
  rows_ = table;
  if (!projected_) return;
  products_ = Buffer<Real>(V * width);
  rows_ = products_.data();
  std::vector<const Real*> x;
  std::vector<Real*> u;
  for (Index id = 0; id < V; ++id) x.push_back(table + id * C), u.push_back(products_.data() + id * width);
  first.multiply_input(V, x.data(), u.data(), u.data(), false);
}

template class InputTable<float>;
template class InputTable<double>;

}  // namespace rnnfast
