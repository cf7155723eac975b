// Cells as data: what the drivers, the bindings and Python know of a cell.
#pragma once
#include "activations.hpp"
#include "dims.hpp"

namespace rnnfast {

// "Generic": with activations chosen at run time, LSTMs also with peepholes.
enum class CellKind : int { RNNFAST_CELLS(RNNFAST_FIRST) };
constexpr int kCellKinds = 0 RNNFAST_CELLS(RNNFAST_COUNT);
constexpr int kMaxStages = 2;
constexpr int kMaxPeepholes = 3;
constexpr int kMaxActivations = 3;

// What the product of a stage reads: the hidden state of the step before, or the cell's own auxiliary row.
enum class Operand : int { kHidden, kAux };
// Where the gradient of a stage's pre-activation q lies after the backward step.
enum class Source : int { kGates, kAux };

// Gates [first_gate, first_gate + gates) of one step, computed by one product with their rows of R.
struct StageSpec {
  int first_gate;
  int gates;
  Operand operand;
};

// A block of recurrent gates whose dq lies in one place: dR = dq^T operand, db_hh = sum dq.
struct SegmentSpec {
  int first_gate;
  int gates;
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

// Which activations a cell can have: those of the papers only, or tanh, relu and identity, or any.
enum class Choice : int { kFixed, kElman, kAny };

// Which options of a layer a cell reads. The bindings refuse the others, which would have no effect.
struct OptionSpec {
  Choice choice;
  bool clip;
  bool leak;
  bool zoneout;
  bool norm;
  bool recurrent_dropout;
};

struct CellSpec {
  const char* name;
  const char* family;
  OptionSpec options;
  int activations;                         // how many a layer chooses: f alone, f and g, or all three
  Activation activation[kMaxActivations];  // f of the gates, g of the candidate, h of c, where none is chosen
  const char* gate_names;                  // one letter each, of the gates that a trace shows
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

// One product a step, whose dq is du; what all cells begin with.
constexpr CellSpec one_product(int gates, OptionSpec options) {
  CellSpec s = {};
  s.options = options;
  s.gate_names = "";
  s.gates = gates;
  s.states = 1;
  s.output_gate = -1;
  s.stages = 1;
  s.forward[0].gates = gates;
  s.backward[0].gates = gates;
  s.segments = 1;
  s.segment[0].gates = gates;
  return s;
}

constexpr CellSpec rnn_spec(OptionSpec options) {
  CellSpec s = one_product(1, options);
  s.activations = 1;
  s.activation[0] = Activation::kTanh;
  s.saves_gates = options.leak;  // y alone does not tell the new state that was mixed in
  return s;
}

constexpr int letters(const char* names) {
  int count = 0;
  while (names[count] != 0) ++count;
  return count;
}

constexpr CellSpec lstm_spec(const char* gate_names, OptionSpec options) {
  const int gates = letters(gate_names);
  CellSpec s = one_product(gates, options);
  s.gate_names = gate_names;
  s.activations = 3;
  s.activation[0] = Activation::kSigmoid;
  s.activation[1] = Activation::kTanh;
  s.activation[2] = Activation::kTanh;
  s.states = 2;
  s.has_c = true;
  s.output_gate = gates - 1;
  s.saves_gates = true;
  s.aux = 1;
  if (options.choice == Choice::kFixed) return s;
  s.peepholes = gates - 1;
  for (int gate = 0; gate < gates - 2; ++gate) s.peephole[gate].gate = gate;
  s.peephole[gates - 2].gate = gates - 1;
  s.peephole[gates - 2].own = true;
  return s;
}

constexpr CellSpec gru_spec(OptionSpec options) {
  CellSpec s = one_product(3, options);
  s.gate_names = "rzn";
  s.activations = 2;
  s.activation[0] = Activation::kSigmoid;
  s.activation[1] = Activation::kTanh;
  s.saves_gates = true;
  s.aux = 1;
  s.segments = 2;
  s.segment[0].gates = 2;
  s.segment[1].first_gate = 2;
  s.segment[1].gates = 1;
  s.segment[1].dq = Source::kAux;
  return s;
}

constexpr CellSpec gru_before_spec(OptionSpec options) {
  CellSpec s = gru_spec(options);
  s.options.recurrent_dropout = false;
  s.stages = 2;
  s.forward[0].gates = 2;
  s.forward[1].first_gate = 2;
  s.forward[1].gates = 1;
  s.forward[1].operand = Operand::kAux;
  s.backward[0] = s.forward[0];
  s.backward[1] = s.forward[1];
  s.segment[0].stage = 1;
  s.segment[1].dq = Source::kGates;
  s.segment[1].dq_gate = 2;
  s.segment[1].operand = Operand::kAux;
  return s;
}

// The LSTM of the papers reads no option: its kernel makes h itself, of a c that is not normed.
constexpr OptionSpec kNoOptions = {};
constexpr OptionSpec with_norm(Choice choice) {
  OptionSpec options = {};
  options.choice = choice;
  options.norm = true;
  return options;
}
constexpr OptionSpec kNorm = with_norm(Choice::kFixed);
constexpr OptionSpec kOfElman = with_norm(Choice::kElman);
constexpr OptionSpec generic_options(bool leak, bool zoneout) {
  OptionSpec options = with_norm(Choice::kAny);
  options.clip = true;
  options.leak = leak;
  options.zoneout = zoneout;
  options.recurrent_dropout = true;
  return options;
}
constexpr OptionSpec kGeneric = generic_options(false, true);
constexpr OptionSpec kGenericRnnReads = generic_options(false, false);
constexpr OptionSpec kLeakyRnnReads = generic_options(true, true);

constexpr CellSpec named(const char* name, const char* family, CellSpec spec) {
  spec.name = name;
  spec.family = family;
  return spec;
}

// In the order of CellKind.
constexpr CellSpec kCells[kCellKinds] = {
#define RNNFAST_ENTRY(kind, name, family, spec, ...) named(#name, #family, spec),
    RNNFAST_CELLS(RNNFAST_ENTRY)
#undef RNNFAST_ENTRY
};

// static: each object file has its own, also where nothing is inlined and the files differ in instruction set.
static constexpr const CellSpec& spec_of(CellKind kind) { return kCells[static_cast<int>(kind)]; }

}  // namespace rnnfast
