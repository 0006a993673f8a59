#include "jet/model/gguf_architecture.h"

#include <algorithm>

#include "jet/model/spec.h"

namespace jet {
namespace {

using enum GgufOrder;
constexpr auto kMinusOne = GgufNumbers::minus_one, kLogNegative = GgufNumbers::log_negative;

bool has_tensor(const GgufKeys& k, const char* name) { return k.file().tensors().contains(name); }

/// What a model is that we cannot run, by the keys that say so.
void require_plain(const GgufKeys& k, bool scaled) {
  k.require_number("expert_count", 0, "a mixture of experts");
  for (const char* key :
       {"attn_logit_softcapping", "final_logit_softcapping", "attention.clamp_kqv", "attention.max_alibi_bias"}) {
    k.require_number(key, 0, "a model with it");
  }
  for (const char* key : {"logit_scale", "residual_scale", "embedding_scale"}) {
    if (!scaled) k.require_number(key, 1, "a model with it");
  }
  const auto causal = k.file().boolean(k.full("attention.causal"));
  require(causal.value_or(true), "{}: key '{}' is false: only causal models can be run", k.path(),
          k.full("attention.causal"));
}

/// Layers without those that guess further tokens, which are not run.
int layers_of(const GgufKeys& k) {
  const int all = k.size("block_count"), guessing = k.optional_size("nextn_predict_layers", 0).value_or(0);
  require(all <= kMostLayers && guessing < all,
          "{}: key '{}' is {}, where {} to {} are allowed; convert the model again", k.path(), k.full("block_count"),
          all, guessing + 1, kMostLayers);
  return all - guessing;
}

int vocabulary_of(const GgufKeys& k) {
  const auto& tensors = k.file().tensors();
  const auto table = tensors.find("token_embd.weight");
  require(table != tensors.end() && table->second.shape.size() == 2,
          "{}: tensor 'token_embd.weight' is missing or no matrix; take the file with the model's weights", k.path());
  return static_cast<int>(std::min<int64_t>(table->second.shape[0], INT32_MAX));
}

/// What all architectures have, but for rope.
Json sizes(const GgufKeys& k, const char* model_type, const char* model_class) {
  const int layers = layers_of(k), hidden = k.size("embedding_length");
  const int heads = k.size_of_layers("attention.head_count", layers);
  const auto key_length = k.optional_size("attention.key_length");
  require(key_length || hidden % heads == 0, "{}: key '{}' is {}, which does not divide {}; convert the model again",
          k.path(), k.full("attention.head_count"), heads, hidden);
  const int head_dim = key_length.value_or(hidden / heads);
  const int values = k.optional_size("attention.value_length").value_or(head_dim);
  require(values == head_dim, "{}: key '{}' is {}, where keys have {} channels; such a model cannot be run", k.path(),
          k.full("attention.value_length"), values, head_dim);
  return {{"architectures", {model_class}},
          {"model_type", model_type},
          {"hidden_size", hidden},
          {"intermediate_size", k.size_of_layers("feed_forward_length", layers)},
          {"max_position_embeddings", k.size("context_length")},
          {"num_attention_heads", heads},
          {"num_hidden_layers", layers},
          {"head_dim", head_dim},
          {"rms_norm_eps", k.positive("attention.layer_norm_rms_epsilon")},
          {"tie_word_embeddings", !has_tensor(k, "output.weight")},
          {"vocab_size", vocabulary_of(k)}};
}

/// Channels that rope turns, and how.
void add_rope(const GgufKeys& k, Json& config, bool may_be_partial) {
  const int head_dim = config["head_dim"], n = k.optional_size("rope.dimension_count").value_or(head_dim);
  require(n == head_dim || (may_be_partial && n < head_dim && n % 2 == 0),
          "{}: key '{}' is {}, where heads have {} channels; such a model cannot be run", k.path(),
          k.full("rope.dimension_count"), n, head_dim);
  const double theta = k.optional_positive("rope.freq_base").value_or(10000);
  config["rope_theta"] = theta;
  if (may_be_partial) config["partial_rotary_factor"] = static_cast<double>(n) / head_dim;
  const Json scaling = gguf_rope_scaling(k, n, theta);
  if (!scaling.is_null()) config["rope_scaling"] = scaling;
}

/// What Llama-like architectures have.
Json llama_like(const GgufKeys& k, const char* model_type, const char* model_class, bool partial_rope = false) {
  require_plain(k, /*scaled=*/false);
  Json config = sizes(k, model_type, model_class);
  const int heads = config["num_attention_heads"], layers = config["num_hidden_layers"];
  config["num_key_value_heads"] = k.optional_size_of_layers("attention.head_count_kv", layers).value_or(heads);
  add_rope(k, config, partial_rope);
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

// Linear layers have names of Mamba's keys: heads of keys are "groups", heads of values "ranks of time steps".
Json config_qwen35(const GgufKeys& k) {
  Json config = llama_like(k, "qwen3_5_text", "Qwen3_5ForCausalLM", /*partial_rope=*/true);
  const int v_heads = k.size("ssm.time_step_rank"), inner = k.size("ssm.inner_size");
  require(inner % v_heads == 0, "{}: key '{}' is {}, which does not divide {}; convert the model again", k.path(),
          k.full("ssm.time_step_rank"), v_heads, inner);
  config["hidden_act"] = "silu";
  config["linear_num_key_heads"] = k.size("ssm.group_count");
  config["linear_num_value_heads"] = v_heads;
  config["linear_key_head_dim"] = k.size("ssm.state_size");
  config["linear_value_head_dim"] = inner / v_heads;
  config["linear_conv_kernel_dim"] = k.size("ssm.conv_kernel");
  config["full_attention_interval"] = k.optional_size("full_attention_interval").value_or(4);
  return config;
}

// A layer without heads of keys is one of Mamba2.
Json config_granite_hybrid(const GgufKeys& k) {
  require_plain(k, /*scaled=*/true);
  Json config = sizes(k, "granitemoehybrid", "GraniteMoeHybridForCausalLM");
  const int layers = config["num_hidden_layers"], hidden = config["hidden_size"];
  int kv_heads = 0;
  std::vector<std::string> types;
  for (const int n : k.sizes_of_layers("attention.head_count_kv", layers)) {
    types.push_back(n == 0 ? "mamba" : "attention");
    require(n == 0 || kv_heads == 0 || n == kv_heads, "{}: key '{}' differs from layer to layer, which cannot be run",
            k.path(), k.full("attention.head_count_kv"));
    kv_heads = std::max(kv_heads, n);
  }
  const int heads = k.size("ssm.time_step_rank"), inner = k.size("ssm.inner_size");
  require(inner % heads == 0 && inner % hidden == 0,
          "{}: key '{}' is {}, no multiple of {} and {}; convert the model again", k.path(), k.full("ssm.inner_size"),
          inner, heads, hidden);
  config["num_key_value_heads"] = kv_heads > 0 ? Json(kv_heads) : config["num_attention_heads"];
  config["layer_types"] = types;
  config["hidden_act"] = "silu";
  config["num_local_experts"] = 0;
  const auto gate = k.file().tensors().find("blk.0.ffn_gate.weight");  // the key may be an expert's size
  if (gate != k.file().tensors().end()) config["intermediate_size"] = gate->second.shape[0];
  config["shared_intermediate_size"] = config["intermediate_size"];
  config["attention_bias"] = has_tensor(k, "blk.0.attn_q.bias");
  config["mamba_n_heads"] = heads;
  config["mamba_d_head"] = inner / heads;
  config["mamba_expand"] = inner / hidden;
  config["mamba_n_groups"] = k.size("ssm.group_count");
  config["mamba_d_state"] = k.size("ssm.state_size");
  config["mamba_d_conv"] = k.size("ssm.conv_kernel");
  config["attention_multiplier"] = k.positive("attention.scale");
  config["embedding_multiplier"] = k.optional_positive("embedding_scale").value_or(1);
  config["residual_multiplier"] = k.optional_positive("residual_scale").value_or(1);
  config["logits_scaling"] = k.optional_positive("logit_scale").value_or(1);
  const bool rope = k.file().boolean(k.full("rope.scaling.finetuned")).value_or(true);
  config["position_embedding_type"] = rope ? "rope" : "nope";
  if (rope) add_rope(k, config, false);
  return config;
}

#define LAYER "model.layers.{}."
#define MIXER LAYER "self_attn."
constexpr GgufTensorName kShared[] = {
    {"token_embd.weight", "model.embed_tokens.weight"},       {"output.weight", "lm_head.weight"},
    {"blk.{}.attn_v.weight", MIXER "v_proj.weight"},          {"blk.{}.attn_v.bias", MIXER "v_proj.bias"},
    {"blk.{}.attn_output.weight", MIXER "o_proj.weight"},     {"blk.{}.attn_output.bias", MIXER "o_proj.bias"},
    {"blk.{}.ffn_gate.weight", LAYER "mlp.gate_proj.weight"}, {"blk.{}.ffn_up.weight", LAYER "mlp.up_proj.weight"},
    {"blk.{}.ffn_down.weight", LAYER "mlp.down_proj.weight"},
};
constexpr GgufTensorName kQk[] = {
    {"blk.{}.attn_q.weight", MIXER "q_proj.weight"},
    {"blk.{}.attn_q.bias", MIXER "q_proj.bias"},
    {"blk.{}.attn_k.weight", MIXER "k_proj.weight"},
    {"blk.{}.attn_k.bias", MIXER "k_proj.bias"},
};
constexpr GgufTensorName kQkHalves[] = {
    {"blk.{}.attn_q.weight", MIXER "q_proj.weight", halves},
    {"blk.{}.attn_q.bias", MIXER "q_proj.bias", halves},
    {"blk.{}.attn_k.weight", MIXER "k_proj.weight", halves},
    {"blk.{}.attn_k.bias", MIXER "k_proj.bias", halves},
};
constexpr GgufTensorName kQkNorms[] = {
    {"blk.{}.attn_q_norm.weight", MIXER "q_norm.weight"},
    {"blk.{}.attn_k_norm.weight", MIXER "k_norm.weight"},
};
constexpr GgufTensorName kNorms[] = {
    {"output_norm.weight", "model.norm.weight"},
    {"blk.{}.attn_norm.weight", LAYER "input_layernorm.weight"},
    {"blk.{}.ffn_norm.weight", LAYER "post_attention_layernorm.weight"},
};
// Those that Gemma 3 and Qwen3.5 have.
constexpr GgufTensorName kNormsLessOne[] = {
    {"output_norm.weight", "model.norm.weight", same, kMinusOne},
    {"blk.{}.attn_norm.weight", LAYER "input_layernorm.weight", same, kMinusOne},
    {"blk.{}.attn_q_norm.weight", MIXER "q_norm.weight", same, kMinusOne},
    {"blk.{}.attn_k_norm.weight", MIXER "k_norm.weight", same, kMinusOne},
    {"blk.{}.post_attention_norm.weight", LAYER "post_attention_layernorm.weight", same, kMinusOne},
};
constexpr GgufTensorName kGemmaNorms[] = {
    {"blk.{}.ffn_norm.weight", LAYER "pre_feedforward_layernorm.weight", same, kMinusOne},
    {"blk.{}.post_ffw_norm.weight", LAYER "post_feedforward_layernorm.weight", same, kMinusOne},
};
constexpr GgufTensorName kDelta[] = {
    {"blk.{}.attn_qkv.weight", MIXER "q_proj.weight", q_rows},
    {"blk.{}.attn_qkv.weight", MIXER "k_proj.weight", k_rows},
    {"blk.{}.attn_qkv.weight", MIXER "v_proj.weight", v_rows},
    {"blk.{}.ssm_conv1d.weight", MIXER "q_conv1d.weight", q_rows},
    {"blk.{}.ssm_conv1d.weight", MIXER "k_conv1d.weight", k_rows},
    {"blk.{}.ssm_conv1d.weight", MIXER "v_conv1d.weight", v_rows},
    {"blk.{}.attn_gate.weight", MIXER "g_proj.weight", v_heads},
    {"blk.{}.ssm_alpha.weight", MIXER "a_proj.weight", v_heads},
    {"blk.{}.ssm_beta.weight", MIXER "b_proj.weight", v_heads},
    {"blk.{}.ssm_a", MIXER "A_log", v_heads, kLogNegative},
    {"blk.{}.ssm_dt.bias", MIXER "dt_bias", v_heads},
    {"blk.{}.ssm_norm.weight", MIXER "o_norm.weight"},
    {"blk.{}.ssm_out.weight", MIXER "o_proj.weight", v_columns},
};
constexpr GgufTensorName kMamba2[] = {
    {"blk.{}.ssm_in.weight", MIXER "in_proj.weight"}, {"blk.{}.ssm_conv1d.weight", MIXER "conv1d.weight"},
    {"blk.{}.ssm_conv1d.bias", MIXER "conv1d.bias"},  {"blk.{}.ssm_a", MIXER "A_log", same, kLogNegative},
    {"blk.{}.ssm_dt.bias", MIXER "dt_bias"},          {"blk.{}.ssm_d", MIXER "D"},
    {"blk.{}.ssm_norm.weight", MIXER "norm.weight"},  {"blk.{}.ssm_out.weight", MIXER "out_proj.weight"},
};
#undef MIXER
#undef LAYER

constexpr GgufArchitecture kArchitectures[] = {
    {"llama", config_llama, {kShared, kNorms, kQkHalves}},
    {"qwen2", config_qwen2, {kShared, kNorms, kQk}},
    {"qwen3", config_qwen3, {kShared, kNorms, kQk, kQkNorms}},
    {"gemma3", config_gemma3, {kShared, kNormsLessOne, kGemmaNorms, kQk}},
    {"qwen35", config_qwen35, {kShared, kNormsLessOne, kQk, kDelta}},
    {"granitehybrid", config_granite_hybrid, {kShared, kNorms, kQkHalves, kMamba2}},
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
