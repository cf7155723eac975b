// Dimensions, used with these letters everywhere:
//   N sequences   T steps   C input features   H hidden units   P numbers of h, H unless projected   L layers
//   D directions   G gates   K inner dimension of a product
// A "row" is one valid (sequence, step); rows are numbered step by step, within a step by sequence.
#pragma once
#include <cstdint>

namespace rnnfast {

using Index = std::int64_t;

// alpha and beta: of the activation, where it has them.
enum class Activation : int {
  kTanh,
  kRelu,
  kIdentity,
  kSigmoid,
  kHardSigmoid,      // alpha x + beta within [0, 1]
  kHardTanh,         // x within [-1, 1]
  kSoftsign,         // x / (1 + |x|)
  kSoftplus,         // log(1 + e^x)
  kElu,              // x, below 0 alpha (e^x - 1)
  kLeakyRelu,        // x, below 0 alpha x
  kThresholdedRelu,  // x, up to alpha 0
  kScaledTanh,       // alpha tanh(beta x)
  kAffine            // alpha x + beta
};

// "Generic": with activations chosen at run time, LSTMs also with peepholes.
enum class CellKind : int {
  kRnn,
  kLstm,
  kGru,
  kGruBefore,
  kGenericRnn,
  kLeakyRnn,
  kGenericLstm,
  kCoupled,
  kGenericGru,
  kGenericGruBefore
};
constexpr int kCellKinds = 10;
constexpr int kMaxStages = 2;
constexpr int kMaxPeepholes = 3;
constexpr int kMaxActivations = 3;

// What the product of a stage reads: the hidden state of the step before, or the cell's own auxiliary row.
enum class Operand : int { kHidden, kAux };
// Where the gradient of a stage's pre-activation q lies after the backward step.
enum class Source : int { kGates, kAux };

// Gates [first_gate, first_gate + gates) of one step, computed by one product with their rows of R.
struct StageSpec {
  int first_gate, gates;
  Operand operand;
};

// A block of recurrent gates whose dq lies in one place: dR = dq^T operand, db_hh = sum dq.
struct SegmentSpec {
  int first_gate, gates;
  Source dq;
  int dq_gate;  // first gate of dq inside its source row
  Operand operand;
  int stage;  // the backward stage that makes the last of dq
};

// A gate's pre-activation that also sees the cell state, unit by unit: the one before the step, or the step's own.
struct PeepholeSpec {
  int gate;
  bool own;
};

// Which options of a layer a cell reads. The bindings refuse the others, which would have no effect.
struct OptionSpec {
  int activations;      // of f, g and h, the first so many are chosen at run time
  bool any_activation;  // false: tanh, relu and identity only
  bool clip, leak, zoneout, norm, recurrent_dropout;
};

struct CellSpec {
  const char* name;
  OptionSpec options;
  Activation activation[kMaxActivations];  // f of the gates, g of the candidate, h of c, where none is chosen
  int gates;
  int states;        // 1: h; 2: h and c
  bool has_c;        // aux is the state c, which a step reads of the one before
  int output_gate;   // gate o of h = o f(c), or -1 where h is not made of c
  bool saves_gates;  // false: the backward step needs nothing beyond y
  int aux;           // numbers a unit and row kept beside the gates: c (LSTM), q_n (GRU), r h_prev (GRU, reset before)
  int stages;
  StageSpec forward[kMaxStages];
  StageSpec backward[kMaxStages];  // the rows of R whose product with dq gives a gradient; operand says where dq lies
  int segments;
  SegmentSpec segment[kMaxStages];
  int peepholes;  // an option: a layer has all or none
  PeepholeSpec peephole[kMaxPeepholes];
};

constexpr Operand kHid = Operand::kHidden, kAuxRow = Operand::kAux;
constexpr Source kInGates = Source::kGates, kInAux = Source::kAux;

// What cells of one shape share; the first: one product a step, whose dq is du.
constexpr CellSpec one_product(const char* name, int gates, OptionSpec options) {
  CellSpec s = {};
  s.name = name, s.options = options, s.gates = gates, s.states = 1, s.output_gate = -1, s.stages = 1, s.segments = 1;
  s.forward[0] = s.backward[0] = {0, gates, kHid};
  s.segment[0] = {0, gates, kInGates, 0, kHid, 0};
  return s;
}
constexpr CellSpec rnn_spec(const char* name, OptionSpec options) {
  CellSpec s = one_product(name, 1, options);
  s.activation[0] = Activation::kTanh;
  s.saves_gates = options.leak;  // y alone does not tell the new state that was mixed in
  return s;
}
constexpr CellSpec lstm_spec(const char* name, int gates, OptionSpec options) {
  CellSpec s = one_product(name, gates, options);
  s.activation[0] = Activation::kSigmoid;
  s.activation[1] = s.activation[2] = Activation::kTanh;
  s.states = 2, s.has_c = true, s.output_gate = gates - 1;
  s.saves_gates = true, s.aux = 1;
  if (options.activations == 0) return s;
  s.peepholes = gates - 1;
  for (int gate = 0; gate < gates - 2; ++gate) s.peephole[gate] = {gate, false};
  s.peephole[gates - 2] = {gates - 1, true};
  return s;
}
constexpr CellSpec gru_spec(const char* name, OptionSpec options) {
  CellSpec s = one_product(name, 3, options);
  s.activation[0] = Activation::kSigmoid;
  s.activation[1] = Activation::kTanh;
  s.saves_gates = true, s.aux = 1, s.segments = 2;
  s.segment[0] = {0, 2, kInGates, 0, kHid, 0}, s.segment[1] = {2, 1, kInAux, 0, kHid, 0};
  return s;
}
constexpr CellSpec gru_before_spec(const char* name, OptionSpec options) {
  CellSpec s = gru_spec(name, options);
  s.options.recurrent_dropout = false;
  s.stages = 2;
  s.forward[0] = s.backward[0] = {0, 2, kHid}, s.forward[1] = s.backward[1] = {2, 1, kAuxRow};
  s.segment[0].stage = 1, s.segment[1] = {2, 1, kInGates, 2, kAuxRow, 0};
  return s;
}

// Options of the cells with the activations of the papers. The LSTM's kernel makes h itself, of a c that is not normed.
constexpr OptionSpec plain_options(int activations, bool norm) {
  OptionSpec options = {};
  options.activations = activations;
  options.norm = norm;
  return options;
}
constexpr OptionSpec generic_options(int activations, bool leak, bool zoneout) {
  OptionSpec options = {};
  options.activations = activations;
  options.any_activation = options.clip = options.norm = options.recurrent_dropout = true;
  options.leak = leak;
  options.zoneout = zoneout;
  return options;
}

// The one registry of cells, in the order of CellKind.
constexpr CellSpec kCells[kCellKinds] = {
    rnn_spec("rnn", plain_options(1, true)),
    lstm_spec("lstm", 4, plain_options(0, false)),
    gru_spec("gru", plain_options(0, true)),
    gru_before_spec("gru_before", plain_options(0, true)),
    rnn_spec("generic_rnn", generic_options(1, false, false)),
    rnn_spec("leaky_rnn", generic_options(1, true, true)),
    lstm_spec("generic_lstm", 4, generic_options(3, false, true)),
    lstm_spec("coupled_lstm", 3, generic_options(3, false, true)),
    gru_spec("generic_gru", generic_options(2, false, true)),
    gru_before_spec("generic_gru_before", generic_options(2, false, true)),
};

// static: each object file has its own, also where nothing is inlined and the files differ in instruction set.
static constexpr const CellSpec& spec_of(CellKind kind) { return kCells[static_cast<int>(kind)]; }
static constexpr Index ceil_div(Index a, Index b) { return (a + b - 1) / b; }
static constexpr Index smaller(Index a, Index b) { return a < b ? a : b; }

}  // namespace rnnfast
