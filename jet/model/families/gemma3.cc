// Gemma 3 text: local and global attention layers with their own rope bases, four norms a layer with weights 1 + w,
// scaled embeddings, scores scaled by query_pre_attn_scalar^-1/2. Source: transformers modeling_gemma3.py.
#include <cmath>

#include "jet/model/families/families.h"

namespace jet {

namespace {

Rope rope_of(const Json& config, bool local, const std::string& where) {
  const char* kind = local ? "sliding_attention" : "full_attention";
  if (config.contains("rope_parameters") && config["rope_parameters"].contains(kind)) {
    return read_rope(Json{{"rope_parameters", config["rope_parameters"][kind]}}, where);
  }
  if (!local) return read_rope(config, where);
  Rope r;
  r.theta = get_or(config, "rope_local_base_freq", 10000.0, where);
  return r;
}

}  // namespace

ModelSpec read_gemma3(const Json& config, const std::string& where) {
  ModelSpec s = read_llama_like(config, where);
  const auto act = get_or(config, "hidden_activation", std::string("gelu_pytorch_tanh"), where);
  require(act == "gelu_pytorch_tanh", "{}: hidden_activation '{}' is not supported", where, act);
  for (const char* key : {"attn_logit_softcapping", "final_logit_softcapping"}) {
    require(!config.contains(key) || config[key].is_null(), "{}: {} is not supported", where, key);
  }
  s.hidden_act = Activation::gelu_tanh;
  s.tie_word_embeddings = get_or(config, "tie_word_embeddings", true, where);
  s.norms = Norms::both;
  s.embed_scale = std::sqrt(static_cast<float>(s.hidden_size));
  const int pattern = get_or(config, "sliding_window_pattern", 6, where);
  require(pattern > 0, "{}: sliding_window_pattern {} is not positive", where, pattern);
  const int window = get<int>(config, "sliding_window", where);
  const double scalar = get<double>(config, "query_pre_attn_scalar", where);
  require(scalar > 0, "{}: query_pre_attn_scalar {} is not positive", where, scalar);
  const auto types = get_or(config, "layer_types", std::vector<std::string>{}, where);
  each_attention(s, [&](Attention::Config& a, int i) {
    const bool local = i < static_cast<int>(types.size()) ? types[i] == "sliding_attention" : (i + 1) % pattern != 0;
    a.qk_norm = true;
    a.scale = 1 / std::sqrt(scalar);
    a.window = local ? window : 0;
    a.rope = rope_of(config, local, where);
  });
  return s;
}

}  // namespace jet
