// The number of processors that this process may use.
#pragma once
#include <string>

namespace rnnfast {

// Processors that the control groups of this process allow it, read below `root` ("" for the machine itself, a folder
// of made-up files in tests): the smallest ceil(quota / period) of the group and those above it, at least 1. 0 where
// there is no limit, or none that can be read.
int cgroup_quota(const std::string& root);

// The processors in the affinity mask, or the quota where that is less; counted once.
int available_processors();

// The processor on which the calling thread runs, kUnknownProcessor where the system does not say.
constexpr int kUnknownProcessor = -1;
int processor_now();
// Moves the calling thread to another processor that it may use, if there is one; it may come back later.
void leave_processor(int processor);

// cgroup_quota of the machine, counted once.
int processor_quota();

}  // namespace rnnfast
