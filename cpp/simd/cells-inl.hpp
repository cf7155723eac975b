// The cells. A stage is one product with rows of R and the arithmetic on it for one vector of units. A cell is its
// stages, forward and backward. u = W x + b_ih and q = R h_prev + b_hh arrive separately. Act has its activations
// (activations-inl.hpp). Adding a cell: here, and one entry in base/registry.hpp. A policy has
//   kSavedGates   gates of a row that the backward pass reads
//   kReadsH       the earliest row of h that the backward pass of a row reads, and
//   kReadsAux     of aux: kNoRow, kOwnRow or kRowBefore
//   kBypass       whether a part of dL/dh reaches the previous state without a product with R
//   kRuntime      whether it reads the options that generic cells have
//   Forward, Backward; of a cell with two stages also ForwardCandidate and BackwardReset
// and a stage
//   kGates, kFirstGate   the rows of R that its product takes
//   kOperand             the operand of its product
//   kParts               1: apply(); 2: begin() and end(); other vectors of units may begin in between
//   kDq                  what the backward product reads (step-inl.hpp)
#pragma once
#include "activations-inl.hpp"
#include "step-inl.hpp"

namespace rnnfast::RNNFAST_ISA {

constexpr int kNoRow = -1, kOwnRow = 0, kRowBefore = 1;

// Elman (1990): h = f(u + q).
template <class Real, class Act>
struct Elman {
  using V = Vec<Real>;
  static constexpr int kSavedGates = 0;
  static constexpr int kReadsH = kOwnRow;
  static constexpr int kReadsAux = kNoRow;
  static constexpr bool kBypass = false;
  static constexpr bool kRuntime = Act::kRuntime;
  struct Forward {
    static constexpr int kGates = 1;
    static constexpr int kFirstGate = 0;
    static constexpr int kParts = 1;
    static constexpr Operand kOperand = Operand::kHidden;
    template <class Unit>
    RNNFAST_INLINE void apply(const V (&q)[kGates], const Unit& m) {
      m.set_h(Act::f(*m.options, m.u(0) + q[0]));
    }
  };
  struct Backward {
    static constexpr DqRange kDq{0, 1, 0, false};
    RNNFAST_INLINE void apply(V dh, const BackwardUnit<Real>& m) { m.set_du(0, dh * Act::df(*m.options, m.load_h())); }
  };
};

// Leaky integration (Jaeger et al. 2007), a continuous-time network in steps of dt, leak = dt / tau. The gate holds s:
//   s = f(u + q)   h = h_prev + leak (s - h_prev)
template <class Real, class Act>
struct Leaky {
  using V = Vec<Real>;
  static constexpr int kSavedGates = 1;
  static constexpr int kReadsH = kNoRow;
  static constexpr int kReadsAux = kNoRow;
  static constexpr bool kBypass = true;
  static constexpr bool kRuntime = Act::kRuntime;
  struct Forward {
    static constexpr int kGates = 1;
    static constexpr int kFirstGate = 0;
    static constexpr int kParts = 1;
    static constexpr Operand kOperand = Operand::kHidden;
    template <class Unit>
    RNNFAST_INLINE void apply(const V (&q)[kGates], const Unit& m) {
      const V s = Act::f(*m.options, m.u(0) + q[0]);
      const V h_prev = m.load_h_prev();
      m.set_h(zoned<Real, Act>(m, 0, fma(splat(m.options->leak), s - h_prev, h_prev), h_prev));
      if (m.save()) m.set_gate(0, s);
    }
  };
  struct Backward {
    static constexpr DqRange kDq{0, 1, 0, false};
    RNNFAST_INLINE void apply(V dh, const BackwardUnit<Real>& m) {
      const V leak = splat(m.options->leak);
      const V past = passed_by<Real, Act>(m, 0, dh);
      m.set_du(0, dh * leak * Act::df(*m.options, m.gate(0)));
      m.set_dh(fma(dh, splat(Real(1)) - leak, past));
    }
  };
};

// Hochreiter, Schmidhuber (1997); forget gate: Gers et al. (2000). Gates i, f, g, o:
//   c = f c_prev + i g   h = o h(c)
// Coupled (Greff et al. 2017): no f gate, f = 1 - i. With peepholes (Gers, Schmidhuber 2000) i and f see p c_prev,
// o sees p c. Under zoneout the kept state is c mixed with
// c_prev, and h is computed from c itself.
template <class Real, class Act, bool kCoupled>
struct Lstm {
  using V = Vec<Real>;
  enum Gate { kI, kF, kG = kCoupled ? 1 : 2, kO };
  enum Peephole { kToI, kToF, kToO = kCoupled ? 1 : 2 };
  static constexpr int kGateCount = kCoupled ? 3 : 4;
  static constexpr int kSavedGates = kGateCount;
  static constexpr int kReadsH = kNoRow;
  static constexpr int kReadsAux = kRowBefore;
  static constexpr bool kBypass = false;
  static constexpr bool kRuntime = Act::kRuntime;

