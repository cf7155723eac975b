// The cells. A stage is one product with rows of R and what is done with it for one vector of hidden units; a cell is
// its stages forward and backward. u = W x + b_ih and q = R h_prev + b_hh arrive separately. Adding a cell: here, and
// one line in base/dims.hpp.
#pragma once
#include "math-inl.hpp"

namespace rnnfast::RNNFAST_ISA {

// One vector of units of one row. Pointers stand at the first unit; n units are valid.
template <class Real>
struct ForwardUnit {
  Real* u;  // [G][H] gates, H apart
  Real *h, *aux;
  const Real *h_prev, *aux_prev;
  Index H, n;
  bool save;
  Activation activation;

  RNNFAST_INLINE_MEMBER Vec<Real> gate(int g) const { return load_first(u + g * H, n); }
  RNNFAST_INLINE_MEMBER void set_gate(int g, Vec<Real> v) const { store_first(u + g * H, v, n); }
  RNNFAST_INLINE_MEMBER void set_h(Vec<Real> v) const { store_first(h, v, n); }
  RNNFAST_INLINE_MEMBER void set_aux(Vec<Real> v) const { store_first(aux, v, n); }
  RNNFAST_INLINE_MEMBER Vec<Real> load_h_prev() const { return load_first(h_prev, n); }
  RNNFAST_INLINE_MEMBER Vec<Real> load_aux_prev() const { return load_first(aux_prev, n); }
};

template <class Real>
struct BackwardUnit {
  Real *u, *aux, *dh, *dc;
  const Real *h, *h_prev, *aux_prev;
  Index H, n;
  bool cut;  // no gradient comes back from the step after
  Activation activation;

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
};

// What the product of a backward stage reads: a range of gates of the row after (or of this row), then gates kept in
// aux.
struct DqRange {
  int first_gate, gates, aux_gates;
  bool own_row;
};

template <class Real>
RNNFAST_INLINE Vec<Real> activate(Activation kind, Vec<Real> x) {
  switch (kind) {
    case Activation::kTanh:
      return tanh<Real>(x);
    case Activation::kRelu:
      return x < Vec<Real>{} ? Vec<Real>{} : x;
    case Activation::kIdentity:
      break;
  }
  return x;
}

template <class Real>
RNNFAST_INLINE Vec<Real> d_activate(Activation kind, Vec<Real> y) {
  switch (kind) {
    case Activation::kTanh:
      return d_tanh<Real>(y);
    case Activation::kRelu:
      return y > Vec<Real>{} ? splat(Real(1)) : Vec<Real>{};
    case Activation::kIdentity:
      break;
  }
  return splat(Real(1));
}

// Elman (1990): h = act(u + q).
template <class Real>
struct Elman {
  using V = Vec<Real>;
  static constexpr int kSavedGates = 0;
  static constexpr bool kBypass = false;
  struct Forward {
    static constexpr int kGates = 1, kFirstGate = 0;
    static constexpr Operand kOperand = Operand::kHidden;
    template <class Unit>
    RNNFAST_INLINE void apply(const V (&q)[kGates], const Unit& m) {
      m.set_h(activate<Real>(m.activation, m.gate(0) + q[0]));
    }
  };
  struct Backward {
    static constexpr DqRange kDq{0, 1, 0, false};
    RNNFAST_INLINE void apply(V dh, const BackwardUnit<Real>& m) {
      m.set_du(0, dh * d_activate<Real>(m.activation, m.load_h()));
    }
  };
};

// Hochreiter, Schmidhuber (1997); forget gate: Gers et al. (2000). Gates i, f, g, o:
//   c = f c_prev + i g   h = o tanh(c)
template <class Real>
struct Lstm {
  using V = Vec<Real>;
  enum Gate { kI, kF, kG, kO };
  static constexpr int kSavedGates = 4;
  static constexpr bool kBypass = false;
  struct Forward {
    static constexpr int kGates = 4, kFirstGate = 0;
    static constexpr Operand kOperand = Operand::kHidden;
    template <class Unit>
    RNNFAST_INLINE void apply(const V (&q)[kGates], const Unit& m) {
      const V i = sigmoid<Real>(m.gate(kI) + q[kI]), f = sigmoid<Real>(m.gate(kF) + q[kF]);
      const V g = tanh<Real>(m.gate(kG) + q[kG]), o = sigmoid<Real>(m.gate(kO) + q[kO]);
      const V c = fma(f, m.load_aux_prev(), i * g);
      m.set_aux(c);
      m.set_h(o * tanh<Real>(c));
      if (m.save) m.set_gate(kI, i), m.set_gate(kF, f), m.set_gate(kG, g), m.set_gate(kO, o);
    }
  };
  struct Backward {
    static constexpr DqRange kDq{0, 4, 0, false};
    RNNFAST_INLINE void apply(V dh, const BackwardUnit<Real>& m) {
      const V i = m.gate(kI), f = m.gate(kF), g = m.gate(kG), o = m.gate(kO);
      const V tanh_c = tanh<Real>(m.load_aux());
      const V dc = fma(dh * o, d_tanh<Real>(tanh_c), m.load_dc());
      m.set_du(kI, dc * g * d_sigmoid<Real>(i));
      m.set_du(kF, dc * m.load_aux_prev() * d_sigmoid<Real>(f));
      m.set_du(kG, dc * i * d_tanh<Real>(g));
      m.set_du(kO, dh * tanh_c * d_sigmoid<Real>(o));
      m.set_dc(dc * f);
    }
  };
};

// Cho et al. (2014) in the form of cuDNN, ONNX linear_before_reset=1. Gates r, z, n; aux holds q_n, then dq_n:
//   n = tanh(u_n + r q_n)   h = n + z (h_prev - n)
template <class Real>
struct Gru {
  using V = Vec<Real>;
  enum Gate { kR, kZ, kN };
  static constexpr int kSavedGates = 3;
  static constexpr bool kBypass = true;
  struct Forward {
    static constexpr int kGates = 3, kFirstGate = 0;
    static constexpr Operand kOperand = Operand::kHidden;
    template <class Unit>
    RNNFAST_INLINE void apply(const V (&q)[kGates], const Unit& m) {
      const V r = sigmoid<Real>(m.gate(kR) + q[kR]), z = sigmoid<Real>(m.gate(kZ) + q[kZ]);
      const V n = tanh<Real>(fma(r, q[kN], m.gate(kN)));
      m.set_h(fma(z, m.load_h_prev() - n, n));
      if (m.save) m.set_gate(kR, r), m.set_gate(kZ, z), m.set_gate(kN, n), m.set_aux(q[kN]);
    }
  };
  struct Backward {
    static constexpr DqRange kDq{0, 2, 1, false};
    RNNFAST_INLINE void apply(V dh, const BackwardUnit<Real>& m) {
      const V r = m.gate(kR), z = m.gate(kZ), n = m.gate(kN);
      const V dn = dh * (splat(Real(1)) - z) * d_tanh<Real>(n);
      m.set_du(kR, dn * m.load_aux() * d_sigmoid<Real>(r));
      m.set_du(kZ, dh * (m.load_h_prev() - n) * d_sigmoid<Real>(z));
      m.set_du(kN, dn);
      m.set_aux(dn * r);
      m.set_dh(dh * z);
    }
  };
};

// The reset gate acts on the state before the product (Cho et al. 2014; Keras reset_after=False, ONNX
// linear_before_reset=0). Two stages; aux holds p = r h_prev:   n = tanh(u_n + R_n p + b_n)   h = n + z (h_prev - n)
template <class Real>
struct GruBefore {
  using V = Vec<Real>;
  enum Gate { kR, kZ, kN };
  static constexpr int kSavedGates = 3;
  static constexpr bool kBypass = true;
  struct Forward {
    static constexpr int kGates = 2, kFirstGate = 0;
    static constexpr Operand kOperand = Operand::kHidden;
    template <class Unit>
    RNNFAST_INLINE void apply(const V (&q)[kGates], const Unit& m) {
      const V r = sigmoid<Real>(m.gate(kR) + q[kR]), z = sigmoid<Real>(m.gate(kZ) + q[kZ]);
      m.set_gate(kR, r), m.set_gate(kZ, z), m.set_aux(r * m.load_h_prev());
    }
  };
  struct ForwardCandidate {
    static constexpr int kGates = 1, kFirstGate = kN;
    static constexpr Operand kOperand = Operand::kAux;
    template <class Unit>
    RNNFAST_INLINE void apply(const V (&q)[kGates], const Unit& m) {
      const V n = tanh<Real>(m.gate(kN) + q[0]);
      m.set_h(fma(m.gate(kZ), m.load_h_prev() - n, n));
      if (m.save) m.set_gate(kN, n);
    }
  };
  struct Backward {
    static constexpr DqRange kDq{0, 2, 0, false};
    RNNFAST_INLINE void apply(V dh, const BackwardUnit<Real>& m) {
      const V z = m.gate(kZ), n = m.gate(kN);
      m.set_du(kZ, dh * (m.load_h_prev() - n) * d_sigmoid<Real>(z));
      m.set_du(kN, dh * (splat(Real(1)) - z) * d_tanh<Real>(n));
      m.set_dh(dh * z);
    }
  };
  struct BackwardReset {
    static constexpr DqRange kDq{2, 1, 0, true};
    RNNFAST_INLINE void apply(V dp, const BackwardUnit<Real>& m) {
      const V r = m.gate(kR);
      m.set_du(kR, dp * m.load_h_prev() * d_sigmoid<Real>(r));
      m.set_dh(fma(dp, r, m.load_dh()));
    }
  };
};

}  // namespace rnnfast::RNNFAST_ISA
