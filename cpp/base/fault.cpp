#include "fault.hpp"

#ifdef RNNFAST_WITH_FAULTS
#include <cstdlib>
#include <string>

namespace rnnfast {

bool faulty(Fault fault) {
  static const char* const names[] = {
#define RNNFAST_FAULT_NAME(kind, name) name,
      RNNFAST_FAULTS(RNNFAST_FAULT_NAME)
#undef RNNFAST_FAULT_NAME
  };
  static const char* const chosen = std::getenv("RNNFAST_FAULT");
  return chosen != nullptr && std::string(chosen) == names[static_cast<int>(fault)];
}

}  // namespace rnnfast
#endif
