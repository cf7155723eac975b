#include "isa.hpp"

#include <cstdlib>
#include <iterator>
#include <stdexcept>

namespace rnnfast {

#define RNNFAST_DECLARE_ISA(isa)   \
  namespace isa {                  \
  extern const KernelTable kTable; \
  }
RNNFAST_DECLARE_ISA(baseline)
#ifdef RNNFAST_HAVE_avx2
RNNFAST_DECLARE_ISA(avx2)
#endif
#ifdef RNNFAST_HAVE_avx512
RNNFAST_DECLARE_ISA(avx512)
#endif

namespace {

bool always() { return true; }
#ifdef RNNFAST_HAVE_avx2
bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
}
#endif
#ifdef RNNFAST_HAVE_avx512
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

struct IsaEntry {
  const char* name;
  const KernelTable* table;
  bool (*supported)();
};
const IsaEntry* chosen = nullptr;

// Every level that exists anywhere, worst first, so that a cap means the same on every machine.
constexpr const char* kLevels[] = {"baseline", "neon", "avx2", "avx512"};

int level_of(const std::string& name) {
  int level = 0;
  for (const char* known : kLevels) {
    if (name == known) return level;
    ++level;
  }
  throw std::invalid_argument("RNNFAST_MAX_ISA: one of baseline, neon, avx2, avx512 is required, got '" + name + "'");
}

// The one registry of instruction sets, best first. Constants, because a thread may still compute while static objects
// are destroyed.
constexpr IsaEntry kRegistry[] = {
#ifdef RNNFAST_HAVE_avx512
    {"avx512", &avx512::kTable, has_avx512},
#endif
#ifdef RNNFAST_HAVE_avx2
    {"avx2", &avx2::kTable, has_avx2},
#endif
#if defined(__aarch64__)
    // Every aarch64 processor has NEON: the compiler's baseline uses it. The table has both names, so that each cap
    // finds a level that it allows.
    {"neon", &baseline::kTable, always},
#endif
    {"baseline", &baseline::kTable, always},
};

}  // namespace

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const IsaEntry& entry : kRegistry)
    if (entry.supported()) names.emplace_back(entry.name);
  return names;
}

std::string best_isa(const std::vector<std::string>& available, const std::string& cap) {
  const int highest = cap.empty() ? level_of(kLevels[std::size(kLevels) - 1]) : level_of(cap);
  for (const std::string& name : available)
    if (level_of(name) <= highest) return name;
  throw std::invalid_argument("RNNFAST_MAX_ISA: a level that this build has is required, got '" + cap + "'");
}

void choose_isa() {
  const char* cap = std::getenv("RNNFAST_MAX_ISA");
  set_isa(best_isa(available_isas(), cap != nullptr ? cap : ""));
}

void set_isa(const std::string& name) {
  for (const IsaEntry& entry : kRegistry) {
    if (name == entry.name && entry.supported()) {
      chosen = &entry;
      return;
    }
  }
  throw std::invalid_argument("isa: one that this machine and build have is required, got '" + name + "'");
}

const char* isa_name() { return chosen->name; }
std::size_t isa_index() { return static_cast<std::size_t>(chosen - kRegistry); }
const KernelTable& kernel_table() { return *chosen->table; }

}  // namespace rnnfast
