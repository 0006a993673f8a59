// Matrices rounded one by one, and which of them stand in which layer.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "jet/engine/error_feedback.h"
#include "jet/engine/layer_runner.h"

namespace jet {

struct RoundedMatrix {
  DType type = DType::q8;
  std::vector<uint8_t> packed;
  std::vector<f16> scales;
  double cost = 0;  // e H e^T; 0 without a metric

  std::vector<float> floats(const Dims& dims, ThreadPool& pool) const;
};

/// The matrix `name` by `metric`, plainly where that is null.
RoundedMatrix round_matrix(const Checkpoint& c, const std::string& name, DType type, const RoundingMetric* metric,
                           ThreadPool& pool);

struct LayerMatrices {
  int layer = -1;  // -1: embedding and head
  std::vector<std::string> names;
};
/// Layers in their order, then the vocabulary; of each the matrices that are `wanted`.
std::vector<LayerMatrices> matrices_by_layer(const ModelSpec& spec,
                                             const std::function<bool(const std::string& name)>& wanted);

inline std::string head_name(const ModelSpec& spec) { return spec.tie_word_embeddings ? kEmbedding : kHead; }

}  // namespace jet
