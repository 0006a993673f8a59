// A model's weights in memory: views into mapped files where type and alignment allow, owned arrays otherwise.
#pragma once

#include <memory>
#include <vector>

#include "jet/engine/cpu/cpu_tensor.h"
#include "jet/model/checkpoint.h"
#include "jet/model/spec.h"

namespace jet {

class ThreadPool;

struct LoadedWeights {
  ModelWeights<CpuWeight> weights;
  int64_t bytes = 0;
  uint64_t hash = 0;  // of a sample of every parameter
  SafeTensors files;  // what the views point into
  std::vector<std::unique_ptr<std::byte[]>> owned;
};

LoadedWeights load_weights(Checkpoint checkpoint);
LoadedWeights random_weights(const ModelSpec& spec, uint64_t seed, DType matrices, ThreadPool& pool);

}  // namespace jet