  // a with its peephole at c, where the layer has peepholes.
  template <class Unit>
  RNNFAST_INLINE V seen(const Unit& m, int peephole, V c, V a) {
    if constexpr (Act::kRuntime) {
      if (m.options->peepholes != nullptr) return fma(m.peephole(peephole), c, a);
    }
    return a;
  }

  // Whether the layer makes h of the output gate itself, because c is normalised on its way.
  RNNFAST_INLINE bool made_outside(const CellOptions<Real>& options) {
    if constexpr (Act::kRuntime) return options.normed_output;
    return false;
  }

  // c before zoneout mixed it; the saved one is mixed.
  RNNFAST_INLINE V new_state(const BackwardUnit<Real>& m, V i, V g, V c_prev) {
    if constexpr (Act::kRuntime) {
      if (m.zoned()) {
        if constexpr (kCoupled) return fma(i, g - c_prev, c_prev);
        return fma(m.gate(kF), c_prev, i * g);
      }
    }
    return m.load_aux();
  }

  struct Forward {
    static constexpr int kGates = kGateCount;
    static constexpr int kFirstGate = 0;
    static constexpr int kParts = 2;
    static constexpr Operand kOperand = Operand::kHidden;
    // Kept: o, c.
    template <class Unit>
    RNNFAST_INLINE void begin(const V (&q)[kGates], const Unit& m, V (&kept)[2]) {
      const auto& options = *m.options;
      const V c_prev = m.load_aux_prev();
      const V i = Act::f(options, seen(m, kToI, c_prev, m.u(kI) + q[kI]));
      V f{};
      V g;
      V c;
      if constexpr (kCoupled) {
        g = Act::g(options, m.u(kG) + q[kG]);
        c = fma(i, g - c_prev, c_prev);
      } else {
        f = Act::f(options, seen(m, kToF, c_prev, m.u(kF) + q[kF]));
        g = Act::g(options, m.u(kG) + q[kG]);
        c = fma(f, c_prev, i * g);
      }
      const V o = Act::f(options, seen(m, kToO, c, m.u(kO) + q[kO]));
      m.set_aux(zoned<Real, Act>(m, 1, c, c_prev));
      kept[0] = o;
      kept[1] = c;
      if (!m.save()) return;
      m.set_gate(kI, i);
      m.set_gate(kG, g);
      m.set_gate(kO, o);
      if constexpr (!kCoupled) m.set_gate(kF, f);
    }
    template <class Unit>
    RNNFAST_INLINE void end(const V (&kept)[2], const Unit& m) {
      const V h = made_outside(*m.options) ? kept[0] : kept[0] * Act::h(*m.options, kept[1]);
      if constexpr (Act::kRuntime)
        m.set_h(m.zoned() ? zoned<Real, Act>(m, 0, h, m.load_h_prev()) : h);
      else
        m.set_h(h);
    }
  };
  struct Backward {
    static constexpr DqRange kDq{0, kGateCount, 0, false};
    RNNFAST_INLINE void apply(V dh, const BackwardUnit<Real>& m) {
      const auto& options = *m.options;
      const V i = m.gate(kI);
      const V g = m.gate(kG);
      const V o = m.gate(kO);
      const V c_prev = m.load_aux_prev();
      if constexpr (Act::kRuntime) {
        if (m.zoned()) m.set_dh(passed_by<Real, Act>(m, 0, dh));
      }
      const bool outside = made_outside(options);
      const V out = outside ? splat(Real(1)) : Act::h(options, new_state(m, i, g, c_prev));
      const V da_o = dh * out * Act::df(options, o);
      V dkept = outside ? m.saved_dc() : m.load_dc();
      const V past = passed_by<Real, Act>(m, 1, dkept);
      const V dc = seen(m, kToO, da_o, outside ? dkept : fma(dh * o, Act::dh(options, out), dkept));
      const V da_i = dc * (kCoupled ? g - c_prev : g) * Act::df(options, i);
      V dc_prev;
      if constexpr (kCoupled) {
        dc_prev = seen(m, kToI, da_i, fma(dc, splat(Real(1)) - i, past));
      } else {
        const V f = m.gate(kF);
        const V da_f = dc * c_prev * Act::df(options, f);
        dc_prev = seen(m, kToF, da_f, seen(m, kToI, da_i, fma(dc, f, past)));
        m.set_du(kF, da_f);
      }
      m.set_du(kI, da_i);
      m.set_du(kG, dc * i * Act::dg(options, g));
      m.set_du(kO, da_o);
      m.set_dc(dc_prev);
    }
  };
};

// Cho et al. (2014) in the form of cuDNN, ONNX linear_before_reset=1. Gates r, z, n; aux holds q_n, then dq_n:
//   n = g(u_n + r q_n)   h = n + z (h_prev - n)
template <class Real, class Act>
struct Gru {
  using V = Vec<Real>;
  enum Gate { kR, kZ, kN };
  static constexpr int kSavedGates = 3;
  static constexpr int kReadsH = kRowBefore;
  static constexpr int kReadsAux = kOwnRow;
  static constexpr bool kBypass = true;
  static constexpr bool kRuntime = Act::kRuntime;
  struct Forward {
    static constexpr int kGates = 3;
    static constexpr int kFirstGate = 0;
    static constexpr int kParts = 2;
    static constexpr Operand kOperand = Operand::kHidden;
    // Kept: z, n before its activation.
    template <class Unit>
    RNNFAST_INLINE void begin(const V (&q)[kGates], const Unit& m, V (&kept)[2]) {
      const V r = Act::f(*m.options, m.u(kR) + q[kR]);
      const V z = Act::f(*m.options, m.u(kZ) + q[kZ]);
      kept[0] = z;
      kept[1] = fma(r, q[kN], m.u(kN));
      if (m.save()) {
        m.set_gate(kR, r);
        m.set_gate(kZ, z);
        m.set_aux(q[kN]);
      }
    }
    template <class Unit>
    RNNFAST_INLINE void end(const V (&kept)[2], const Unit& m) {
      const V n = Act::g(*m.options, kept[1]);
      const V h_prev = m.load_h_prev();
      m.set_h(zoned<Real, Act>(m, 0, fma(kept[0], h_prev - n, n), h_prev));
      if (m.save()) m.set_gate(kN, n);
    }
  };
  struct Backward {
    static constexpr DqRange kDq{0, 2, 1, false};
    RNNFAST_INLINE void apply(V dh, const BackwardUnit<Real>& m) {
      const V r = m.gate(kR);
      const V z = m.gate(kZ);
      const V n = m.gate(kN);
      const V past = passed_by<Real, Act>(m, 0, dh);
      const V dn = dh * (splat(Real(1)) - z) * Act::dg(*m.options, n);
      m.set_du(kR, dn * m.load_aux() * Act::df(*m.options, r));
      m.set_du(kZ, dh * (m.load_h_prev() - n) * Act::df(*m.options, z));
      m.set_du(kN, dn);
      m.set_aux(dn * r);
      m.set_dh(fma(dh, z, past));
    }
  };
};

// The reset gate acts on the state before the product (Cho et al. 2014; Keras reset_after=False, ONNX
// linear_before_reset=0). Two stages; aux holds p = r h_prev:   n = g(u_n + R_n p + b_n)   h = n + z (h_prev - n)
template <class Real, class Act>
struct GruBefore {
  using V = Vec<Real>;
  enum Gate { kR, kZ, kN };
  static constexpr int kSavedGates = 3;
  static constexpr int kReadsH = kRowBefore;
  static constexpr int kReadsAux = kNoRow;
  static constexpr bool kBypass = true;
  static constexpr bool kRuntime = Act::kRuntime;
  struct Forward {
    static constexpr int kGates = 2;
    static constexpr int kFirstGate = 0;
    static constexpr int kParts = 1;
    static constexpr Operand kOperand = Operand::kHidden;
    template <class Unit>
    RNNFAST_INLINE void apply(const V (&q)[kGates], const Unit& m) {
      const auto& options = *m.options;
      const V r = Act::f(options, m.u(kR) + q[kR]);
      const V z = Act::f(options, m.u(kZ) + q[kZ]);
      m.set_gate(kR, r);
      m.set_gate(kZ, z);
      m.set_aux(r * m.load_h_prev());
    }
  };
  struct ForwardCandidate {
    static constexpr int kGates = 1;
    static constexpr int kFirstGate = kN;
    static constexpr int kParts = 1;
    static constexpr Operand kOperand = Operand::kAux;
    template <class Unit>
    RNNFAST_INLINE void apply(const V (&q)[kGates], const Unit& m) {
      const V n = Act::g(*m.options, m.u(kN) + q[0]);
      const V h_prev = m.load_h_prev();
      m.set_h(zoned<Real, Act>(m, 0, fma(m.gate(kZ), h_prev - n, n), h_prev));
      if (m.save()) m.set_gate(kN, n);
    }
  };
  struct Backward {
    static constexpr DqRange kDq{0, 2, 0, false};
    RNNFAST_INLINE void apply(V dh, const BackwardUnit<Real>& m) {
      const V z = m.gate(kZ);
      const V n = m.gate(kN);
      const V past = passed_by<Real, Act>(m, 0, dh);
      m.set_du(kZ, dh * (m.load_h_prev() - n) * Act::df(*m.options, z));
      m.set_du(kN, dh * (splat(Real(1)) - z) * Act::dg(*m.options, n));
      m.set_dh(fma(dh, z, past));
    }
  };
  struct BackwardReset {
    static constexpr DqRange kDq{2, 1, 0, true};
    RNNFAST_INLINE void apply(V dp, const BackwardUnit<Real>& m) {
      const V r = m.gate(kR);
      m.set_du(kR, dp * m.load_h_prev() * Act::df(*m.options, r));
      m.set_dh(fma(dp, r, m.load_dh()));
    }
  };
};

}  // namespace rnnfast::RNNFAST_ISA
