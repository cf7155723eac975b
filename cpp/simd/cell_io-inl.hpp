// What a stage of a cell sees of its surroundings, forward and backward.
#pragma once
#include "../cpu/kernels.hpp"
#include "vec-inl.hpp"

namespace rnnfast::RNNFAST_ISA {

// One vector of units of one row. Pointers stand at the first unit, from which n units are left.
template <class Real>
struct ForwardUnit {
  Real* u;  // [G][H] gates, H apart
  Real* h;
  Real* aux;
  const Real* h_prev;
  const Real* aux_prev;
  const Real* zones;  // of all units, or null
  Index H;
  Index n;
  bool save;
  const CellOptions<Real>* options;

  RNNFAST_INLINE_MEMBER Vec<Real> gate(int g) const { return load_first(u + g * H, n); }
  RNNFAST_INLINE_MEMBER void set_gate(int g, Vec<Real> v) const { store_first(u + g * H, v, n); }
  RNNFAST_INLINE_MEMBER void set_h(Vec<Real> v) const { store_first(h, v, n); }
  RNNFAST_INLINE_MEMBER void set_aux(Vec<Real> v) const { store_first(aux, v, n); }
  RNNFAST_INLINE_MEMBER Vec<Real> load_h_prev() const { return load_first(h_prev, n); }
  RNNFAST_INLINE_MEMBER Vec<Real> load_aux_prev() const { return load_first(aux_prev, n); }
  RNNFAST_INLINE_MEMBER Vec<Real> peephole(int k) const { return load_first(options->peepholes + (k + 1) * H - n, n); }
  RNNFAST_INLINE_MEMBER bool zoned() const { return zones != nullptr; }
  RNNFAST_INLINE_MEMBER Vec<Real> zone(int state) const { return load_first(zones + (state + 1) * H - n, n); }
};

template <class Real>
struct BackwardUnit {
  Real* u;
  Real* aux;
  Real* dh;
  Real* dc;
  const Real* h;
  const Real* h_prev;
  const Real* aux_prev;
  const Real* zones;  // of all units, or null
  Index H;
  Index n;
  bool cut;  // no gradient comes back from the step after
  const CellOptions<Real>* options;

  RNNFAST_INLINE_MEMBER Vec<Real> gate(int g) const { return load_first(u + g * H, n); }
  RNNFAST_INLINE_MEMBER void set_du(int g, Vec<Real> v) const { store_first(u + g * H, v, n); }
  RNNFAST_INLINE_MEMBER Vec<Real> load_aux() const { return load_first(aux, n); }
  RNNFAST_INLINE_MEMBER void set_aux(Vec<Real> v) const { store_first(aux, v, n); }
  RNNFAST_INLINE_MEMBER Vec<Real> load_h() const { return load_first(h, n); }
  RNNFAST_INLINE_MEMBER Vec<Real> load_h_prev() const { return load_first(h_prev, n); }
  RNNFAST_INLINE_MEMBER Vec<Real> load_aux_prev() const { return load_first(aux_prev, n); }
  RNNFAST_INLINE_MEMBER Vec<Real> load_dc() const { return cut ? Vec<Real>{} : load_first(dc, n); }
  RNNFAST_INLINE_MEMBER void set_dc(Vec<Real> v) const { store_first(dc, v, n); }
  RNNFAST_INLINE_MEMBER Vec<Real> load_dh() const { return load_first(dh, n); }
  RNNFAST_INLINE_MEMBER void set_dh(Vec<Real> v) const { store_first(dh, v, n); }
  RNNFAST_INLINE_MEMBER Vec<Real> peephole(int k) const { return load_first(options->peepholes + (k + 1) * H - n, n); }
  RNNFAST_INLINE_MEMBER bool zoned() const { return zones != nullptr; }
  RNNFAST_INLINE_MEMBER Vec<Real> zone(int state) const { return load_first(zones + (state + 1) * H - n, n); }
};

// Tells the compiler how many blocks of units a panel holds, so that it unrolls loops over them.
RNNFAST_INLINE void assume_blocks(Index blocks, Index full) {
  if (blocks < 1 || blocks > full) __builtin_unreachable();
}

// A stage's cell on one vector of units. A stage of two parts begins, and ends with what it kept; between them other
// vectors may be begun, so that the chains of several run side by side.
template <class Stage, class V, class Unit>
RNNFAST_INLINE void apply_stage(const V (&q)[Stage::kGates], const Unit& m) {
  if constexpr (Stage::kParts == 2) {
    V kept[2];
    Stage::begin(q, m, kept);
    Stage::end(kept, m);
  } else {
    Stage::apply(q, m);
  }
}

// Zoneout (Krueger et al. 2017) by cells whose activations are chosen: a state keeps the share z of the one before.
template <class Real, class Act, class Unit>
RNNFAST_INLINE Vec<Real> zoned(const Unit& m, int state, Vec<Real> now, Vec<Real> before) {
  if constexpr (Act::kRuntime) {
    if (m.zoned()) {
      const Vec<Real> z = m.zone(state);
      return fma(z, before, (splat(Real(1)) - z) * now);
    }
  }
  return now;
}

// What of a state's gradient goes by the cell to the state before; d becomes the rest.
template <class Real, class Act, class Unit>
RNNFAST_INLINE Vec<Real> passed_by(const Unit& m, int state, Vec<Real>& d) {
  Vec<Real> past{};
  if constexpr (Act::kRuntime) {
    if (m.zoned()) {
      const Vec<Real> z = m.zone(state);
      past = z * d;
      d *= splat(Real(1)) - z;
    }
  }
  return past;
}

// What the product of a backward stage reads: a range of gates of the row after (or of this row), then gates kept in
// aux.
struct DqRange {
  int first_gate;
  int gates;
  int aux_gates;
  bool own_row;
};

}  // namespace rnnfast::RNNFAST_ISA
