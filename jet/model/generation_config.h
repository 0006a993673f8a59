// generation_config.json: how a model's makers mean it to generate. transformers' generate() goes by it; config.json
// has a word only where it says nothing.
//
//   {"eos_token_id": 2 or [2, 106],                                                     ends of text
//    "do_sample": true, "temperature": 0.6, "top_k": 64, "top_p": 0.9, "min_p": 0.1, "typical_p": 0.9,
//    "repetition_penalty": 1.05,                                          all optional; null says nothing
//    ...}                                                                                 not read
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "jet/base/json.h"
#include "jet/model/spec.h"

namespace jet {

/// What is said of sampling, by a model's makers or by who asks for a text; the rest is left open.
struct SamplingSettings {
  std::optional<bool> do_sample{};
  std::optional<float> temperature{};
  std::optional<int> top_k{};
  std::optional<float> top_p{}, min_p{}, typical_p{}, repetition_penalty{};
};

struct GenerationConfig {
  std::string path{};               // of the file, for errors
  std::vector<int> eos_token_id{};  // ends of text: the file's, or those of config.json
  SamplingSettings sampling{};      // as they stand there: ranges are the sampler's to check
};

/// Of `folder`; where it has no such file, what the spec says. Throws Error on JSON that is damaged and on values of
/// another type.
GenerationConfig read_generation_config(const std::string& folder, const ModelSpec& spec);
/// Of a file that was read already; `path` names it in errors.
GenerationConfig read_generation_config(const Json& file, const std::string& path, const ModelSpec& spec);

/// An id or a list of ids; none where the key is missing or null.
std::vector<int> token_ids(const Json& config, const char* key, const std::string& where);
Json token_ids_to_json(const std::vector<int>& ids);

}  // namespace jet
