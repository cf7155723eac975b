// Instruction sets: detection, names, and the choice of the kernel table.
#pragma once
#include <string>
#include <vector>

#include "kernels.hpp"

namespace rnnfast {

struct IsaEntry {
  const char* name;
  const KernelTable* table;
  bool (*supported)();
};

// The one registry of ISAs, best first; holds what this build contains.
const std::vector<IsaEntry>& isa_registry();
std::vector<std::string> available_isas();

// Chosen once: the best supported level, capped by RNNFAST_MAX_ISA. Throws std::invalid_argument on an unknown name.
void choose_isa();
void set_isa(const std::string& name);  // for tests; not thread-safe
const char* isa_name();
const KernelTable& kernel_table();

template <class Real>
const Kernels<Real>& kernels();
template <>
inline const Kernels<float>& kernels<float>() {
  return kernel_table().f32;
}
template <>
inline const Kernels<double>& kernels<double>() {
  return kernel_table().f64;
}

}  // namespace rnnfast
