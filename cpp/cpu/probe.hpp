// Limits of this machine, measured on `threads` threads of the team with the chosen kernel table.
#pragma once
#include <vector>

#include "products.hpp"

namespace rnnfast {

// One core: float32 operations of multiply-adds and bytes read from L2 in a nanosecond, and its caches' bytes.
struct Core {
  double flops, l2_rate, l1_bytes, l2_bytes;
};

// Rates are measured on first use, in about 0.2 ms, once for each process and instruction set. They are the best of a
// few tries, so that a core taken away meanwhile changes nothing.
Core this_core();

// Bytes that one core reads in a nanosecond from beyond L2; measured in the same way, in about 2 ms.
double rate_beyond_l2();

// What threads of the team do together: the nanoseconds of a barrier, and the rate of products on all of them at once
// divided by so many times that of one alone. Threads that share a core have less than 1. Measured in about 30 us, in a
// few calls that find the team awake: threads that have just started may share a core for a while.
struct Together {
  double barrier_ns, efficiency;
};
Together together(int threads);

// Hertz of the calling thread's core, from a chain of additions that take a cycle each.
double measure_clock(double seconds);

// Independent additions a second of all threads together. They keep a core's issue slots busy, so that the rate falls
// where something else runs on the same core, even what leaves its vector units alone.
double measure_issue(int threads, double seconds);

// float32 operations a second of all threads together; they come from registers only.
double measure_fma(int threads, double seconds);

// Bytes a second of all threads together; each reads its own block of so many bytes again and again.
double measure_read(int threads, Index bytes, double seconds);

// Seconds that one wait of all threads takes.
double measure_barrier(int threads, Index waits);

// Seconds of each of `repeats` products C = A B, a team for each, tiles shared out as a linear layer does. a [rows], c
// [rows]
std::vector<double> measure_gemm(int threads, const Panels<float>& b, Index rows, const float* const* a,
                                 float* const* c, Index repeats);

}  // namespace rnnfast
