#include "jet/engine/rounded.h"

#include <algorithm>
#include <numeric>

#include "jet/model/quantize.h"
#include "jet/tensor/quant.h"

namespace jet {

std::vector<float> RoundedMatrix::floats(const Dims& dims, ThreadPool& pool) const {
  std::vector<float> values(dims.count());
  pool.parallel_for(dims.outer, 16, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      dequantize_row(type, packed.data(), scales.data(), dims.inner, r, values.data() + r * dims.inner);
    }
  });
  return values;
}

RoundedMatrix round_matrix(const Checkpoint& c, const std::string& name, DType type, const RoundingMetric* metric,
                           ThreadPool& pool) {
  const StoredTensor& t = c.tensors.at(name);
  const int64_t rows = t.shape[0], cols = t.shape[1];
  RoundedMatrix out{type, std::vector<uint8_t>(packed_bytes(type, rows, cols)),
                    std::vector<f16>(scale_count(rows, cols))};
  std::vector<double> costs(panels_of(rows));
  pool.parallel_for(panels_of(rows), 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      const int64_t first = p * kPanelRows, last = std::min(rows, first + kPanelRows);
      const std::vector<float> values = matrix_rows(t, first, last, c.tensors.path());
      uint8_t* packed = &out.packed[p * packed_bytes(type, kPanelRows, cols)];
      f16* scales = &out.scales[p * scale_count(kPanelRows, cols)];
      if (metric) {
        costs[p] = quantize_panel(type, values.data(), last - first, *metric, packed, scales);
      } else {
        quantize_panel(type, values.data(), last - first, cols, packed, scales);
      }
    }
  });
  out.cost = std::accumulate(costs.begin(), costs.end(), 0.0);
  return out;
}

std::vector<LayerMatrices> matrices_by_layer(const ModelSpec& spec,
                                             const std::function<bool(const std::string&)>& wanted) {
  std::vector<LayerMatrices> all;
  struct Nothing {};
  for (int i = 0; i < spec.n_layers(); ++i) {
    LayerWeights<Nothing> w;
    LayerMatrices& l = all.emplace_back(LayerMatrices{i, {}});
    layer_params(spec, i, w, [&](const std::string& name, Nothing&, const ParamSpec& p) {
      if (p.is_matrix() && wanted(name)) l.names.push_back(name);
    });
  }
  LayerMatrices& ends = all.emplace_back();
  if (wanted(kEmbedding)) ends.names.emplace_back(kEmbedding);
  if (!spec.tie_word_embeddings && wanted(kHead)) ends.names.emplace_back(kHead);
  return all;
}

}  // namespace jet
