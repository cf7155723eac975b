// What the drivers ask of the vectorised code: argument structs and one table of functions an ISA and type.
// Plain data only: an inline function here would be emitted once per ISA under one name.
#pragma once
#include "../base/cells.hpp"
#include "nn_kernels.hpp"

namespace rnnfast {

// Rows of a sequence array: element 0 of row (row, n, t) is data[(row - row0) * by_row + n * by_n + t * by_t].
// Arrays held row by row leave by_n and by_t zero; the user's (N, T, .) arrays leave by_row zero.
template <class Real>
struct View {
  Real* data;
  Index row0;
  Index by_row;
  Index by_n;
  Index by_t;
};

constexpr Index kInitial = -1;    // Row::prev: the given initial state
constexpr Index kReset = -2;      // Row::prev: the state that a reset begins with
constexpr Index kEnd = kInitial;  // Row::next: the sequence ends here
constexpr Index kCut = kReset;    // Row::next: the next step is a reset, no gradient comes back

// Fields are those of forward time. For reverse time `row_ref` (simd/step-inl.hpp) swaps prev and next, which is
// why kEnd is kInitial and kCut is kReset, and gives kEnd, never kCut, behind t = 0.
struct Row {
  // number of the row, sequence and time
  Index index;
  Index n;
  Index t;
  // rows of the same sequence one step before and after
  Index prev;
  Index next;
};

// The order in which rows are computed, place by place. Without a list the place is the row, step * N + n.
struct RowOrder {
  Index N;
  Index T;
  Index dt;                  // +1, or -1 where time runs backwards: from the last step to the first
  const Row* rows_by_place;  // [rows], by step and part; null when dense
  const Index* bounds;  // [T][parts + 1] first place of each part of a step; null where all sequences are equally long
  // this call's share of the sequences
  Index parts;
  Index part;
  // the same share where there are no bounds
  Index n0;
  Index n1;
};

// A state where no step is before: of sequence n given + n * width, and after a reset reset + n * reset_by_n.
template <class Real>
struct InitialState {
  const Real* given;  // [N, width]
  const Real* reset;  // [width], or [N, width] where reset_by_n is width, not 0
  Index width;
  Index reset_by_n;
};

// An activation of an input bounded to [-clip, clip]; low, high: its values at the bounds, where nothing passes back.
template <class Real>
struct ActivationFn {
  Activation kind;
  Real alpha;
  Real beta;
  Real clip;
  Real low;
  Real high;
};

// What a layer of a cell may choose. Cells read what concerns them.
template <class Real>
struct CellOptions {
  // of the gates (of an RNN: the one), of the candidate, of c on its way to h
  ActivationFn<Real> f;
  ActivationFn<Real> g;
  ActivationFn<Real> h;
  Real leak;              // share of the new state in h
  const Real* peepholes;  // [CellSpec::peepholes, H], or null for none
  const Real* zoneout;    // [states, H] shares of the states before in the new ones, outside training; or null
  bool normed_output;     // LSTM: h is made outside, of o, which stands in its place; so is dL/do, in that of dL/dh
};

// y = gamma x^ + beta, x^ = (x - mean x) / sqrt(var x + eps), of n numbers.
template <class Real>
struct Norm {
  Index n;
  Real eps;
  const Real* gamma;  // [n], or null for ones
  const Real* beta;   // [n], or null for zeros
};

// h = o f(norm(c)), f being the activation of c.
template <class Real>
struct NormedOutput {
  Norm<Real> norm;
  const CellOptions<Real>* options;
  const Real* c;
  Real* h;  // in: o
};

// Of dL/dh: dL/do, dL/d norm(c), and dL/dc, added to dc or, where the step after is cut off, in its place.
template <class Real>
struct NormedOutputBack {
  Norm<Real> norm;
  const CellOptions<Real>* options;
  const Real* c;
  const Real* o;
  const Real* dh;
  Real* d_o;
  Real* d_normed;
  Real* dc;
  bool cut;
};

// What a step reads where each call brings one step: x of row n is rows[n], or data + n * ld where rows is null.
template <class Real>
struct StepInput {
  const Real* x;
  Index ld;
  const Real* const* rows;  // [rows] of [C], of [G H] if `projected`; or null
  bool projected;           // rows point to u = W x + b_ih of the layer
};

template <class Real>
struct ForwardArgs {
  RowOrder order;
  // steps, in the order's direction
  Index s0;
  Index s1;
  // panels of units
  Index panel0;
  Index panel1;
  // P: numbers that R reads
  Index H;
  Index P;
  const Real* packed;                // [panel][P][blocks * gates][lanes], the stage's rows of R
  const Real* bias;                  // [panel][blocks * gates][lanes] of b_hh
  View<Real> u;                      // [G H] in: W x + b_ih, unless it is made here; out: the gates
  View<Real> y;                      // h; read one step back
  View<const Real> recurrent_input;  // what R reads one step back [P]: h, or h under a mask, or projected
  View<Real> aux;                    // c, q_n or r h_prev [H]; read one step back
  // of y [H], aux [H] (LSTM only) and recurrent_input [P]
  InitialState<Real> h0;
  InitialState<Real> c0;
  InitialState<Real> recurrent_input0;
  View<const Real> zone;  // [states H] shares of the states before in the new ones; data null: none
  View<const Real> q;     // [G H] ready instead of a product; data null: none
  // Where each call brings one step, u is made beside q, in one pass over the weights, and not kept.
  const Real* w;    // [panel][C][blocks * gates][lanes], the stage's rows of W; null: u is given
  const Real* b_w;  // [panel][blocks * gates][lanes] of b_ih
  Index C;
  const StepInput<Real>* input;
  bool save;         // keep gates and aux for the backward pass
  bool one_way;      // panels from the first to the last in every step, not up and down by turns
  Index turn;        // that of step 0, where each call brings one step
  bool from_l2;      // a thread's panels do not fit L1
  bool fetch_ahead;  // nor L2: the next one is fetched while one is used
  const CellOptions<Real>* options;
};

template <class Real>
struct BackwardArgs {
  RowOrder order;
  // steps, run against the order's direction
  Index s0;
  Index s1;
  Index panel0;
  Index panel1;
  Index H;
  const Real* packed;  // [panel][K][blocks][lanes], the stage's rows of R as they are; null: dy is all there is
  View<Real> u;        // in: the gates; out: du
  View<Real> aux;      // in: as saved; GRU out: dq_n
  View<const Real> y;
  View<const Real> dy;
  View<Real> dh_steps;  // out: dL/dh of every step; data null: not wanted
  // as in forward
  InitialState<Real> h0;
  InitialState<Real> c0;
  const Real* zero;       // [G H] zeros
  const Real* mask;       // [N, H] of what R has read; null: none, and for cells that know no mask
  View<const Real> zone;  // as in forward
  Real* dh;               // [N, H] in: dL/dh after the last step; running: what bypasses R
  Real* dc;               // [N, H] the same of c; LSTM only
  // as in forward
  bool one_way;
  bool fetch_ahead;
  const CellOptions<Real>* options;
  // `finish`: dL/dh of the state before these rows, where it is the one `entered` (kInitial or kReset), else zero.
  Index entered;
  const Index* firsts;  // places in the order, one a sequence at most; null: those of its first step
  Index first_count;
};

// c[r][j] = start[j] + sum_k a[r][k] B[k][j], one chain of fma in the order of k.
template <class Real>
struct GemmArgs {
  Index rows;
  Index inner;
  Index cols;
  // of gemm_vectors * lanes columns each, unless `gates`
  Index panel0;
  Index panel1;
  const Real* const* a;      // [rows] pointers to inner numbers
  Real* const* c;            // [rows] pointers to cols numbers; may not overlap a
  const Real* packed;        // [panel][inner][gemm_vectors][lanes]
  const Real* start;         // [cols], or null for zeros
  bool add;                  // start from what stands in c instead
  bool fetch_ahead = false;  // the next panel is fetched into L2 while one is used
  // 0: columns as they come. Else panels are those of a forward step's stage: the units of so many gates, whose columns
  // begin at first_gate H, gate by gate.
  Index gates = 0;
  Index first_gate = 0;
  Index H = 0;
};

// c[j][k] += sum_r a[r][j] b[r][k], one chain from zero in the order of r, added once.
template <class Real>
struct OuterArgs {
  Index rows;  // at most kRowBlock
  Index cols_a;
  Index cols_b;
  const Real* const* a;  // [rows] pointers to cols_a numbers
  const Real* b_packed;  // [panel][rows][gemm_vectors][lanes]
  Real* c;               // [cols_a, cols_b]
  Index ldc;
};

// Sums over rows run in blocks of this many, added in order: the sum's value depends on nothing else, and its error
// stays small.
constexpr Index kRowBlock = 256;

struct DropoutKey {
  std::uint32_t row[2];     // hash of (seed, call, purpose, layer, sequence, step)
  std::uint32_t threshold;  // drop where hash < threshold
};

enum class Unary : int { kExp, kSigmoid, kTanh, kLog, kLog1p };

// What the machine can do at most, for the benchmark.
template <class Real>
struct Probes {
  int fma_flops;                            // operations in a round of `fma`
  int read_grain;                           // n of `read` is a multiple of this
  Real (*fma)(Index rounds);                // multiply-adds of whole vectors, from registers only
  Real (*read)(const Real* data, Index n);  // loads of whole vectors
};

template <class Real>
struct Kernels {
  int lanes;
  int gemm_vectors;                            // vectors in a panel of gemm
  int forward_blocks[kCellKinds][kMaxStages];  // vectors of units in a forward panel
  int backward_blocks;                         // vectors of units in a backward panel
  void (*forward[kCellKinds][kMaxStages])(const ForwardArgs<Real>&);
  void (*backward[kCellKinds][kMaxStages])(const BackwardArgs<Real>&);
  void (*finish[kCellKinds])(const BackwardArgs<Real>&);  // dL/dh of initial states, into args.dh
  // Panels hold gemm_vectors * lanes columns, the last one as many whole vectors as it needs; so do those of pack_rows.
  void (*gemm)(const GemmArgs<Real>&);
  void (*outer)(const OuterArgs<Real>&);
  void (*column_sums)(Index rows, Index cols, const Real* const* a, Real* sums);  // sums[j] += sum_r a[r][j]
  // sums[j] += sum_r a[r][j] b[r][j]
  void (*column_dots)(Index rows, Index cols, const Real* const* a, const Real* const* b, Real* sums);
  // dst [K][valid rounded up to whole vectors]: `valid` numbers at rows[k] + offset, then zeros
  void (*pack_rows)(Index K, Index valid, const Real* const* rows, Index offset, Real* dst);
  void (*dropout)(Index n, const Real* x, Real* y, DropoutKey key, Real scale);  // x and y may be the same
  void (*add_noise)(Index n, Real* y, DropoutKey key, Real scale);    // y += scale times normally distributed numbers
  void (*normalize)(const Norm<Real>& norm, const Real* x, Real* y);  // x and y may be the same
  void (*normalize_back)(const Norm<Real>& norm, Real* x, const Real* dy, Real* dx);  // x becomes x^; dx may be dy
  void (*normed_output)(const NormedOutput<Real>&);
  void (*normed_output_back)(const NormedOutputBack<Real>&);
  void (*unary)(Unary kind, Index n, const Real* x, Real* y);
  void (*activate)(const ActivationFn<Real>& fn, Index n, const Real* x, Real* y);
  NnKernels<Real> nn;
  Probes<Real> probes;
};

struct KernelTable {
  Kernels<float> f32;
  Kernels<double> f64;
};

}  // namespace rnnfast
