// What the machine gives, measured in the run that reports a speed: shared machines move by tens of per cent between
// windows of time, so only a fraction of what was there in that very run can be compared.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "jet/base/threads.h"
#include "jet/tensor/dtype.h"

namespace jet {

/// Several passes of one measurement, in units a second.
struct Rate {
  double median = 0, best = 0;
};

/// Bytes/s at which all threads of the pool together read `bytes` of memory (well beyond the caches) once a pass. Keeps
/// the memory, so that a look between two measurements takes milliseconds; borrows the pool.
class ReadProbe {
 public:
  explicit ReadProbe(ThreadPool& pool, int64_t bytes = int64_t{512} << 20);
  ~ReadProbe();
  Rate run(int passes);

 private:
  struct Memory;
  ThreadPool& pool_;
  std::unique_ptr<Memory> memory_;
};

/// FLOP/s of fp32 fused multiply-add out of registers, all threads together: the widest vectors this processor has,
/// enough chains in flight to hide the latency, no memory at all. An upper bound of fp32 products; hardware for bf16 or
/// int8 products can pass it.
Rate fma_peak(ThreadPool& pool, int passes = 7);

/// FLOP/s of the products that weights of this type can use (bf16 pairs; bytes for int8 and int4; tiles where kernels()
/// has AMX), out of registers likewise; fma_peak where the processor has no instruction for them.
Rate gemm_peak(ThreadPool& pool, DType weights, int passes = 7);

double median(std::vector<double> values);

}  // namespace jet
