// Tensors of a GGUF file on their way into a model folder: each read, put in our order and type, and written a part at
// a time, so that a model larger than memory passes.
//
//   in the file             as-is                          bf16, f32      int8, int4
//   F32, F16, BF16          as they are                    that type      as `jet quantize` makes them
//   Q4_0                    int4 without loss              that type      without loss where the codes fit
//   Q8_0, Q5_0, IQ4_NL      int8 without loss              that type      without loss where the codes fit
//   other blocks            bf16, rounded                  that type      as `jet quantize` makes them
//   norms, biases           as they are; norms less 1 and blocks in fp32
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "jet/base/threads.h"
#include "jet/model/gguf_architecture.h"
#include "jet/model/spec.h"
#include "jet/storage/shards.h"

namespace jet {

/// One parameter, and the tensor of the file that it comes from.
struct GgufJob {
  const GgufTensor* from = nullptr;
  std::string path;  // of the file, for errors
  std::string name;  // in the model folder
  ParamSpec spec{};
  std::vector<int64_t> rows{}, columns{};  // of the tensor, in our order; none: all as they come
  GgufNumbers numbers = GgufNumbers::same;
  DType to = DType::f32;
  bool exact = true;  // no number changes

  bool by_codes() const;  // packed without loss
};

/// Rows and columns in our order. Throws where the tensor's sizes and the mixer's do not go together.
void choose_order(GgufJob& job, GgufOrder order, const MixerSpec& mixer);
/// Chooses `to` and `exact` of a job; `wanted` is f32, bf16, q8 or q4, none: as the file has them.
void choose_type(GgufJob& job, std::optional<DType> wanted);

/// What the job writes: one tensor, or packed numbers and their scales.
std::vector<TensorToWrite> written_tensors(const GgufJob& job);
/// Writes them. Throws where a number is not finite.
void write_job(const GgufJob& job, ThreadPool& pool, ShardedSafeTensorsWriter& file);

}  // namespace jet
