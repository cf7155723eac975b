// The constants of the cost model, by which work is shared among threads and cut into chunks; nanoseconds where a name
// says so. Rates of the machine are measured (probe.hpp). These are ratios that hold roughly on every machine and
// decide only close cases.
#pragma once
#include "../base/dims.hpp"

namespace rnnfast {

// Steps of layers use a team only if it takes less than this share of the time on one thread.
constexpr double kWorthATeam = 0.9;
constexpr double kNsPerRegion = 5000;    // a region begins and ends
constexpr double kNsPerWayBack = 12000;  // members wait for each other, and each of them packs all rows
constexpr double kNsPerPart = 1000;      // parts of a region wait for each other
constexpr double kNsPerCall = 600;       // a region of one step, by a team that is awake
constexpr double kNsPerWake = 100000;    // by one that is asleep, on a machine with other work
constexpr double kNsPerMember = 20000;   // other work: least for which a member is woken

// Work around the recurrence, on one thread.
constexpr double kFlopsPerNs = 30;       // of products
constexpr double kScoreFlopsPerNs = 10;  // of attention, with its activations
constexpr double kNumbersPerNs = 4;      // copied
constexpr double kPackedPerNs = 2;       // numbers
constexpr double kNsPerNumber = 0.5;     // of a loss, a step of an optimiser, dropout
constexpr double kNsPerRow = 30;         // of a loss

// A step of a recurrence.
constexpr double kVectorBytes = 64;
constexpr double kL1OverL2 = 1.8;     // rate of reading from L1 divided by that from L2
constexpr double kUsable = 0.75;      // of a cache, for weights read once a step
constexpr double kFlopsPerGate = 45;  // the activation of one unit of one row takes as long as these
constexpr double kNsPerVector = 5;    // what a cell does beside, for a vector of a row's units
constexpr double kLinesPerBarrier =
    8;  // cache lines of the state that arrive from another core in the time of a barrier
constexpr double kNsPerStage = 25;
constexpr double kRowsToFetch = 12;        // two tiles or more use a panel while the next one comes
constexpr double kFewestForLanes = 8;      // sequences
constexpr double kWorthLanes = 0.97;       // sequences are taken in lanes if it takes less than this share of the time
constexpr double kNsPerRowOfUnits = 5;     // which a row costs beside, where units fill lanes of 64 bytes
constexpr double kNsPerSavedVector = 1.2;  // which lanes give back to a row
constexpr double kLoneVector = 1.15;       // what a vector of sequences costs that has no second one beside it
constexpr double kSlowNs = 20000;          // a step of a stream that answers signals

// Parts of a batch where members of the team come late.
constexpr Index kPartsOfThread = 4;
constexpr Index kFewestOfPart = 16;  // sequences

// Chunks of time.
constexpr Index kChunkBytes = 1 << 18;       // of a thread's input products: they stay in L2 until they are used
constexpr Index kLaneSteps = 64;             // of sequences in lanes, whose states are copied in and out once a chunk
constexpr Index kChunkRows = 96;             // below this, streaming W costs more than computing with it
constexpr Index kFewestWavefrontRows = 16;   // of a wavefront's chunk: below this, reading W costs more than using it
constexpr Index kMostWavefrontRows = 96;     // who waits need not fall asleep
constexpr Index kWavefrontChunks = 16;       // of a sequence: fewer delay the last layer more
constexpr Index kFewestRecomputedSteps = 8;  // of a chunk between two kept states
constexpr Index kRecomputedRootOf = 5;       // such a chunk has the root of a fifth of the steps
constexpr Index kSlidingChunks = 5;          // so many chunks are computed until rows that slide have to move
constexpr Index kSharedHeadFlops = 1 << 18;  // multiplications of a stream's head from which a second thread pays

}  // namespace rnnfast
