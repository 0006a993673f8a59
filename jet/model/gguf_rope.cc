// Llama 3's rope scaling out of the divisors d_i that a GGUF file has in its place. With the wavelengths l_i,
//
//   1 / d_i = (1 - s_i) / factor + s_i,   s_i = (original / l_i - low) / (high - low),   held to [0, 1]
//
// so in between s is linear in 1 / l: two numbers, a = original / (high - low) and b = low / (high - low), where the
// config has three. low = 1, as in all released models, decides; where only one frequency lies in between, high = 4.
#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>
#include <vector>

#include "jet/blocks/op_set.h"
#include "jet/model/gguf_architecture.h"

namespace jet {
namespace {

constexpr double kTolerance = 1e-5;  // relative, of divisors in fp32

Rope rope_of(const std::vector<float>& divisors, double theta) {
  Rope r{.theta = theta, .factor = 1, .low_freq_factor = 1, .high_freq_factor = 4, .original_context = 8192};
  for (const float d : divisors) r.factor = std::max(r.factor, static_cast<double>(d));
  std::vector<std::pair<double, double>> between;  // 1 / l, s
  const int dim = static_cast<int>(2 * divisors.size());
  for (size_t i = 0; i < divisors.size(); ++i) {
    const double d = divisors[i], s = (1 / d - 1 / r.factor) / (1 - 1 / r.factor);
    const double frequency = std::pow(theta, -2.0 * static_cast<double>(i) / dim);
    if (s > 1e-4 && s < 1 - 1e-4) between.emplace_back(frequency / (2 * std::numbers::pi), s);
  }
  const auto near = [](double x) { return std::abs(x - std::round(x)) < 1e-3 * x ? std::round(x) : x; };
  if (between.size() == 1) r.original_context = near((3 * between[0].second + 1) / between[0].first);
  if (between.size() < 2) return r;
  const auto [x0, s0] = between.front();
  const auto [x1, s1] = between.back();
  const double a = (s1 - s0) / (x1 - x0), b = a * x0 - s0;
  if (!(a > 0) || !(b > 0)) return r;
  r.high_freq_factor = near((1 + b) / b);
  r.original_context = near(a / b);
  return r;
}

/// Whether `r` divides the frequencies as the file says.
bool divides(const Rope& r, const std::vector<float>& divisors) {
  const int dim = static_cast<int>(2 * divisors.size());
  Rope plain;
  plain.theta = r.theta;
  const auto before = plain.frequencies(dim), after = r.frequencies(dim);
  for (size_t i = 0; i < divisors.size(); ++i) {
    if (std::abs(before[i] / after[i] / divisors[i] - 1) > kTolerance) return false;
  }
  return true;
}

Json llama3_scaling(const GgufKeys& keys, const GgufTensor& t, int head_dim, double theta) {
  require(t.type->plain == DType::f32 && t.shape == Shape{head_dim / 2},
          "{}: tensor 'rope_freqs.weight' is {} {}, where F32 [{}] is wanted; convert the model again", keys.path(),
          t.type->name, to_string(t.shape), head_dim / 2);
  std::vector<float> divisors(head_dim / 2);
  ggml_decode(*t.type, t.bytes.data(), head_dim / 2, divisors.data());
  bool all_one = true;
  for (const float d : divisors) {
    require(std::isfinite(d) && d > 0, "{}: tensor 'rope_freqs.weight' holds {}; download the file again", keys.path(),
            d);
    all_one = all_one && d == 1;
  }
  if (all_one) return {};
  // Where no frequency lies in between, any context of a stretch does: powers of two are tried.
  Rope r = rope_of(divisors, theta);
  for (double context = 16; !divides(r, divisors) && context <= 1 << 20; context *= 2) {
    r.low_freq_factor = 1, r.high_freq_factor = 4, r.original_context = context;
  }
  require(divides(r, divisors),
          "{}: tensor 'rope_freqs.weight' divides rope's frequencies as no known scaling does; it cannot be run",
          keys.path());
  return {{"rope_type", "llama3"},
          {"factor", r.factor},
          {"low_freq_factor", r.low_freq_factor},
          {"high_freq_factor", r.high_freq_factor},
          {"original_max_position_embeddings", static_cast<int64_t>(std::llround(r.original_context))}};
}

}  // namespace

Json gguf_rope_scaling(const GgufKeys& keys, int head_dim, double theta) {
  const auto type = keys.text("rope.scaling.type").value_or("linear");  // which is what a factor alone means
  auto factor = keys.optional_positive("rope.scaling.factor");
  if (!factor) factor = keys.optional_positive("rope.scale_linear");
  const auto& tensors = keys.file().tensors();
  for (const char* name : {"rope_factors_long.weight", "rope_factors_short.weight"}) {
    require(tensors.find(name) == tensors.end(), "{}: tensor '{}': rope scaled by lists cannot be run", keys.path(),
            name);
  }
  const auto divisors = tensors.find("rope_freqs.weight");
  const bool scales = type != "none" && factor && *factor != 1;
  if (divisors != tensors.end()) {
    require(!scales, "{}: both tensor 'rope_freqs.weight' and key '{}' scale rope; convert the model again",
            keys.path(), keys.full("rope.scaling.factor"));
    return llama3_scaling(keys, divisors->second, head_dim, theta);
  }
  if (!scales) return {};
  if (type == "linear") return {{"rope_type", "linear"}, {"factor", *factor}};
  require(type == "yarn", "{}: key '{}' is '{}' (known: none, linear, yarn)", keys.path(),
          keys.full("rope.scaling.type"), type);
  Json yarn{{"rope_type", "yarn"}, {"factor", *factor}};
  if (const auto n = keys.optional_positive("rope.scaling.original_context_length")) {
    yarn["original_max_position_embeddings"] = static_cast<int64_t>(*n);
  }
  if (const auto x = keys.optional_positive("rope.scaling.yarn_beta_fast")) yarn["beta_fast"] = *x;
  if (const auto x = keys.optional_positive("rope.scaling.yarn_beta_slow")) yarn["beta_slow"] = *x;
  for (const char* key :
       {"rope.scaling.attn_factor", "rope.scaling.yarn_attn_factor", "rope.scaling.yarn_ext_factor"}) {
    keys.require_number(key, 1, "yarn with a factor of its own");
  }
  return yarn;
}

}  // namespace jet
