// Faults that can be compiled into the core, so that the tests can be tested: `make mutants` builds them and switches
// on one at a time. In every other build they are constants that leave no trace.
#pragma once

namespace rnnfast {

// Name and what is wrong.
#define RNNFAST_FAULTS(X)                                                                         \
  X(kSwappedGates, "swapped gates")     /* rows of R of two gates change places */                \
  X(kDroppedBarrier, "dropped barrier") /* members go on behind a stage */                        \
  X(kSkippedBlock, "skipped block")     /* of rows, in the sums of gradients */                   \
  X(kOffByOneRow, "off-by-one row")     /* the final state is that of the step before the last */ \
  X(kMissingReset, "missing reset")     /* the last sequence has none */                          \
  X(kStalePack, "stale pack")           /* weights packed before a write are used */              \
  X(kWrongDirection, "wrong direction") /* the second one reads forwards, too */                  \
  X(kLostCarry, "lost carry")           /* c does not cross chunks that are computed again */     \
  X(kMissingBias, "missing bias")       /* of the recurrent product */                            \
  X(kWrongMask, "wrong mask")           /* of recurrent dropout: the first sequence's for all */

#define RNNFAST_FAULT_KIND(kind, name) kind,
enum class Fault { RNNFAST_FAULTS(RNNFAST_FAULT_KIND) };
#undef RNNFAST_FAULT_KIND

#ifdef RNNFAST_WITH_FAULTS
// Whether the fault that RNNFAST_FAULT names is this one.
bool faulty(Fault fault);
#else
constexpr bool faulty(Fault) { return false; }
#endif

}  // namespace rnnfast
