#include "isa.hpp"

#include <cstdlib>
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

}  // namespace

const std::vector<IsaEntry>& isa_registry() {
  static const std::vector<IsaEntry> registry = {
#ifdef RNNFAST_HAVE_avx512
      {"avx512", &avx512::kTable, has_avx512},
#endif
#ifdef RNNFAST_HAVE_avx2
      {"avx2", &avx2::kTable, has_avx2},
#endif
#if defined(__aarch64__)
      {"neon", &baseline::kTable, always},
#else
      {"baseline", &baseline::kTable, always},
#endif
  };
  return registry;
}

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const IsaEntry& entry : isa_registry())
    if (entry.supported()) names.emplace_back(entry.name);
  return names;
}

void choose_isa() {
  const char* cap = std::getenv("RNNFAST_MAX_ISA");
  const int highest = cap != nullptr && *cap != '\0' ? level_of(cap) : level_of("avx512");
  chosen = &isa_registry().back();
  for (const IsaEntry& entry : isa_registry()) {
    if (!entry.supported() || level_of(entry.name) > highest) continue;
    chosen = &entry;
    return;
  }
}

void set_isa(const std::string& name) {
  for (const IsaEntry& entry : isa_registry()) {
    if (name == entry.name && entry.supported()) {
      chosen = &entry;
      return;
    }
  }
  throw std::invalid_argument("isa: one that this machine and build have is required, got '" + name + "'");
}

const char* isa_name() { return chosen->name; }
const KernelTable& kernel_table() { return *chosen->table; }

}  // namespace rnnfast
