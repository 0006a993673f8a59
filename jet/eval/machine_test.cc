#include "jet/eval/machine.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "jet/base/error.h"
#include "jet/eval/machine_info.h"

namespace jet {
namespace {

TEST(Machine, Measures) {
  ThreadPool pool(2);
  const Rate read = ReadProbe(pool, int64_t{8} << 20).run(3), fma = fma_peak(pool, 3);
  EXPECT_GT(read.median, 1e8);
  EXPECT_GE(read.best, read.median);
  EXPECT_GT(fma.median, 1e8);
  EXPECT_GE(fma.best, fma.median);
  for (const DType type : {DType::bf16, DType::q8}) EXPECT_GT(gemm_peak(pool, type, 1).median, 1e8);
  EXPECT_THROW(ReadProbe(pool, 100), Error);
  EXPECT_THROW(fma_peak(pool, 0), Error);
  EXPECT_THROW(gemm_peak(pool, DType::q4, 0), Error);
  EXPECT_DOUBLE_EQ(median({3, 1, 2}), 2);
  EXPECT_DOUBLE_EQ(median({4, 1, 2, 3}), 2.5);
  EXPECT_THROW(median({}), Error);
}

TEST(Machine, TellsWhatItIs) {
  EXPECT_NE(machine_name(2).find("2 of "), std::string::npos);
  const MachineInfo m = machine_info();
  EXPECT_GE(m.cores, 1);
  EXPECT_GT(m.available_bytes, 0);
  EXPECT_GE(m.memory_bytes, m.available_bytes);
  EXPECT_LE(available_memory(), m.memory_bytes);
  EXPECT_NE(std::find(m.kernels.begin(), m.kernels.end(), m.chosen), m.kernels.end());
  EXPECT_EQ(to_json_fields(m)["kernels"].size(), m.kernels.size());
}

}  // namespace
}  // namespace jet
