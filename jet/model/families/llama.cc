// Llama 3.x, SmolLM2 (model_type "llama") and what the Llama-like families share.
#include "jet/model/families/families.h"

namespace jet {

const FamilyKeys kLlamaKeys{
    R"({"vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": null, "hidden_act": "silu", "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-6, "bos_token_id": 1, "eos_token_id": 2, "tie_word_embeddings": false,
        "attention_bias": false, "head_dim": null})",
    R"({"mlp_bias": false, "rope_interleaved": false, "partial_rotary_factor": 1})", "is_llama_config"};

const FamilyKeys kMistralKeys{
    R"({"vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "hidden_act": "silu", "max_position_embeddings": 131072,
        "rms_norm_eps": 1e-6, "bos_token_id": 1, "eos_token_id": 2, "tie_word_embeddings": false, "head_dim": null,
        "sliding_window": 4096})",
    R"({"layer_types": null, "attention_bias": false, "partial_rotary_factor": 1})"};

ModelSpec read_sizes(const Json& config, const std::string& where) {
  ModelSpec s;
  s.vocab_size = get<int>(config, "vocab_size", where);
  s.hidden_size = get<int>(config, "hidden_size", where);
  s.intermediate_size = get<int>(config, "intermediate_size", where);
  require(s.hidden_size > 0, "{}: hidden_size is {}", where, s.hidden_size);
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
  require(a.head_dim > 0, "{}: head_dim is {}", where, a.head_dim);
  a.norm_eps = s.rms_norm_eps;
  const int n = get<int>(config, "num_hidden_layers", where);
  require(n > 0 && n < 10000, "{}: num_hidden_layers is {}", where, n);
  s.layers.assign(n, a);
  return s;
}

ModelSpec read_llama_like(const Json& config, const std::string& where) {
  ModelSpec s = read_sizes(config, where);
  const int head_dim = std::get<Attention::Config>(s.layers[0]).head_dim;
  const ReadRope r = read_rope(config, {.head_dim = head_dim, .context = s.max_position_embeddings}, where);
  s.max_position_embeddings = r.context;
  each_attention(s, [&](Attention::Config& a, int) { a.rope = r.rope; });
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
