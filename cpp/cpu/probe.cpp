#include "probe.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>

namespace rnnfast {

namespace {

constexpr Index kFmaRounds = 1024;
constexpr Index kClockSteps = 16384;
constexpr int kChains = 8;
constexpr Index kReadBytes = 1 << 20;
constexpr Index kRowsPerTask = 192;

double now() {
  using Clock = std::chrono::steady_clock;
  return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
}

// Work a second of one thread: `work` units a call, until the time is over.
template <class Call>
double rate(double work, double seconds, const Call& call) {
  const double start = now();
  double elapsed = 0, calls = 0;
  do {
    call();
    ++calls;
    elapsed = now() - start;
  } while (elapsed < seconds);
  return work * calls / elapsed;
}

// Sum of what every member measures; all start together.
template <class Measure>
double team_rate(int threads, const Measure& measure) {
  std::vector<double> rates(static_cast<std::size_t>(threads), 0.0);
  run_team(threads, [&](const Member& member) {
    member.wait();
    rates[static_cast<std::size_t>(member.rank)] = measure(member);
  });
  double sum = 0;
  for (const double one : rates) sum += one;
  return sum;
}

constexpr int kTries = 6, kMostIsas = 8;
constexpr Index kFewRounds = 256, kL2Numbers = 48 << 10;
// Between the slowest and the fastest core in use: beyond them the measurement is wrong, not the core.
constexpr double kLeastRate = 8, kMostRate = 512;
constexpr double kLeastL3 = 0.05;  // of L2's rate
// A barrier: threads told apart; tries, so far apart that not all meet the same disturbance; waits of each; what is no
// barrier; the most that is believed; a guess until then, rather too low than too high: a team that is never called is
// never awake.
constexpr int kMostBarriers = 64, kBarrierTries = 8;
constexpr double kSecondsApart = 0.003;
constexpr Index kFewWaits = 32;
constexpr double kNsAlone = 5, kMostNs = 20000, kUsualNs = 150;
// A tile of rows, and a panel of B, at most 48 KB.
constexpr Index kTileRows = 6, kInner = 192, kMostCols = 64;
constexpr int kProducts = 4;
constexpr double kL1Bytes = 32 << 10, kL2Bytes = 1 << 20;  // where the system does not say

// The most of `work` units that one of a few calls did in a nanosecond.
template <class Call>
double best_rate(double work, const Call& call) {
  double best = 0;
  for (int i = 0; i < kTries; ++i) {
    const double start = now();
    call();
    best = std::max(best, work / (1e9 * std::max(1e-9, now() - start)));
  }
  return best;
}

double measure_flops() {
  const Probes<float>& probes = kernels<float>().probes;
  volatile float sink = 0;
  const double work = static_cast<double>(kFewRounds * probes.fma_flops);
  return std::clamp(best_rate(work, [&] { sink = probes.fma(kFewRounds); }), kLeastRate, kMostRate);
}

double measure_reads(Index numbers) {
  const Probes<float>& probes = kernels<float>().probes;
  volatile float sink = 0;
  const Index n = numbers / probes.read_grain * probes.read_grain;
  const Buffer<float> block = Buffer<float>::zeros(n);
  const double work = static_cast<double>(n) * sizeof(float);
  return best_rate(work, [&] { sink = probes.read(block.data(), n); });
}

#if defined(_SC_LEVEL1_DCACHE_SIZE)
double cache_bytes(int name, double otherwise) {
  const long bytes = sysconf(name);
  return bytes > 0 ? static_cast<double>(bytes) : otherwise;
}
#endif

}  // namespace

Core this_core() {
  // Two threads may measure at the same time; a lock could be held while a child is forked.
  static std::atomic<double> flops[kMostIsas], l2_rate[kMostIsas];
#if defined(_SC_LEVEL1_DCACHE_SIZE)
  static const double l1 = cache_bytes(_SC_LEVEL1_DCACHE_SIZE, kL1Bytes),
                      l2 = cache_bytes(_SC_LEVEL2_CACHE_SIZE, kL2Bytes);
#else
  static const double l1 = kL1Bytes, l2 = kL2Bytes;
#endif
  const std::size_t isa = isa_index();
  if (flops[isa].load() == 0) flops[isa] = measure_flops();
  if (l2_rate[isa].load() == 0) l2_rate[isa] = std::clamp(measure_reads(kL2Numbers), kLeastRate, kMostRate);
  return {flops[isa], l2_rate[isa], l1, l2};
}

double rate_beyond_l2() {
  static std::atomic<double> known;
  if (known.load() == 0) {
    const Core core = this_core();
    const Index numbers = static_cast<Index>(2 * core.l2_bytes / sizeof(float));
    known = std::clamp(measure_reads(numbers), kLeastL3 * core.l2_rate, core.l2_rate);
  }
  return known;
}

namespace {

// A product of one tile with a panel of B that stays in L1 or L2, a few times: multiply-adds a nanosecond.
double rate_of_products(const float* numbers) {
  const Kernels<float>& table = kernels<float>();
  const Index cols = static_cast<Index>(table.gemm_vectors) * table.lanes;
  alignas(64) float result[kTileRows * kMostCols];
  const float* a[kTileRows];
  float* c[kTileRows];
  for (Index r = 0; r < kTileRows; ++r) {
    a[r] = numbers;
    c[r] = result + r * cols;
  }
  const double start = now();
  for (int i = 0; i < kProducts; ++i) table.gemm({kTileRows, kInner, cols, 0, 1, a, c, numbers, nullptr, false});
  return kProducts * static_cast<double>(kTileRows * kInner * cols) / (1e9 * std::max(1e-9, now() - start));
}

double measure_efficiency(int threads) {
  const Buffer<float> numbers = Buffer<float>::zeros(kInner * kMostCols);
  const double alone = rate_of_products(numbers.data());
  const double all = team_rate(threads, [&](const Member&) { return rate_of_products(numbers.data()); });
  return std::clamp(all / (threads * alone), 1.0 / threads, 1.0);
}

}  // namespace

Together together(int threads) {
  static std::atomic<double> barrier[kMostBarriers], efficiency[kMostBarriers], last[kMostBarriers];
  static std::atomic<int> tries[kMostBarriers];
  const int i = std::min(threads, kMostBarriers) - 1;
  if (tries[i] >= kBarrierTries) return {barrier[i], efficiency[i]};
  constexpr Together kUsual{kUsualNs, 1};
  if (now() - last[i] < kSecondsApart || !team_awake(threads)) return kUsual;
  const double ns = 1e9 * measure_barrier(threads, kFewWaits), before = barrier[i];
  efficiency[i] = std::max(efficiency[i].load(), measure_efficiency(threads));
  last[i] = now();
  if (ns < kNsAlone) return kUsual;
  if (before == 0 || ns < before) barrier[i] = std::min(ns, kMostNs);
  ++tries[i];
  return kUsual;
}

double measure_clock(double seconds) {
  std::uint64_t sum = 0, one = 1;
  asm("" : "+r"(one));
  return rate(static_cast<double>(kClockSteps), seconds, [&] {
#pragma GCC unroll 64
    for (Index i = 0; i < kClockSteps; ++i) {
      sum += one;
      asm volatile("" : "+r"(sum));
    }
  });
}

double measure_issue(int threads, double seconds) {
  return team_rate(threads, [&](const Member&) {
    return rate(static_cast<double>(kClockSteps * kChains), seconds, [] {
      std::uint64_t sums[kChains] = {}, one = 1;
      asm("" : "+r"(one));
      for (Index i = 0; i < kClockSteps; ++i) {
#pragma GCC unroll 8
        for (int chain = 0; chain < kChains; ++chain) {
          sums[chain] += one;
          asm volatile("" : "+r"(sums[chain]));
        }
      }
    });
  });
}

double measure_fma(int threads, double seconds) {
  const Probes<float>& probes = kernels<float>().probes;
  return team_rate(threads, [&](const Member&) {
    volatile float sink = 0;
    return rate(static_cast<double>(kFmaRounds * probes.fma_flops), seconds, [&] { sink = probes.fma(kFmaRounds); });
  });
}

double measure_read(int threads, Index bytes, double seconds) {
  const Probes<float>& probes = kernels<float>().probes;
  const Index item = static_cast<Index>(sizeof(float));
  const Index n = ceil_div(bytes, item * probes.read_grain) * probes.read_grain;
  const Index passes = ceil_div(kReadBytes, n * item);
  return team_rate(threads, [&](const Member&) {
    volatile float sink = 0;
    Buffer<float> block(n);
    for (Index i = 0; i < n; ++i) block.data()[i] = 1.0F;
    sink = probes.read(block.data(), n);
    return rate(static_cast<double>(passes * n * item), seconds, [&] {
      for (Index pass = 0; pass < passes; ++pass) sink = probes.read(block.data(), n);
    });
  });
}

double measure_barrier(int threads, Index waits) {
  double seconds = 0;
  run_team(threads, [&](const Member& member) {
    member.wait();
    const double start = now();
    for (Index i = 0; i < waits; ++i) member.wait();
    if (member.rank == 0) seconds = now() - start;
  });
  return seconds / static_cast<double>(waits);
}

std::vector<double> measure_gemm(int threads, const Panels<float>& b, Index rows, const float* const* a,
                                 float* const* c, Index repeats) {
  std::vector<double> times(static_cast<std::size_t>(repeats));
  const Index blocks = ceil_div(rows, kRowsPerTask);
  for (double& time : times) {
    const double start = now();
    run_team(threads, [&](const Member& member) {
      const Range tasks = share(blocks * b.count, member.size, member.rank);
      for (Index task = tasks.begin; task < tasks.end; ++task) {
        const Index row = task / b.count * kRowsPerTask, panel = task % b.count;
        kernels<float>().gemm({smaller(kRowsPerTask, rows - row), b.inner, b.cols, panel, panel + 1, a + row, c + row,
                               b.data.data(), nullptr, false});
      }
    });
    time = now() - start;
  }
  return times;
}

}  // namespace rnnfast
