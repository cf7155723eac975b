#include "processors.hpp"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

namespace rnnfast {

namespace {

constexpr double kMostProcessors = 1 << 20;

// A mounted hierarchy: the group `top` is seen in the folder `folder`.
struct Mount {
  std::string top, folder;
};

bool contains(const std::string& list, const std::string& name) {
  return ("," + list + ",").find("," + name + ",") != std::string::npos;
}

// A path of /proc/self/mountinfo, where a blank is written \040.
std::string unescaped(const std::string& path) {
  std::string plain;
  for (std::size_t i = 0; i < path.size(); ++i) {
    const bool escape = path[i] == '\\' && i + 3 < path.size() &&
                        std::all_of(&path[i + 1], &path[i + 4], [](char c) { return c >= '0' && c <= '7'; });
    plain +=
        escape ? static_cast<char>((path[i + 1] - '0') * 64 + (path[i + 2] - '0') * 8 + path[i + 3] - '0') : path[i];
    if (escape) i += 3;
  }
  return plain;
}

// The mounts of version 2, or those of version 1 that have the controller "cpu".
std::vector<Mount> mounts_of(int version, const std::string& root) {
  std::vector<Mount> found;
  std::ifstream file(root + "/proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t separator = line.find(" - ");
    if (separator == std::string::npos) continue;
    std::istringstream place(line.substr(0, separator)), kind(line.substr(separator + 3));
    std::string id, parent, device, top, folder, type, source, options;
    place >> id >> parent >> device >> top >> folder;
    kind >> type >> source >> options;
    const bool wanted = version == 2 ? type == "cgroup2" : type == "cgroup" && contains(options, "cpu");
    if (wanted) found.push_back({unescaped(top), unescaped(folder)});
  }
  return found;
}

// The group of this process: a line "0::path" of version 2, "number:controllers:path" of version 1.
std::string group_of(int version, const std::string& root) {
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (version == 2 ? controllers.empty() : contains(controllers, "cpu")) return line.substr(second + 1);
  }
  return "";
}

// The group's folders from its own up to that of the mount. A group outside of what is mounted, as a container may
// have, leaves the folder of the mount.
std::vector<std::string> folders_of(const Mount& mount, const std::string& group) {
  const std::string top = mount.top == "/" ? "" : mount.top;
  const bool within = group.compare(0, top.size(), top) == 0 && group.find("/..") == std::string::npos &&
                      (group.size() == top.size() || group[top.size()] == '/');
  std::string below = within ? group.substr(top.size()) : "";
  std::vector<std::string> folders;
  for (;;) {
    folders.push_back(mount.folder + below);
    const std::size_t slash = below.rfind('/');
    if (slash == std::string::npos) return folders;
    below.erase(slash);
  }
}

// Processors of a quota; 0 for none. "max" and -1 are no numbers above zero.
int processors_of(std::istream& quota_text, std::istream& period_text) {
  double quota = 0, period = 0;
  if (!(quota_text >> quota) || !(period_text >> period) || !(quota > 0) || !(period > 0)) return 0;
  return static_cast<int>(std::min(std::ceil(quota / period), kMostProcessors));
}

int quota_of(int version, const std::string& folder) {
  if (version == 2) {
    std::ifstream both(folder + "/cpu.max");
    return processors_of(both, both);
  }
  std::ifstream quota(folder + "/cpu.cfs_quota_us"), period(folder + "/cpu.cfs_period_us");
  return processors_of(quota, period);
}

int affinity() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return CPU_COUNT(&set);
#endif
  const unsigned n = std::thread::hardware_concurrency();
  return n > 0 ? static_cast<int>(n) : 1;
}

}  // namespace

int cgroup_quota(const std::string& root) {
  int least = 0;
  for (const int version : {1, 2}) {
    const std::string group = group_of(version, root);
    for (const Mount& mount : mounts_of(version, root))
      for (const std::string& folder : folders_of(mount, group)) {
        const int quota = quota_of(version, root + folder);
        if (quota > 0) least = least == 0 ? quota : std::min(least, quota);
      }
  }
  return least;
}

int processor_quota() {
  static const int quota = cgroup_quota("");
  return quota;
}

int available_processors() {
  static const int available = processor_quota() > 0 ? std::min(affinity(), processor_quota()) : affinity();
  return available;
}

int processor_now() {
#if defined(__linux__)
  return sched_getcpu();
#else
  return kUnknownProcessor;
#endif
}

void leave_processor(int processor) {
#if defined(__linux__)
  cpu_set_t allowed;
  if (processor < 0 || sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return;
  cpu_set_t others = allowed;
  CPU_CLR(processor, &others);
  if (CPU_COUNT(&others) > 0 && sched_setaffinity(0, sizeof(others), &others) == 0)
    sched_setaffinity(0, sizeof(allowed), &allowed);
#else
  static_cast<void>(processor);
#endif
}

}  // namespace rnnfast
