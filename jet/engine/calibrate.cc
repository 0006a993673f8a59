#include "jet/engine/calibrate.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "jet/engine/input_statistics.h"
#include "jet/engine/rounded.h"
#include "jet/engine/sensitivity.h"
#include "jet/model/finite.h"
#include "jet/tensor/quant.h"

namespace jet {

namespace {

constexpr int64_t kProbeTokens = 128;  // the divergence of a token is smooth in the weights: few are enough

/// Rounds a model's matrices in the order in which quantize_model() asks for them.
class Calibration {
 public:
  Calibration(const Checkpoint& c, const std::map<std::string, DType>& types, const CalibrateOptions& o,
              ThreadPool& pool);
  bool round(const std::string& name, uint8_t* packed, f16* scales);
  std::vector<std::string> remarks;

 private:
  void round_layer(const LayerMatrices& l);
  void round_head();
  void round_group(InputGroup& group);

  const Checkpoint& checkpoint_;
  const std::map<std::string, DType>& types_;
  ThreadPool& pool_;
  LayerRunner runner_;
  LayerRunner::Rows rows_;
  std::vector<LayerMatrices> layers_;
  size_t next_ = 0;
  std::map<std::string, RoundedMatrix> rounded_;      // what was not asked for yet
  std::map<std::string, std::vector<float>> floats_;  // of the layer at hand
};

Calibration::Calibration(const Checkpoint& c, const std::map<std::string, DType>& types, const CalibrateOptions& o,
                         ThreadPool& pool)
    : checkpoint_(c), types_(types), pool_(pool), runner_(c, o.ids, o.length, pool), rows_(runner_.embed()),
      layers_(matrices_by_layer(c.spec, [&](const std::string& name) { return is_quantized(types.at(name)); })) {
  const DType type = types.at(kEmbedding);
  if (!is_quantized(type)) return;
  const int64_t d = c.spec.hidden_size;
  pool.parallel_for(runner_.tokens(), 16, [&](int64_t begin, int64_t end) {
    std::vector<uint8_t> packed(packed_bytes(type, 1, d));
    std::vector<f16> scales(scale_count(1, d));
    for (int64_t t = begin; t < end; ++t) {
      float* row = rows_.hidden.data() + t * d;
      quantize_panel(type, row, 1, d, packed.data(), scales.data());
      dequantize_row(type, packed.data(), scales.data(), d, 0, row);
    }
  });
}

bool Calibration::round(const std::string& name, uint8_t* packed, f16* scales) {
  while (next_ < layers_.size() && !rounded_.contains(name)) {
    const LayerMatrices& l = layers_[next_++];
    l.layer >= 0 ? round_layer(l) : round_head();
  }
  const auto found = rounded_.find(name);
  if (found == rounded_.end()) return false;
  std::copy(found->second.packed.begin(), found->second.packed.end(), packed);
  std::copy(found->second.scales.begin(), found->second.scales.end(), scales);
  rounded_.erase(found);
  return true;
}

void Calibration::round_group(InputGroup& group) {
  const RoundingMetric metric = rounding_metric(std::move(group.h), group.cols, pool_);
  for (const std::string& name : group.matrices) {
    RoundedMatrix m;
    if (metric.is_usable()) m = round_matrix(checkpoint_, name, types_.at(name), &metric, pool_);
    if (!metric.is_usable() || !std::isfinite(m.cost)) {
      remarks.push_back(
          fmt::format("'{}': its inputs over the calibration text say nothing (all 0, or not finite): "
                      "rounded plainly",
                      name));
      m = round_matrix(checkpoint_, name, types_.at(name), nullptr, pool_);
    } else if (metric.damping > 0.02) {
      remarks.push_back(fmt::format("'{}': X^T X of its inputs is nearly singular: damped by {} of its diagonal", name,
                                    metric.damping));
    }
    rounded_[name] = std::move(m);
  }
}

void Calibration::round_layer(const LayerMatrices& l) {
  {
    InputStatistics statistics(runner_, l.names);
    runner_.layer(l.layer, rows_, false, [&](const CpuTensor& x, const CpuWeight& w) { statistics.add(x, w); });
    for (InputGroup& group : statistics.groups()) round_group(group);
  }
  floats_.clear();
  for (const std::string& name : l.names) {
    if (!rounded_.contains(name)) {
      remarks.push_back(fmt::format("'{}': the calibration text never reaches it: rounded plainly", name));
      rounded_[name] = round_matrix(checkpoint_, name, types_.at(name), nullptr, pool_);
    }
    CpuWeight& w = runner_.weight(name);
    floats_[name] = rounded_[name].floats(w.dims, pool_);
    w.dtype = DType::f32, w.data = floats_[name].data(), w.scales = nullptr;
  }
  runner_.layer(l.layer, rows_, true, {});
}

void Calibration::round_head() {
  const std::string name = head_name(checkpoint_.spec);
  if (!is_quantized(types_.at(name))) return;
  InputStatistics statistics(runner_, {name});
  runner_.head_inputs(rows_, [&](const CpuTensor& x, int64_t) { statistics.add(x, runner_.weight(name)); });
  for (InputGroup& group : statistics.groups()) round_group(group);
}

}  // namespace

CalibrateOptions calibration_rows(std::vector<int32_t> ids, int length, int64_t tokens) {
  require(!ids.empty(), "the calibration text has no tokens");
  length = static_cast<int>(std::min<int64_t>(length, std::ssize(ids)));
  const int64_t rows = std::max<int64_t>(1, std::min<int64_t>(tokens, ids.size()) / length);
  ids.resize(rows * length);
  return {std::move(ids), length};
}

QuantizeReport quantize_calibrated(const std::string& source, const std::string& target, QuantizeOptions options,
                                   const CalibrateOptions& calibrate) {
  require(is_quantized(options.type), "type {} is not calibrated (int8 and int4 are)", name_of(options.type));
  require_other_folder(source, target);
  const Checkpoint c = Checkpoint::open(source);
  for (const auto& [name, t] : c.tensors.all()) require_finite(t.dtype, t.bytes, name, c.tensors.path());
  ThreadPool pool(threads_asked(options.threads));
  QuantizePlan plan = plan_types(c, options.type, pool);
  if (calibrate.bits > 0) {
    const QuantizePlan of_int8 = plan_types(c, DType::q8, pool), of_int4 = plan_types(c, DType::q4, pool);
    const auto probe = calibration_rows(calibrate.ids, std::min(calibrate.length, 128), kProbeTokens);
    plan =
        plan_bits(c, of_int8, measure_sensitivity(c, of_int8, of_int4, probe.ids, probe.length, pool), calibrate.bits);
  }
  Calibration calibration(c, plan.types, calibrate, pool);
  options.plan = &plan;
  options.round = [&](const std::string& name, DType, uint8_t* packed, f16* scales) {
    return calibration.round(name, packed, scales);
  };
  QuantizeReport report = quantize_model(source, target, options);
  report.remarks.insert(report.remarks.end(), calibration.remarks.begin(), calibration.remarks.end());
  return report;
}

}  // namespace jet
