#include "jet/model/gguf_architecture.h"

#include <algorithm>

namespace jet {
namespace {

constexpr auto kMatrix = ParamRole::matrix, kVocabulary = ParamRole::vocabulary, kNorm = ParamRole::norm,
               kVector = ParamRole::vector;

bool has_tensor(const GgufKeys& k, const char* name) { return k.file().tensors().contains(name); }

/// What a model is that we cannot run, by the keys that say so.
void require_plain(const GgufKeys& k) {
  k.require_number("expert_count", 0, "a mixture of experts");
  for (const char* key :
       {"attn_logit_softcapping", "final_logit_softcapping", "attention.clamp_kqv", "attention.max_alibi_bias"}) {
    k.require_number(key, 0, "a model with it");
  }
  for (const char* key : {"logit_scale", "residual_scale", "embedding_scale"}) {
    k.require_number(key, 1, "a model with it");
  }
  const auto causal = k.file().boolean(k.full("attention.causal"));
  require(causal.value_or(true), "{}: key '{}' is false: only causal models can be run", k.path(),
          k.full("attention.causal"));
}

/// The keys that all Llama-like architectures have.
Json llama_like(const GgufKeys& k, const char* model_type, const char* model_class) {
  require_plain(k);
  const int layers = k.size("block_count"), hidden = k.size("embedding_length");
  require(layers < 10000, "{}: key '{}' is {}, where at most 9999 are allowed; convert the model again", k.path(),
          k.full("block_count"), layers);
  const int heads = k.size_of_layers("attention.head_count", layers);
  const int kv_heads = k.optional_size_of_layers("attention.head_count_kv", layers).value_or(heads);
  const auto key_length = k.optional_size("attention.key_length");
  require(key_length || hidden % heads == 0, "{}: key '{}' is {}, which does not divide {}; convert the model again",
          k.path(), k.full("attention.head_count"), heads, hidden);
  const int head_dim = key_length.value_or(hidden / heads);
  for (const char* key : {"attention.value_length", "rope.dimension_count"}) {
    const int n = k.optional_size(key).value_or(head_dim);
    require(n == head_dim, "{}: key '{}' is {}, where heads have {} channels; such a model cannot be run", k.path(),
            k.full(key), n, head_dim);
  }
  const auto& tensors = k.file().tensors();
  const auto table = tensors.find("token_embd.weight");
  require(table != tensors.end() && table->second.shape.size() == 2,
          "{}: tensor 'token_embd.weight' is missing or no matrix; take the file with the model's weights", k.path());
  const double theta = k.optional_positive("rope.freq_base").value_or(10000);
  Json config{{"architectures", {model_class}},
              {"model_type", model_type},
              {"hidden_size", hidden},
              {"intermediate_size", k.size_of_layers("feed_forward_length", layers)},
              {"max_position_embeddings", k.size("context_length")},
              {"num_attention_heads", heads},
              {"num_hidden_layers", layers},
              {"num_key_value_heads", kv_heads},
              {"head_dim", head_dim},
              {"rms_norm_eps", k.positive("attention.layer_norm_rms_epsilon")},
              {"rope_theta", theta},
              {"tie_word_embeddings", !has_tensor(k, "output.weight")},
              {"vocab_size", table->second.shape[0]}};
  const Json scaling = gguf_rope_scaling(k, head_dim, theta);
  if (!scaling.is_null()) config["rope_scaling"] = scaling;
  return config;
}

Json config_llama(const GgufKeys& k) {
  Json config = llama_like(k, "llama", "LlamaForCausalLM");
  config["hidden_act"] = "silu";
  config["attention_bias"] = has_tensor(k, "blk.0.attn_q.bias");
  return config;
}

Json config_qwen2(const GgufKeys& k) {
  Json config = llama_like(k, "qwen2", "Qwen2ForCausalLM");
  config["hidden_act"] = "silu";
  config["use_sliding_window"] = false;
  return config;
}

Json config_qwen3(const GgufKeys& k) {
  Json config = llama_like(k, "qwen3", "Qwen3ForCausalLM");
  config["hidden_act"] = "silu";
  config["use_sliding_window"] = false;
  config["attention_bias"] = has_tensor(k, "blk.0.attn_q.bias");
  return config;
}

/// Which layers look at a window: all but every sixth, all but every n-th, or as a list says.
std::vector<std::string> gemma3_layers(const GgufKeys& k, int layers) {
  constexpr const char* kPattern = "attention.sliding_window_pattern";
  std::vector<std::string> types;
  const bool listed = k.file().is_array(k.full(kPattern));
  const auto list = listed ? *k.file().numbers(k.full(kPattern)) : std::vector<double>();
  require(!listed || static_cast<int>(list.size()) >= layers, "{}: key '{}' has {} entries for {} layers", k.path(),
          k.full(kPattern), list.size(), layers);
  const int pattern = listed ? 0 : k.optional_size(kPattern).value_or(6);
  for (int i = 0; i < layers; ++i) {
    const bool local = listed ? list[i] != 0 : (i + 1) % pattern != 0;
    types.push_back(local ? "sliding_attention" : "full_attention");
  }
  return types;
}

Json config_gemma3(const GgufKeys& k) {
  Json config = llama_like(k, "gemma3_text", "Gemma3ForCausalLM");
  const int layers = config["num_hidden_layers"], heads = config["num_attention_heads"], hidden = config["hidden_size"];
  // No key has it: every size takes its head's channels, the one of 62 layers hidden / heads.
  config["query_pre_attn_scalar"] = layers == 62 ? Json(hidden / heads) : config["head_dim"];
  config["hidden_activation"] = "gelu_pytorch_tanh";
  config["sliding_window"] = k.size("attention.sliding_window");
  config["layer_types"] = gemma3_layers(k, layers);
  config["rope_local_base_freq"] = k.optional_positive("rope.freq_base_swa").value_or(10000);
  return config;
}

#define LAYER "model.layers.{}."
constexpr GgufTensorName kShared[] = {
    {"token_embd.weight", "model.embed_tokens.weight", kVocabulary},
    {"output.weight", "lm_head.weight", kVocabulary},
    {"blk.{}.attn_v.weight", LAYER "self_attn.v_proj.weight", kMatrix},
    {"blk.{}.attn_v.bias", LAYER "self_attn.v_proj.bias", kVector},
    {"blk.{}.attn_output.weight", LAYER "self_attn.o_proj.weight", ParamRole::output},
    {"blk.{}.attn_output.bias", LAYER "self_attn.o_proj.bias", kVector},
    {"blk.{}.ffn_gate.weight", LAYER "mlp.gate_proj.weight", kMatrix},
    {"blk.{}.ffn_up.weight", LAYER "mlp.up_proj.weight", kMatrix},
    {"blk.{}.ffn_down.weight", LAYER "mlp.down_proj.weight", ParamRole::output},
};
constexpr GgufTensorName kQk[] = {
    {"blk.{}.attn_q.weight", LAYER "self_attn.q_proj.weight", kMatrix},
    {"blk.{}.attn_q.bias", LAYER "self_attn.q_proj.bias", kVector},
    {"blk.{}.attn_k.weight", LAYER "self_attn.k_proj.weight", kMatrix},
    {"blk.{}.attn_k.bias", LAYER "self_attn.k_proj.bias", kVector},
};
constexpr GgufTensorName kQkHalves[] = {
    {"blk.{}.attn_q.weight", LAYER "self_attn.q_proj.weight", kMatrix, GgufChange::halves},
    {"blk.{}.attn_q.bias", LAYER "self_attn.q_proj.bias", kVector, GgufChange::halves},
    {"blk.{}.attn_k.weight", LAYER "self_attn.k_proj.weight", kMatrix, GgufChange::halves},
    {"blk.{}.attn_k.bias", LAYER "self_attn.k_proj.bias", kVector, GgufChange::halves},
};
constexpr GgufTensorName kQkNorms[] = {
    {"blk.{}.attn_q_norm.weight", LAYER "self_attn.q_norm.weight", kNorm},
    {"blk.{}.attn_k_norm.weight", LAYER "self_attn.k_norm.weight", kNorm},
};
constexpr GgufTensorName kNorms[] = {
    {"output_norm.weight", "model.norm.weight", kNorm},
    {"blk.{}.attn_norm.weight", LAYER "input_layernorm.weight", kNorm},
    {"blk.{}.ffn_norm.weight", LAYER "post_attention_layernorm.weight", kNorm},
};
constexpr GgufTensorName kGemmaNorms[] = {
    {"output_norm.weight", "model.norm.weight", kNorm, GgufChange::minus_one},
    {"blk.{}.attn_norm.weight", LAYER "input_layernorm.weight", kNorm, GgufChange::minus_one},
    {"blk.{}.attn_q_norm.weight", LAYER "self_attn.q_norm.weight", kNorm, GgufChange::minus_one},
    {"blk.{}.attn_k_norm.weight", LAYER "self_attn.k_norm.weight", kNorm, GgufChange::minus_one},
    {"blk.{}.post_attention_norm.weight", LAYER "post_attention_layernorm.weight", kNorm, GgufChange::minus_one},
    {"blk.{}.ffn_norm.weight", LAYER "pre_feedforward_layernorm.weight", kNorm, GgufChange::minus_one},
    {"blk.{}.post_ffw_norm.weight", LAYER "post_feedforward_layernorm.weight", kNorm, GgufChange::minus_one},
};
#undef LAYER

constexpr GgufArchitecture kArchitectures[] = {
    {"llama", config_llama, {kShared, kNorms, kQkHalves}},
    {"qwen2", config_qwen2, {kShared, kNorms, kQk}},
    {"qwen3", config_qwen3, {kShared, kNorms, kQk, kQkNorms}},
    {"gemma3", config_gemma3, {kShared, kGemmaNorms, kQk}},
};

}  // namespace

const GgufArchitecture& gguf_architecture(const GgufKeys& keys) {
  std::string known;
  for (const auto& a : kArchitectures) {
    if (keys.architecture() == a.name) return a;
    known += std::string(known.empty() ? "" : ", ") + a.name;
  }
  fail("{}: models of architecture '{}' cannot be run (known: {})", keys.path(), keys.architecture(), known);
}

std::string with_layer(const char* name, int layer) {
  std::string text = name;
  const size_t at = text.find("{}");
  return at == std::string::npos ? text : text.replace(at, 2, std::to_string(layer));
}

}  // namespace jet
