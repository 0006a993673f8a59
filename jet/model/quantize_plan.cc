#include "jet/model/quantize_plan.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "jet/model/quantize.h"
#include "jet/tensor/quant_codes.h"

namespace jet {

void each_parameter(const ModelSpec& spec, const std::function<void(const std::string&, const ParamSpec&)>& visit) {
  struct Nothing {};
  ModelWeights<Nothing> w;
  model_params(spec, w, [&](const std::string& name, Nothing&, const ParamSpec& p) { visit(name, p); });
}

namespace {

/// The largest number of each row.
std::vector<float> row_extremes(const StoredTensor& t, const std::string& path, ThreadPool& pool) {
  std::vector<float> extremes(t.shape[0]);
  pool.parallel_for(t.shape[0], 16, [&](int64_t begin, int64_t end) {
    const std::vector<float> values = matrix_rows(t, begin, end, path);
    for (int64_t r = begin; r < end; ++r) {
      for (int64_t c = 0; c < t.shape[1]; ++c) {
        extremes[r] = std::max(extremes[r], std::abs(values[(r - begin) * t.shape[1] + c]));
      }
    }
  });
  return extremes;
}

/// Whether scales in f16 hold the matrix in type `t`; if not, or not all of its rows, says so.
bool is_held(DType t, const std::string& name, const std::vector<float>& extremes, std::vector<std::string>& remarks) {
  const float largest = *std::max_element(extremes.begin(), extremes.end());
  if (largest > largest_held(t)) {
    remarks.push_back(fmt::format("'{}' holds {}, more than the {} of {} in groups: it stays as it is", name, largest,
                                  largest_held(t), name_of(t)));
    return false;
  }
  if (largest == 0) return true;
  if (largest < least_held(t)) {
    remarks.push_back(
        fmt::format("'{}' has no number above {}, which scales in f16 do not hold: it stays as it is", name, largest));
    return false;
  }
  const auto n = std::count_if(extremes.begin(), extremes.end(), [&](float x) { return x > 0 && x < least_held(t); });
  if (n > 0) {
    remarks.push_back(fmt::format("'{}': {} of {} rows have no number above {} and became 0 or nearly so", name, n,
                                  extremes.size(), least_held(t)));
  }
  return true;
}

}  // namespace

QuantizePlan plan_types(const Checkpoint& c, DType wanted, ThreadPool& pool) {
  QuantizePlan plan;
  each_parameter(c.spec, [&](const std::string& name, const ParamSpec& p) {
    const StoredTensor& t = c.tensors.at(name);
    require(t.dtype != DType::u8, "{}: is quantized already; quantize the model that it was made from", c.folder);
    DType type = p.is_matrix() ? stored_type(p, wanted, t.dtype) : t.dtype;
    if (is_quantized(type) && !is_held(type, name, row_extremes(t, c.tensors.path(), pool), plan.remarks)) {
      type = t.dtype;
    }
    plan.types[name] = type;
  });
  return plan;
}

namespace {

int64_t stored_bytes(const Shape& shape, DType type) {
  return is_quantized(type) ? matrix_bytes(type, shape[0], shape[1])
                            : numel(shape) * static_cast<int64_t>(size_of(type));
}

int64_t plan_bytes(const Checkpoint& c, const std::map<std::string, DType>& types) {
  int64_t bytes = 0;
  for (const auto& [name, type] : types) bytes += stored_bytes(c.tensors.at(name).shape, type);
  return bytes;
}

}  // namespace

double bits_a_weight(const Checkpoint& c, const std::map<std::string, DType>& types) {
  return 8 * static_cast<double>(plan_bytes(c, types)) / static_cast<double>(parameter_count(c.spec));
}

QuantizePlan plan_bits(const Checkpoint& c, const QuantizePlan& of_int8, const std::vector<Sensitivity>& costs,
                       double bits) {
  QuantizePlan plan = of_int8;
  for (const Sensitivity& s : costs) plan.types.at(s.name) = DType::q4;
  const double budget = bits * static_cast<double>(parameter_count(c.spec)) / 8;
  auto bytes = static_cast<double>(plan_bytes(c, plan.types));
  require(bytes <= budget, "--bits {}: {} takes {:.3f} bits a weight with every matrix in int4", bits, c.folder,
          bits_a_weight(c, plan.types));
  const auto more = [&](const Sensitivity& s) {
    const Shape& shape = c.tensors.at(s.name).shape;
    return static_cast<double>(stored_bytes(shape, DType::q8) - stored_bytes(shape, DType::q4));
  };
  std::vector<Sensitivity> order = costs;
  std::stable_sort(order.begin(), order.end(),
                   [&](const Sensitivity& a, const Sensitivity& b) { return a.cost / more(a) > b.cost / more(b); });
  for (const Sensitivity& s : order) {
    if (bytes + more(s) > budget) continue;
    bytes += more(s);
    plan.types.at(s.name) = DType::q8;
  }
  return plan;
}

}  // namespace jet
