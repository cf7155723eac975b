#include "isa.hpp"

#include <cstdlib>
#include <iterator>
#include <stdexcept>

#include "../base/registry.hpp"

namespace rnnfast {

// Code of the ISAs that are in this build.
#define RNNFAST_IF_0(...)
#define RNNFAST_IF_1(...) __VA_ARGS__
#define RNNFAST_IF_EXPANDED(built, ...) RNNFAST_IF_##built(__VA_ARGS__)
#define RNNFAST_IF(built, ...) RNNFAST_IF_EXPANDED(built, __VA_ARGS__)
#define RNNFAST_IF_BUILT(isa, ...) RNNFAST_IF(RNNFAST_HAVE_##isa, __VA_ARGS__)

#define RNNFAST_DECLARE(isa, ...) RNNFAST_IF_BUILT(isa, namespace isa { extern const KernelTable kTable; })
RNNFAST_ISAS(RNNFAST_DECLARE)
#undef RNNFAST_DECLARE

namespace {

struct IsaEntry {
  const char* name;
  const KernelTable* table;
  bool (*supported)();
};

// Every ISA that exists anywhere, best first, so that a cap means the same on every machine.
#define RNNFAST_NAME(isa, ...) #isa,
constexpr const char* kNames[] = {RNNFAST_ISAS(RNNFAST_NAME)};
#undef RNNFAST_NAME

// Those of this build. Constants, because a thread may still compute while static objects are destroyed.
#define CPU_HAS(feature) __builtin_cpu_supports(feature)
#define RNNFAST_ENTRY(isa, ...) RNNFAST_IF_BUILT(isa, {#isa, &isa::kTable, [] { return bool(__VA_ARGS__); }}, )
constexpr IsaEntry kEntries[] = {RNNFAST_ISAS(RNNFAST_ENTRY)};
#undef RNNFAST_ENTRY
#undef CPU_HAS

const IsaEntry* chosen = nullptr;

// Of an ISA's name: 0 for the best. Throws std::invalid_argument on another word.
std::size_t rank_of(const std::string& name) {
  std::string known;
  for (std::size_t rank = 0; rank < std::size(kNames); ++rank) {
    if (name == kNames[rank]) return rank;
    known = kNames[rank] + (known.empty() ? "" : ", " + known);
  }
  throw std::invalid_argument("RNNFAST_MAX_ISA: one of " + known + " is required, got '" + name + "'");
}

}  // namespace

std::vector<std::string> known_isas() { return {std::begin(kNames), std::end(kNames)}; }

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const IsaEntry& entry : kEntries)
    if (entry.supported()) names.emplace_back(entry.name);
  return names;
}

std::string best_isa(const std::vector<std::string>& available, const std::string& cap) {
  const std::size_t best = cap.empty() ? 0 : rank_of(cap);
  for (const std::string& name : available)
    if (rank_of(name) >= best) return name;
  throw std::invalid_argument("RNNFAST_MAX_ISA: a level that this build has is required, got '" + cap + "'");
}

void choose_isa() {
  const char* cap = std::getenv("RNNFAST_MAX_ISA");
  set_isa(best_isa(available_isas(), cap != nullptr ? cap : ""));
}

void set_isa(const std::string& name) {
  for (const IsaEntry& entry : kEntries) {
    if (name == entry.name && entry.supported()) {
      chosen = &entry;
      return;
    }
  }
  throw std::invalid_argument("isa: one that this machine and build have is required, got '" + name + "'");
}

const char* isa_name() { return chosen->name; }
std::size_t isa_index() { return static_cast<std::size_t>(chosen - kEntries); }
const KernelTable& kernel_table() { return *chosen->table; }

}  // namespace rnnfast
