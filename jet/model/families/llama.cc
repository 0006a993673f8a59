// Llama 3.x, SmolLM2 (model_type "llama") and what the Llama-like families share.
#include "jet/model/families/families.h"

namespace jet {

namespace {

Rope rope_from(const Json& j, double theta, const std::string& where) {
  Rope r;
  r.theta = get_or(j, "rope_theta", theta, where);
  const auto type = get_or(j, "rope_type", get_or(j, "type", std::string("default"), where), where);
  if (type == "default") return r;
  require(type == "llama3", "{}: rope type '{}' is not supported (known: default, llama3)", where, type);
  r.factor = get<double>(j, "factor", where);
  r.low_freq_factor = get<double>(j, "low_freq_factor", where);
  r.high_freq_factor = get<double>(j, "high_freq_factor", where);
  r.original_context = get<double>(j, "original_max_position_embeddings", where);
  return r;
}

}  // namespace

Rope read_rope(const Json& config, const std::string& where) {
  const double theta = get_or(config, "rope_theta", 10000.0, where);
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    if (config.contains(key) && config[key].is_object()) return rope_from(config[key], theta, where);
  }
  Rope r;
  r.theta = theta;
  return r;
}

ModelSpec read_llama_like(const Json& config, const std::string& where) {
  ModelSpec s;
  s.vocab_size = get<int>(config, "vocab_size", where);
  s.hidden_size = get<int>(config, "hidden_size", where);
  s.intermediate_size = get<int>(config, "intermediate_size", where);
  s.max_position_embeddings = get_or(config, "max_position_embeddings", 2048, where);
  s.rms_norm_eps = get_or(config, "rms_norm_eps", 1e-6f, where);
  s.tie_word_embeddings = get_or(config, "tie_word_embeddings", false, where);
  s.hidden_act = activation_named(get_or(config, "hidden_act", std::string("silu"), where), where);
  s.eos_token_id = token_ids(config, "eos_token_id", where);
  s.bos_token_id = get_or(config, "bos_token_id", -1, where);

  Attention::Config a;
  a.heads = get<int>(config, "num_attention_heads", where);
  require(a.heads > 0, "{}: num_attention_heads is {}", where, a.heads);
  a.kv_heads = get_or(config, "num_key_value_heads", a.heads, where);
  a.head_dim = get_or(config, "head_dim", s.hidden_size / a.heads, where);
  a.norm_eps = s.rms_norm_eps;
  if (!config.contains("rope_local_base_freq") && config.value("model_type", "") != "gemma3_text") {
    a.rope = read_rope(config, where);
  }
  const int n = get<int>(config, "num_hidden_layers", where);
  require(n > 0 && n < 10000, "{}: num_hidden_layers is {}", where, n);
  s.layers.assign(n, a);
  return s;
}

const char* beyond_llama(const ModelSpec& s) {
  if (s.norms != Norms::before) return "norms after the mixer and the MLP";
  if (!s.forms.empty()) return "layers of several forms";
  if (s.embed_scale != 1) return "scaled embeddings";
  if (s.residual_scale != 1) return "scaled residuals";
  if (s.logits_scale != 1) return "scaled logits";
  return nullptr;
}

ModelSpec read_llama(const Json& config, const std::string& where) {
  ModelSpec s = read_llama_like(config, where);
  const bool bias = get_or(config, "attention_bias", false, where);
  require(!get_or(config, "mlp_bias", false, where), "{}: mlp_bias is not supported", where);
  each_attention(s, [&](Attention::Config& a, int) { a.qkv_bias = a.o_bias = bias; });
  return s;
}

ModelSpec read_mistral(const Json& config, const std::string& where) {
  ModelSpec s = read_llama_like(config, where);
  const int window = get_or(config, "sliding_window", 0, where);
  each_attention(s, [&](Attention::Config& a, int) { a.window = window; });
  return s;
}

}  // namespace jet
