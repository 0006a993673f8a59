#include "jet/eval/machine_info.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <limits>
#include <sstream>
#include <thread>

#include "jet/base/threads.h"
#include "jet/kernels/kernels.h"

namespace jet {
namespace {

/// The first "key : value" of a file of such lines, empty where there is none.
std::string value_in(const char* path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(key, 0) != 0) continue;
    const size_t colon = line.find(':');
    if (colon == std::string::npos || line.find_first_not_of(" \t", key.size()) != colon) continue;
    const size_t value = line.find_first_not_of(" \t", colon + 1);
    return value == std::string::npos ? std::string() : line.substr(value);
  }
  return {};
}

/// A line of /proc/meminfo in bytes; 0 where there is none.
int64_t memory_in(const char* key) {
  const std::string text = value_in("/proc/meminfo", key);
  return text.empty() ? 0 : std::strtoll(text.c_str(), nullptr, 10) * 1024;
}

std::vector<std::string> features() {
  std::istringstream flags(value_in("/proc/cpuinfo", "flags"));
  const std::vector<std::string> have{std::istream_iterator<std::string>(flags), {}};
  const std::pair<const char*, std::vector<const char*>> wanted[] = {
      {"avx2", {"avx2"}},    {"avx512", {"avx512f"}}, {"bf16", {"avx512_bf16"}}, {"vnni", {"avx512_vnni", "avx_vnni"}},
      {"amx", {"amx_tile"}},
  };
  std::vector<std::string> found;
  for (const auto& [label, any] : wanted) {
    const bool has = std::any_of(any.begin(), any.end(),
                                 [&h = have](const char* f) { return std::find(h.begin(), h.end(), f) != h.end(); });
    if (has) found.push_back(label);
  }
  return found;
}

/// "always [madvise] never" -> "madvise".
std::string huge_pages() {
  std::ifstream file("/sys/kernel/mm/transparent_hugepage/enabled");
  std::string line;
  std::getline(file, line);
  const size_t begin = line.find('['), end = line.find(']');
  return begin < end && end != std::string::npos ? line.substr(begin + 1, end - begin - 1) : std::string();
}

std::string processor() {
  const std::string name = value_in("/proc/cpuinfo", "model name");
  return name.empty() ? "unknown processor" : name;
}

int cores() { return static_cast<int>(std::max(1u, std::thread::hardware_concurrency())); }

}  // namespace

MachineInfo machine_info() {
  MachineInfo m;
  m.processor = processor();
  m.features = features();
  m.cores = cores();
  m.threads = default_threads();
  m.memory_bytes = memory_in("MemTotal");
  m.available_bytes = memory_in("MemAvailable");
  m.huge_pages = huge_pages();
  for (const Kernels* k : all_kernels()) m.kernels.push_back(k->name);
  m.chosen = kernels().name;
  return m;
}

std::string machine_name(int threads) {
  const std::string name = fmt::format("{}, {} of {} cores", processor(), threads, cores());
  const auto found = features();
  return found.empty() ? name : fmt::format("{}, {}", name, fmt::join(found, " "));
}

int64_t available_memory() {
  const int64_t bytes = memory_in("MemAvailable");
  return bytes > 0 ? bytes : std::numeric_limits<int64_t>::max();
}

}  // namespace jet
