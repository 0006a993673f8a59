// What the machine is: processor, memory, and which of our kernels it runs. What it gives is measured in machine.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "jet/base/json.h"

namespace jet {

struct MachineInfo {
  std::string processor;
  std::vector<std::string> features;  // of those that matter to us: "avx2", "avx512", "bf16", "vnni", "amx"
  int cores = 0, threads = 0;         // all; those that the engine takes by default
  int64_t memory_bytes = 0, available_bytes = 0;
  std::string huge_pages;            // the kernel's setting: "always", "madvise", "never"; empty where unknown
  std::vector<std::string> kernels;  // that this machine runs, best first
  std::string chosen;                // the one that is used: the first, or what JET_ISA names

  template <class V>
  static void fields(MachineInfo& m, V&& v) {
    v("processor", m.processor), v("features", m.features), v("cores", m.cores), v("threads", m.threads);
    v("memory_bytes", m.memory_bytes), v("available_bytes", m.available_bytes), v("huge_pages", m.huge_pages);
    v("kernels", m.kernels), v("chosen", m.chosen);
  }
};

MachineInfo machine_info();
/// "AMD EPYC 9B45, 2 of 2 cores, avx2 avx512 bf16 vnni".
std::string machine_name(int threads);
/// Bytes that can be had without swapping (MemAvailable); a very large number where the system does not say.
int64_t available_memory();

}  // namespace jet
