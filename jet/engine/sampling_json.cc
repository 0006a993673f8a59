#include "jet/engine/sampling_json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "jet/text/utf8.h"

namespace jet {
namespace {

constexpr const char* kMostTokens[] = {"max_new_tokens", "max_tokens", "max_output_tokens", "max_completion_tokens"};

bool has(const Json& json, const char* key) { return json.contains(key) && !json[key].is_null(); }

int most_tokens_of(const Json& json, const char* key, const std::string& where) {
  const auto n = get<int64_t>(json, key, where);
  require(n >= 0, "{}: '{}' is {}, below 0", where, key, n);
  return static_cast<int>(std::min<int64_t>(n, std::numeric_limits<int>::max()));
}

std::vector<std::pair<int32_t, float>> logit_bias_of(const Json& json, const std::string& where) {
  const Json& object = json["logit_bias"];
  require(object.is_object(), "{}: 'logit_bias' is no object of ids", where);
  std::vector<std::pair<int32_t, float>> bias;
  for (const auto& [id, value] : object.items()) {
    int32_t token = 0;
    const char* end = id.data() + id.size();
    const auto read = std::from_chars(id.data(), end, token);
    require(read.ec == std::errc() && read.ptr == end && fits<float>(value),
            "{}: 'logit_bias' is {{\"id\": number}}, found {}", where, shown(json_text(Json{{id, value}})));
    const auto b = value.get<float>();
    bias.emplace_back(token, b <= -100 ? -INFINITY : b);
  }
  return bias;
}

/// Negative ones are numbers, too.
uint64_t seed_of(const Json& json, const std::string& where) {
  if (fits<uint64_t>(json["seed"])) return json["seed"].get<uint64_t>();
  return static_cast<uint64_t>(get<int64_t>(json, "seed", where));
}

}  // namespace

void read_sampling(const Json& json, const std::string& where, GenerateOptions& options, SamplingSettings& asked) {
  const auto read = [&](const char* key, auto& value) { value = get_or(json, key, value, where); };
  const auto ask = [&](const char* key, auto& setting) {
    using T = typename std::decay_t<decltype(setting)>::value_type;
    if (has(json, key)) setting = get<T>(json, key, where);
  };
  for (const char* key : kMostTokens)
    if (has(json, key)) options.max_new_tokens = most_tokens_of(json, key, where);
  read("ignore_eos", options.ignore_eos);
  ask("temperature", asked.temperature);
  ask("top_k", asked.top_k);
  if (asked.top_k && *asked.top_k < 0) asked.top_k = 0;
  ask("top_p", asked.top_p);
  ask("min_p", asked.min_p);
  ask("typical_p", asked.typical_p);
  ask("repeat_penalty", asked.repetition_penalty);
  ask("repetition_penalty", asked.repetition_penalty);
  read("presence_penalty", options.sampler.presence_penalty);
  read("frequency_penalty", options.sampler.frequency_penalty);
  if (has(json, "logit_bias")) options.sampler.logit_bias = logit_bias_of(json, where);
  if (has(json, "seed")) options.sampler.seed = seed_of(json, where);
  if (!has(json, "stop")) return;
  const Json& stop = json["stop"];
  options.stop_strings =
      stop.is_string() ? std::vector{stop.get<std::string>()} : get<std::vector<std::string>>(json, "stop", where);
}

const std::vector<std::string>& sampling_keys() {
  static const std::vector<std::string> keys = [] {
    std::vector<std::string> all{"ignore_eos",
                                 "temperature",
                                 "top_k",
                                 "top_p",
                                 "min_p",
                                 "typical_p",
                                 "repeat_penalty",
                                 "repetition_penalty",
                                 "presence_penalty",
                                 "frequency_penalty",
                                 "logit_bias",
                                 "seed",
                                 "stop"};
    all.insert(all.end(), std::begin(kMostTokens), std::end(kMostTokens));
    return all;
  }();
  return keys;
}

}  // namespace jet
