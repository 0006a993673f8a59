// Qwen2, Qwen2.5 (biases on q, k, v) and Qwen3 (norms on q and k, a head_dim of its own).
#include "jet/model/families/families.h"

namespace jet {

const FamilyKeys kQwen2Keys{
    R"({"vocab_size": 151936, "hidden_size": 4096, "intermediate_size": 22016, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 32, "hidden_act": "silu", "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-6, "bos_token_id": null, "eos_token_id": null, "tie_word_embeddings": false,
        "use_sliding_window": false, "sliding_window": 4096, "max_window_layers": 28, "layer_types": null,
        "head_dim": null})",
    R"({"use_mrope": false, "partial_rotary_factor": 1, "attention_bias": true})"};

const FamilyKeys kQwen3Keys{
    R"({"vocab_size": 151936, "hidden_size": 4096, "intermediate_size": 22016, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 32, "hidden_act": "silu", "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-6, "bos_token_id": null, "eos_token_id": null, "tie_word_embeddings": false,
        "attention_bias": false, "use_sliding_window": false, "sliding_window": 4096, "max_window_layers": 28,
        "layer_types": null, "head_dim": 128})",
    R"({"use_mrope": false, "partial_rotary_factor": 1})"};

namespace {

// The window applies only where use_sliding_window is true, and then from layer max_window_layers on, unless
// layer_types says which layers. A window of null is none.
void read_window(const Json& config, ModelSpec& s, const std::string& where) {
  const auto types = read_layer_types(config, s.n_layers(), {"full_attention", "sliding_attention"}, where);
  const bool used = get_or(config, "use_sliding_window", false, where);
  const int window = used ? get_or(config, "sliding_window", 0, where) : 0;
  const int first = get_or(config, "max_window_layers", 28, where);
  each_attention(s, [&](Attention::Config& a, int i) {
    const bool slides = types.empty() ? window > 0 && i >= first : types[i] == "sliding_attention";
    require(!slides || window > 0, "{}: layer {} is sliding_attention, but there is no window: {}", where, i,
            used ? "sliding_window is null" : "use_sliding_window is false");
    if (slides) a.window = window;
  });
}

}  // namespace

ModelSpec read_qwen2(const Json& config, const std::string& where) {
  ModelSpec s = read_llama_like(config, where);
  each_attention(s, [](Attention::Config& a, int) { a.qkv_bias = true; });
  read_window(config, s, where);
  return s;
}

Json write_qwen2(const ModelSpec& s, const std::string& where) {
  const char* fault = beyond_llama(s);
  require(!fault, "{}: the model has {}, which the Qwen2 layout cannot express", where, fault ? fault : "");
  for (const auto& layer : s.layers) {
    const auto* a = std::get_if<Attention::Config>(&layer);
    const bool fits = a && a->qkv_bias && !a->o_bias && !a->qk_norm && a->window == 0 && a->rope.factor == 1;
    require(fits && mixer_to_json(layer) == mixer_to_json(s.layers[0]),
            "{}: the Qwen2 layout has only full attention with q, k, v biases, alike in all layers; found {}", where,
            mixer_label(layer));
  }
  const auto& a = std::get<Attention::Config>(s.layers[0]);
  return {{"architectures", {"Qwen2ForCausalLM"}},
          {"model_type", "qwen2"},
          {"hidden_act", name_of(s.hidden_act)},
          {"hidden_size", s.hidden_size},
          {"intermediate_size", s.intermediate_size},
          {"max_position_embeddings", s.max_position_embeddings},
          {"num_attention_heads", a.heads},
          {"num_hidden_layers", s.n_layers()},
          {"num_key_value_heads", a.kv_heads},
          {"head_dim", a.head_dim},
          {"rms_norm_eps", s.rms_norm_eps},
          {"rope_theta", a.rope.theta},
          {"tie_word_embeddings", s.tie_word_embeddings},
          {"torch_dtype", "bfloat16"},
          {"use_sliding_window", false},
          {"vocab_size", s.vocab_size},
          {"bos_token_id", s.bos_token_id},
          {"eos_token_id", token_ids_to_json(s.eos_token_id)}};
}

ModelSpec read_qwen3(const Json& config, const std::string& where) {
  ModelSpec s = read_llama_like(config, where);
  const bool bias = get_or(config, "attention_bias", false, where);
  each_attention(s, [&](Attention::Config& a, int) {
    a.qk_norm = true;
    a.qkv_bias = a.o_bias = bias;
  });
  read_window(config, s, where);
  return s;
}

}  // namespace jet
