// What the machine gives, measured in the run that reports a speed: shared machines move by tens of per cent between
// windows of time, so only a fraction of what was there in that very run can be compared.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "jet/base/threads.h"

namespace jet {

/// Several passes of one measurement, in units a second.
struct Rate {
  double median = 0, best = 0;
};

/// Bytes/s at which all threads of the pool together read `bytes` of memory (well beyond the caches) once a pass.
Rate read_bandwidth(ThreadPool& pool, int64_t bytes = int64_t{512} << 20, int passes = 7);

/// FLOP/s of fp32 fused multiply-add out of registers, all threads together: the widest vectors this processor has,
/// enough chains in flight to hide the latency, no memory at all. An upper bound of fp32 products; hardware for bf16 or
/// int8 products can pass it.
Rate fma_peak(ThreadPool& pool, int passes = 7);

/// "AMD EPYC 9B45, 2 of 2 cores, avx2 avx512 bf16 vnni".
std::string machine_name(int threads);

double median(std::vector<double> values);

}  // namespace jet
