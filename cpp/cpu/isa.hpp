// Instruction sets: detection, names, and the choice of the kernel table.
#pragma once
#include <string>
#include <vector>

#include "kernels.hpp"

namespace rnnfast {

// The names of all known levels, best first, on any machine.
std::vector<std::string> known_isas();

// The names of what this build contains and this machine supports, best first.
std::vector<std::string> available_isas();

// The best of the available levels (best first) that is not above the cap; an empty cap allows all. Throws
// std::invalid_argument on an unknown name, or where every level is above the cap.
std::string best_isa(const std::vector<std::string>& available, const std::string& cap);

// Called once, at import: the best supported level, capped by RNNFAST_MAX_ISA.
void choose_isa();
void set_isa(const std::string& name);  // for tests; not thread-safe
const char* isa_name();
std::size_t isa_index();  // of the chosen level among those of this build
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
