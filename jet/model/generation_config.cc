#include "jet/model/generation_config.h"

#include "jet/base/file.h"

namespace jet {
namespace {

template <class T>
void read_setting(const Json& j, const char* key, std::optional<T>& setting, const std::string& where) {
  if (j.contains(key) && !j.at(key).is_null()) setting = get<T>(j, key, where);
}

}  // namespace

std::vector<int> token_ids(const Json& config, const char* key, const std::string& where) {
  if (!config.contains(key) || config[key].is_null()) return {};
  if (config[key].is_array()) return get<std::vector<int>>(config, key, where);
  return {get<int>(config, key, where)};
}

Json token_ids_to_json(const std::vector<int>& ids) {
  if (ids.empty()) return nullptr;
  return ids.size() == 1 ? Json(ids[0]) : Json(ids);
}

GenerationConfig read_generation_config(const Json& file, const std::string& path, const ModelSpec& spec) {
  require(file.is_object(), "{}: expected a table of keys, found {}", path, json_text(file).substr(0, 80));
  GenerationConfig c{path, spec.eos_token_id, {}};
  if (file.contains("eos_token_id") && !file.at("eos_token_id").is_null()) {
    c.eos_token_id = token_ids(file, "eos_token_id", path);
  }
  SamplingSettings& s = c.sampling;
  read_setting(file, "do_sample", s.do_sample, path);
  read_setting(file, "temperature", s.temperature, path);
  read_setting(file, "top_k", s.top_k, path);
  read_setting(file, "top_p", s.top_p, path);
  read_setting(file, "min_p", s.min_p, path);
  read_setting(file, "typical_p", s.typical_p, path);
  read_setting(file, "repetition_penalty", s.repetition_penalty, path);
  return c;
}

GenerationConfig read_generation_config(const std::string& folder, const ModelSpec& spec) {
  const std::string path = folder + "/generation_config.json";
  return read_generation_config(file_exists(path) ? read_json(path) : Json::object(), path, spec);
}

}  // namespace jet
