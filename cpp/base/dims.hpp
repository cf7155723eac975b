// Dimensions, used with these letters everywhere:
//   N sequences   T steps   C input features   H hidden units   L layers   D directions   G gates   K inner dimension
//   of a product
// A "row" is one valid (sequence, step); rows are numbered step by step, within a step by sequence.
#pragma once
#include <cstdint>

namespace rnnfast {

using Index = std::int64_t;

enum class Activation : int { kTanh, kRelu, kIdentity };

enum class CellKind : int { kRnn, kLstm, kGru, kGruBefore };
constexpr int kCellKinds = 4;
constexpr int kMaxStages = 2;

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
};

struct CellSpec {
  const char* name;
  int gates;
  int states;        // 1: h; 2: h and c
  bool saves_gates;  // false: the backward step needs nothing beyond y
  int aux;           // numbers a unit and row kept beside the gates: c (LSTM), q_n (GRU), r h_prev (GRU, reset before)
  int stages;
  StageSpec forward[kMaxStages];
  StageSpec backward[kMaxStages];  // the rows of R whose product with dq gives a gradient; operand says where dq lies
  int segments;
  SegmentSpec segment[kMaxStages];
};

constexpr Operand kHid = Operand::kHidden, kAuxRow = Operand::kAux;
constexpr Source kInGates = Source::kGates, kInAux = Source::kAux;

// The one registry of cells, in the order of CellKind.
constexpr CellSpec kCells[kCellKinds] = {
    {"rnn", 1, 1, false, 0, 1, {{0, 1, kHid}, {}}, {{0, 1, kHid}, {}}, 1, {{0, 1, kInGates, 0, kHid}, {}}},
    {"lstm", 4, 2, true, 1, 1, {{0, 4, kHid}, {}}, {{0, 4, kHid}, {}}, 1, {{0, 4, kInGates, 0, kHid}, {}}},
    {"gru",
     3,
     1,
     true,
     1,
     1,
     {{0, 3, kHid}, {}},
     {{0, 3, kHid}, {}},
     2,
     {{0, 2, kInGates, 0, kHid}, {2, 1, kInAux, 0, kHid}}},
    {"gru_before",
     3,
     1,
     true,
     1,
     2,
     {{0, 2, kHid}, {2, 1, kAuxRow}},
     {{0, 2, kHid}, {2, 1, kAuxRow}},
     2,
     {{0, 2, kInGates, 0, kHid}, {2, 1, kInGates, 2, kAuxRow}}},
};

// static: each object file has its own, also where nothing is inlined and the files differ in instruction set.
static constexpr const CellSpec& spec_of(CellKind kind) { return kCells[static_cast<int>(kind)]; }
static constexpr Index ceil_div(Index a, Index b) { return (a + b - 1) / b; }
static constexpr Index smaller(Index a, Index b) { return a < b ? a : b; }

}  // namespace rnnfast
