// The interface between the drivers and the vectorised code: argument structs, and one table of functions for each ISA
// and type. Pointers in arguments belong to the caller and live at least as long as the call. Arrays of one struct do
// not overlap, unless a comment says so. Plain data only: an inline function here would be emitted once per ISA under
// one name.
#pragma once
#include "../base/cells.hpp"
#include "nn_kernels.hpp"

namespace rnnfast {

// Rows of a sequence array: element 0 of row (row, n, t) is
// data[(row - row0) * by_row + n * by_n + (starts[n] + t) * by_t]. Arrays held row by row leave by_n and by_t zero; the
// user's (N, T, .) arrays leave by_row zero; in the user's arrays (M, .) sequence n begins at row starts[n], and only
// by_t is not zero. Kernels do not read starts: they find a row of y or dy by Row::y_t.
template <class Real>
struct View {
  Real* data;
  Index row0;
  Index by_row;
  Index by_n;
  Index by_t;
  const Index* starts = nullptr;  // [N]; null: all zero
};

// Numbers of a sequence that kernels of sequences in lanes copy at once, where steps are shorter.
constexpr Index kLaneRun = 96;

constexpr Index kInitial = -1;    // Row::prev: the row follows the given initial state
constexpr Index kReset = -2;      // Row::prev: the row follows a reset
constexpr Index kEnd = kInitial;  // Row::next: the sequence ends here
constexpr Index kCut = kReset;    // Row::next: the next step is a reset, from which no gradient comes back

// One valid step of one sequence. Fields are those of forward time. For reverse time `row_ref` (simd/step-inl.hpp)
// swaps prev and next, which is why kEnd is kInitial and kCut is kReset. It gives kEnd, never kCut, after t = 0.
struct Row {
  Index index;  // number of the row
  Index n;      // sequence
  Index t;      // time
  Index y_t;    // time in views of y, dy and dx: t, or starts[n] + t
  Index prev;   // row of the same sequence one step before, kInitial or kReset
  Index next;   // row of the same sequence one step after, kEnd or kCut
};

// The order in which rows are computed, place by place. Without a list the place is the row, step * N + n.
struct RowOrder {
  Index N;
  Index T;
  Index time_step;           // +1; -1 where time runs backwards, from the last step to the first
  const Row* rows_by_place;  // [rows] by step and part; null when dense
  const Index* bounds;       // [T, parts + 1] first place of each part of a step; null where all lengths are equal
  Index parts;               // shares of the sequences
  Index part;                // this call's share
  Index n0;                  // the same share where there are no bounds: sequences [n0, n1)
  Index n1;
};

// The state before a sequence's first step, given + n * width, and after a reset, reset + n * reset_by_n.
template <class Real>
struct InitialState {
  const Real* given;  // [N, width]
  const Real* reset;  // [width]; [N, width] where reset_by_n is width, not 0
  Index width;
  Index reset_by_n;
};

// An activation whose input is bounded to [-clip, clip].
template <class Real>
struct ActivationFn {
  Activation kind;
  Real alpha;
  Real beta;
  Real clip;
  Real low;   // its value at -clip, whose derivative counts as zero
  Real high;  // its value at +clip, whose derivative counts as zero
};

// What a layer may choose. A cell reads the options it knows (OptionSpec in base/cells.hpp).
template <class Real>
struct CellOptions {
  ActivationFn<Real> f;   // of the gates; of an RNN, the only one
  ActivationFn<Real> g;   // of the candidate
  ActivationFn<Real> h;   // of c on its way to h
  Real leak;              // share of the new state in h
  const Real* peepholes;  // [CellSpec::peepholes, H]; null: none
  const Real* zoneout;    // [states, H] shares of the old states in the new ones outside training; null: none
  bool normed_output;     // an LSTM's kernel writes o in the place of h, and reads dL/do in that of dL/dh
};

// y = gamma x^ + beta with x^ = (x - mean x) / sqrt(var x + eps), over n numbers.
template <class Real>
struct Norm {
  Index n;
  Real eps;
  const Real* gamma;  // [n]; null: ones
  const Real* beta;   // [n]; null: zeros
};

// h = o f(norm(c)), where f is the activation of c. Arrays are [norm.n].
template <class Real>
struct NormedOutput {
  Norm<Real> norm;
  const CellOptions<Real>* options;
  const Real* c;
  Real* h;  // in: o; out: h
};

// The derivative of NormedOutput. Arrays are [norm.n].
template <class Real>
struct NormedOutputBack {
  Norm<Real> norm;
  const CellOptions<Real>* options;
  const Real* c;
  const Real* o;
  const Real* dh;
  Real* d_o;       // out: dL/do
  Real* d_normed;  // out: dL/d norm(c)
  Real* dc;        // in: dL/dc from the step after, unless `cut`; out: with dL/dc through h added
  bool cut;        // the step after is a reset: dc is not read
};

// What W reads where each call brings one step: of sequence n, rows[n], or x + n * ld where rows is null.
template <class Real>
struct StepInput {
  const Real* x;  // [N] of [C], ld apart
  Index ld;
  const Real* const* rows;  // [N] pointers to [C], or to [G H] if `ready_u`; or null
  bool ready_u;             // rows point to u = W x + b_ih instead of x
};

// Some steps of a cell's stage forward. u, y and aux are views of rows: what one step writes, the next reads. Which
// rows may be the same memory follows from their strides: without a backward pass all steps of a sequence share one row
// of aux.
template <class Real>
struct ForwardArgs {
  RowOrder order;
  Index s0;  // steps [s0, s1), taken in the order's direction
  Index s1;
  Index panel0;  // panels [panel0, panel1) of units
  Index panel1;
  Index H;
  Index P;                           // numbers that R reads
  const Real* packed;                // [panels, P, blocks * gates, lanes] the stage's rows of R
  const Real* bias;                  // [panels, blocks * gates, lanes] b_hh
  View<Real> u;                      // [G H] in: W x + b_ih, unless made here; out: the gates, if `save`
  View<Real> y;                      // [H] h; read one step back
  View<const Real> recurrent_input;  // [P] what R reads one step back: h, h under a mask, or projected h
  View<Real> aux;                    // [H] c, q_n or r h_prev; c is read one step back
  InitialState<Real> h0;             // of y
  InitialState<Real> c0;             // of aux, where it is c
  InitialState<Real> recurrent_input0;
  View<const Real> zone;  // [states H] shares of the old states in the new ones; data null: none
  View<const Real> q;     // [G H] ready instead of a product; data null: q is made here
  // Only where each call brings one step, which makes u beside q in one pass over the weights and does not keep it:
  const Real* w;                 // [panels, C, blocks * gates, lanes] the stage's rows of W; null: u is given
  const Real* b_w;               // [panels, blocks * gates, lanes] b_ih
  Index C;                       // numbers that W reads
  const StepInput<Real>* input;  // its rows do not overlap y
  Index turn;                    // number of the step, which says in which direction panels are walked
  bool save;                     // keep gates and aux for the backward pass
  bool one_way;                  // walk the panels from the first to the last in every step, not up and down by turns
  bool from_l2;                  // a thread's panels do not fit L1
  bool fetch_ahead;              // nor L2: fetch the next panel while one is used
  const CellOptions<Real>* options;
  // Only of sequences in lanes (forward_lanes), which are equally long. u is made in the step; the view above is of the
  // gates, data null where none are saved. packed is [units, C + P, G] and bias [units, 2, G], W and b_ih before R and
  // b_hh, units rounded up to whole vectors by zeros.
  View<const Real> x;  // [C]
  Real* scratch;       // [larger(C, kLaneRun) + 2 larger(units, kLaneRun + lanes) + (1 + G) units, lane_block]
};

// Some steps of a cell's stage backward.
template <class Real>
struct BackwardArgs {
  RowOrder order;
  Index s0;  // steps [s0, s1), taken against the order's direction
  Index s1;
  Index panel0;  // panels [panel0, panel1) of units
  Index panel1;
  Index H;
  const Real* packed;     // [panels, K, blocks, lanes] the stage's rows of R, not transposed; null: no product
  View<Real> u;           // [G H] in: the gates; out: du
  View<Real> aux;         // [H] in: as saved; out: dq_n of a GRU
  View<const Real> y;     // [H]
  View<const Real> dy;    // [H]
  View<Real> dh_steps;    // [H] out: dL/dh of every step; data null: not wanted
  InitialState<Real> h0;  // as in ForwardArgs
  InitialState<Real> c0;
  const Real* zero;       // [G H] zeros
  const Real* mask;       // [N, H] the mask of recurrent dropout; null: none
  View<const Real> zone;  // as in ForwardArgs
  Real* dh;               // [N, H] in: dL/dh after the last step; between steps: the part that does not pass R
  Real* dc;               // [N, H] the same of c; LSTM only
  bool one_way;           // as in ForwardArgs
  bool fetch_ahead;
  const CellOptions<Real>* options;
  // Only for `finish`, which writes into dh dL/dh of the state before these rows where it is of the kind `entered`,
  // else zero:
  Index entered;        // kInitial or kReset
  const Index* firsts;  // [first_count] places in the order, one a sequence at most; null: those of its first step
  Index first_count;
};

// c[r][j] = start[j] + sum_k a[r][k] B[k][j], one chain of fma in the order of k.
template <class Real>
struct GemmArgs {
  Index rows;
  Index inner;
  Index cols;
  Index panel0;  // panels [panel0, panel1) of gemm_vectors * lanes columns each, unless `gates`
  Index panel1;
  const Real* const* a;      // [rows] pointers to [inner]
  Real* const* c;            // [rows] pointers to [cols]; must not overlap a
  const Real* packed;        // [panels, inner, gemm_vectors, lanes] B
  const Real* start;         // [cols]; null: zeros
  bool add;                  // start from the values of c instead
  bool fetch_ahead = false;  // fetch the next panel into L2 while one is used
  // 0: columns are in order. Else panels are those of a forward stage with this many gates: column j of gate g is that
  // of unit j, (first_gate + g) H + j.
  Index gates = 0;
  Index first_gate = 0;
  Index H = 0;
};

// Where one of the matrices is added that stand side by side in B.
template <class Real>
struct OuterSum {
  Real* c;  // [cols_a, cols], rows ldc apart
  Index ldc;
  Index cols;  // 0: there is none
};

// c[j][k] += sum_r a[r][j] b[r][k]: one chain from zero in the order of r, added once.
template <class Real>
struct OuterArgs {
  Index rows;  // at most kRowBlock
  Index cols_a;
  const Real* const* a;  // [rows] pointers to [cols_a]
  // Panels [rows, vectors, lanes], one after the other: `wide` ones of vectors + 1 vectors, then `narrow` ones of
  // `vectors`. Each matrix begins with a vector of its own.
  const Real* b_packed;
  Index vectors;  // at most gemm_vectors, also of wide panels
  Index wide;
  Index narrow;
  OuterSum<Real> sums[2];
};

// Sums over the rows of A, each one chain from zero in their order, added once. Null ones are left out.
template <class Real>
struct ColumnSums {
  Real* plain = nullptr;           // [cols] += sum_r a[r][j]
  Real* also = nullptr;            // [cols] the same
  const Real* const* b = nullptr;  // [rows] pointers to one number
  Real* weighted = nullptr;        // [cols] += sum_r b[r][0] a[r][j]
};

// Sums over rows run in blocks of this many rows, which are added in order. The sum's value depends on nothing else,
// and its error stays small.
constexpr Index kRowBlock = 256;

struct DropoutKey {
  std::uint32_t row[2];     // hash of (seed, call, purpose, layer, sequence, step)
  std::uint32_t threshold;  // drop where hash < threshold
};

enum class Unary : int { kExp, kSigmoid, kTanh, kLog, kLog1p };

// Upper limits of the machine, for the benchmark and the cost model.
template <class Real>
struct Probes {
  int fma_flops;                            // operations in a round of `fma`
  int read_grain;                           // n of `read` is a multiple of this
  Real (*fma)(Index rounds);                // multiply-adds of whole vectors, from registers only
  Real (*read)(const Real* data, Index n);  // loads of whole vectors
};

template <class Real>
struct Kernels {
  int lanes;                                   // numbers in a vector
  int gemm_vectors;                            // vectors in a panel of gemm
  int forward_blocks[kCellKinds][kMaxStages];  // vectors of units in a forward panel
  int backward_blocks;                         // vectors of units in a backward panel
  void (*forward[kCellKinds][kMaxStages])(const ForwardArgs<Real>&);
  // The same with a sequence in each lane, lane_block sequences at once; null of cells that have no such kernel.
  void (*forward_lanes[kCellKinds])(const ForwardArgs<Real>&);
  int lane_block;
  void (*backward[kCellKinds][kMaxStages])(const BackwardArgs<Real>&);
  void (*finish[kCellKinds])(const BackwardArgs<Real>&);  // dL/dh of initial states, into args.dh
  // Panels hold gemm_vectors * lanes columns; the last one has only as many whole vectors as it needs.
  void (*gemm)(const GemmArgs<Real>&);
  void (*outer)(const OuterArgs<Real>&);
  void (*column_sums)(Index rows, Index cols, const Real* const* a, const ColumnSums<Real>& to);
  // sums[j] += sum_r a[r][j] b[r][j]
  void (*column_dots)(Index rows, Index cols, const Real* const* a, const Real* const* b, Real* sums);
  // dst [K, stride]: `valid` numbers from rows[k] + offset on, then zeros up to whole vectors
  void (*pack_rows)(Index K, Index valid, const Real* const* rows, Index offset, Real* dst, Index stride);
  // y = x * scale, or 0 where dropped; x and y may be the same
  void (*dropout)(Index n, const Real* x, Real* y, DropoutKey key, Real scale);
  // y += scale times normally distributed numbers
  void (*add_noise)(Index n, Real* y, DropoutKey key, Real scale);
  // y = norm(x); x and y may be the same
  void (*normalize)(const Norm<Real>& norm, const Real* x, Real* y);
  // x becomes x^; dx may be dy
  void (*normalize_back)(const Norm<Real>& norm, Real* x, const Real* dy, Real* dx);
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
