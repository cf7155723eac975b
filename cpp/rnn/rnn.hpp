// A stack of recurrent layers over a batch of sequences: forward, and back through time.
#pragma once
#include <array>
#include <memory>
#include <vector>

#include "randomness.hpp"
#include "schedule.hpp"
#include "weights.hpp"

namespace rnnfast {

template <class Real>
using Stack = std::vector<std::shared_ptr<const Weights<Real>>>;  // by layer and direction, the first reads x

// What the backward pass needs of one direction of a layer. Instead of gates and aux there may be starts, from which
// the backward pass computes them again, chunk by chunk.
template <class Real>
struct Saved {
  Buffer<Real> gates;   // [rows, G H]; becomes du
  Buffer<Real> aux;     // [rows, H]
  Buffer<Real> out;     // [rows, H] what is projected, where it is
  Buffer<Real> raw;     // [rows, 2 G H] W x and R h before they are normalised, where they are
  Buffer<Real> y;       // [rows, D P], with the first direction of all layers but the last, whose y is the user's
  Buffer<Real> starts;  // [chunks - 1, N, H] c as it enters each chunk but the first, where the cell has one
  Index chunk = 0;      // rows from one start to the next, as in the schedule; 0: gates and aux are kept
};

enum class Keep { kNothing, kStarts, kAll, kAgain };  // kAgain: what kAll keeps, in rows that rebuild() is given

// D directions: 1, or 2, whose outputs stand side by side. x, y: views of (N, T, .) or (M, .) arrays. States [L D, N,
// P] and [L D, N, H]; h0, c0 may be null for zeros. h_reset [L D, P], c_reset [L D, H]: what a reset begins with, null
// for zeros. Outputs may not overlap inputs.
template <class Real>
struct ForwardCall {
  ForwardCall(const Stack<Real>& stack, const Plan& batch) : layers(stack), plan(batch) {}

  const Stack<Real>& layers;
  const Plan& plan;
  Index directions = 1;
  Index T = 0;  // of the views; past a sequence's length y and dx are zero
  View<const Real> x = {};
  View<Real> y = {};
  const Real* h0 = nullptr;
  const Real* c0 = nullptr;
  const Real* h_reset = nullptr;
  const Real* c_reset = nullptr;
  Real* hn = nullptr;
  Real* cn = nullptr;
  Keep keep = Keep::kNothing;
  std::vector<Saved<Real>>* saved = nullptr;  // null: kNothing
  Randomness random;
  int threads = 1;
};

// False: interrupted, outputs undefined.
template <class Real>
bool forward(const ForwardCall<Real>& call, Interrupt& interrupt);

// Of one direction of a layer. Gradients are added to; those of what it has not, and of biases, may be null.
template <class Real>
struct LayerGradients {
  Real* dW;
  Real* dR;
  Real* db_w;
  Real* db_r;
  Real* dpeepholes;
  Real* dprojection;
  Real* dgamma_ih;
  Real* dgamma_hh;
  Real* dgamma_c;
  Real* dbeta_c;
};

// x, y, h0, c0, h_reset, c_reset, saved: of the forward call; saved is used up. dy: view of zeros where y has no
// gradient. dh [L D, N, P], dc [L D, N, H]: in, the gradient of the final states; out, of the given initial states.
// dh_reset, dc_reset, as these: sums over a sequence's resets are added; dh_reset null: not wanted. dx.data null: not
// wanted; else zero where the batch has no rows.
template <class Real>
struct BackwardCall {
  BackwardCall(const Stack<Real>& stack, const Plan& batch, std::vector<Saved<Real>>& kept,
               const std::vector<LayerGradients<Real>>& sums)
      : layers(stack), plan(batch), saved(kept), gradients(sums) {}

  const Stack<Real>& layers;
  const Plan& plan;
  std::vector<Saved<Real>>& saved;
  const std::vector<LayerGradients<Real>>& gradients;  // as the layers
  Index directions = 1;
  Index T = 0;  // of the views; past a sequence's length y and dx are zero
  View<const Real> x = {};
  View<const Real> y = {};
  View<const Real> dy = {};
  const Real* h0 = nullptr;
  const Real* c0 = nullptr;
  const Real* h_reset = nullptr;
  const Real* c_reset = nullptr;
  View<Real> dx = {};
  Real* dh = nullptr;
  Real* dc = nullptr;
  Real* dh_reset = nullptr;
  Real* dc_reset = nullptr;
  Randomness random;
  int threads = 1;
  double* norms = nullptr;  // [L D, N, T] of zeros; out: |dL/dh| of every step; null: not wanted
};

template <class Real>
bool backward(const BackwardCall<Real>& call, Interrupt& interrupt);

}  // namespace rnnfast
