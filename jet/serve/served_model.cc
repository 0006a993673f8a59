#include "jet/serve/served_model.h"

#include <algorithm>
#include <filesystem>

#include "jet/base/hash.h"
#include "jet/engine/sampler.h"
#include "jet/model/model_cost.h"

namespace jet {
namespace {

/// The same layers, each with attention of the first attention layer's size and no window.
ModelSpec all_attention(ModelSpec spec) {
  const auto is_attention = [](const MixerSpec& m) { return std::holds_alternative<Attention::Config>(m); };
  const auto first = std::find_if(spec.layers.begin(), spec.layers.end(), is_attention);
  if (first == spec.layers.end()) return spec;
  auto config = std::get<Attention::Config>(*first);
  config.window = 0;
  std::fill(spec.layers.begin(), spec.layers.end(), MixerSpec(config));
  return spec;
}

/// Whether the template asks if the model should think.
bool thinks(const ServedModel& model) {
  if (!model.chat) return false;
  ChatInput input{.messages = Json::array({{{"role", "user"}, {"content", "x"}}}), .add_generation_prompt = true};
  std::string texts[2];
  for (const bool on : {false, true}) {
    input.variables = {{"enable_thinking", on}};
    try {
      texts[on] = model.chat->render(input).text;
    } catch (const Error&) { return false; }
  }
  return texts[0] != texts[1];
}

Json sampling_json(const ServedModel& model) {
  const SamplerOptions s = with_settings({}, {}, model.engine.generation().sampling);
  return {{"temperature", s.temperature},
          {"top_k", s.top_k},
          {"top_p", s.top_p},
          {"min_p", s.min_p},
          {"typical_p", s.typical_p},
          {"repetition_penalty", s.repetition_penalty}};
}

}  // namespace

std::string model_files_hash(const std::string& folder) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const auto& path = entry.path();
    if (path.filename() == "config.json" || path.extension() == ".safetensors") files.push_back(path.string());
  }
  std::sort(files.begin(), files.end());
  Hasher all;
  for (const auto& file : files) all.add(hash_text(file_hash(file)));
  return hash_text(all.value());
}

Json props_json(const ServedModel& model) {
  const ModelSpec& spec = model.engine.spec();
  Json layers = Json::array();
  for (const auto& layer : spec.layers) {
    const Json mixer = mixer_to_json(layer);
    layers.push_back({{"mixer", mixer["kind"]}, {"window", mixer.value("window", 0)}, {"label", mixer_label(layer)}});
  }
  const int64_t long_context = std::max(1, spec.max_position_embeddings - 1);
  const auto bytes = [&](const ModelSpec& s, int64_t n) { return cache_bytes(s, n); };
  const ModelSpec full = all_attention(spec);
  const int64_t a_token = bytes(spec, long_context + 1) - bytes(spec, long_context);
  return {{"model",
           {{"name", model.name},
            {"parameters", parameter_count(spec)},
            {"context", spec.max_position_embeddings},
            {"vocabulary", spec.vocab_size},
            {"weight_bytes", model.engine.weight_bytes()}}},
          {"version", model.version},
          {"has_chat_template", model.chat.has_value()},
          {"thinks", thinks(model)},
          {"sampling", sampling_json(model)},
          {"layers", layers},
          {"cache",
           {{"kv_type", name_of(model.engine.options().kv)},
            {"bytes_per_token", a_token},
            {"fixed_bytes", bytes(spec, long_context) - a_token * long_context},
            {"full_bytes_per_token", bytes(full, long_context + 1) - bytes(full, long_context)}}}};
}

}  // namespace jet
