#include "jet/engine/sensitivity.h"

#include <algorithm>
#include <cmath>

#include "jet/base/progress.h"
#include "jet/engine/rounded.h"
#include "jet/tensor/quant.h"

namespace jet {

namespace {

/// The log-probabilities of all tokens after each row.
std::vector<float> log_probabilities(LayerRunner& runner, const LayerRunner::Rows& rows) {
  const int64_t vocab = runner.spec().vocab_size;
  std::vector<float> all(runner.tokens() * vocab);
  runner.head_inputs(rows, [&](const CpuTensor& x, int64_t first) {
    const CpuTensor logits = runner.head(x);
    runner.pool().parallel_for(logits.rows, 1, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const float *from = logits.row(t), top = *std::max_element(from, from + vocab);
        double sum = 0;
        for (int64_t v = 0; v < vocab; ++v) sum += std::exp(from[v] - top);
        const auto norm = static_cast<float>(top + std::log(sum));
        for (int64_t v = 0; v < vocab; ++v) all[(first + t) * vocab + v] = from[v] - norm;
      }
    });
  });
  return all;
}

double divergence(const std::vector<float>& of, const std::vector<float>& from, int64_t tokens) {
  double sum = 0;
  for (size_t i = 0; i < of.size(); ++i) {
    if (from[i] > -40) sum += std::exp(from[i]) * (from[i] - of[i]);
  }
  return sum / static_cast<double>(tokens);
}

}  // namespace

std::vector<Sensitivity> measure_sensitivity(const Checkpoint& c, const QuantizePlan& of_int8,
                                             const QuantizePlan& of_int4, const std::vector<int32_t>& ids, int length,
                                             ThreadPool& pool) {
  LayerRunner runner(c, ids, length, pool);
  const int layers = c.spec.n_layers();
  std::vector<LayerRunner::Rows> before{runner.embed()};
  for (int i = 0; i < layers; ++i) {
    before.push_back(before.back());
    runner.layer(i, before.back(), true, {});
  }
  const std::vector<float> exact = log_probabilities(runner, before.back());
  const std::vector<LayerMatrices> matrices = matrices_by_layer(c.spec, [&](const std::string& name) {
    return is_quantized(of_int8.types.at(name)) && is_quantized(of_int4.types.at(name));
  });
  int64_t done = 0, total = 0;
  for (const auto& l : matrices) total += static_cast<int64_t>(l.names.size());
  Progress progress("measure " + c.folder, total, "matrices");
  std::vector<Sensitivity> costs;
  for (const auto& [layer, names] : matrices) {
    for (const std::string& name : names) {
      const CpuWeight kept = runner.weight(name);
      const RoundedMatrix rounded = round_matrix(c, name, DType::q4, nullptr, pool);
      const std::vector<float> values = rounded.floats(kept.dims, pool);
      runner.weight(name) = {DType::f32, values.data(), kept.dims};
      const bool is_head = name == head_name(c.spec);
      LayerRunner::Rows rows = layer >= 0                               ? before[layer]
                               : is_head && !c.spec.tie_word_embeddings ? before.back()
                                                                        : runner.embed();
      const int first = layer >= 0 ? layer : is_head && !c.spec.tie_word_embeddings ? layers : 0;
      for (int i = first; i < layers; ++i) runner.layer(i, rows, true, {});
      costs.push_back({name, divergence(log_probabilities(runner, rows), exact, runner.tokens())});
      runner.weight(name) = kept;
      progress.update(++done);
    }
  }
  progress.finish();
  return costs;
}

}  // namespace jet
