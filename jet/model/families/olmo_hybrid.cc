// OLMo-Hybrid: layers of Gated DeltaNet with norms before, layers of attention with norms after, over all of q and k.
// Source: transformers modeling_olmo_hybrid.py; rope as released models mean it (../docs/design.md, What differs).
//
//   delta       x += linear_attn(input_layernorm(x));             x += mlp(post_attention_layernorm(x))
//   attention   x += post_attention_layernorm(self_attn(x));      x += post_feedforward_layernorm(mlp(x))
//
// Saved by transformers 5 from nothing, the first norm is called attention_layer_norm and the second
// feedforward_layer_norm, in both kinds of layers.
#include "jet/model/families/families.h"

namespace jet {

const FamilyKeys kOlmoHybridKeys{
    R"({"vocab_size": 100352, "hidden_size": 3840, "intermediate_size": 11008, "num_hidden_layers": 32,
        "num_attention_heads": 30, "num_key_value_heads": null, "hidden_act": "silu",
        "max_position_embeddings": 65536, "rms_norm_eps": 1e-6, "bos_token_id": null, "eos_token_id": 100257,
        "tie_word_embeddings": false, "attention_bias": false, "layer_types": null, "linear_num_key_heads": null,
        "linear_num_value_heads": null, "linear_key_head_dim": null, "linear_value_head_dim": null,
        "linear_conv_kernel_dim": 4, "linear_allow_neg_eigval": true, "head_dim": null})",
    R"({"linear_use_gate": true, "partial_rotary_factor": 1})",
    "linear_a_log_min linear_a_log_max linear_dt_min linear_dt_max linear_dt_init_floor"};

namespace {

// The family has no positions unless a theta is given: rope_parameters null, absent, or with a null theta mean none.
bool turns(const Json& config, const std::string& where) {
  const Json table = get_or(config, "rope_parameters", Json::object(), where);
  const Json scaling = get_or(config, "rope_scaling", Json::object(), where);
  const auto given = [](const Json& j) { return j.contains("rope_theta") && !j["rope_theta"].is_null(); };
  return given(table) || given(scaling) || given(config);
}

std::vector<std::string> olmo_layer_types(const Json& config, const ModelSpec& s, const std::string& where) {
  auto types = read_layer_types(config, s.n_layers(), {"linear_attention", "full_attention"}, where);
  if (!types.empty()) return types;
  for (int i = 0; i < s.n_layers(); ++i) types.emplace_back(i % 4 == 3 ? "full_attention" : "linear_attention");
  if (s.n_layers() < 4) types.back() = "full_attention";
  return types;
}

}  // namespace

ModelSpec read_olmo_hybrid(const Json& config, const std::string& where) {
  ModelSpec s = read_sizes(config, where);
  Attention::Config full = std::get<Attention::Config>(s.layers[0]);
  full.qk_norm = full.whole_norm = true;
  full.qkv_bias = full.o_bias = get_or(config, "attention_bias", false, where);
  full.rotary = turns(config, where);
  if (full.rotary) {
    const ReadRope r = read_rope(config, {.head_dim = full.head_dim, .context = s.max_position_embeddings}, where);
    full.rope = r.rope, s.max_position_embeddings = r.context;
  }
  const int heads = get_or(config, "linear_num_key_heads", full.heads, where);
  require(heads > 0, "{}: linear_num_key_heads {} is not positive", where, heads);
  const int dk = get_or(config, "linear_key_head_dim", static_cast<int>(0.75 * s.hidden_size / heads), where);
  const GatedDeltaNet::Config delta{.heads = heads,
                                    .v_heads = get_or(config, "linear_num_value_heads", full.heads, where),
                                    .dk = dk,
                                    .dv = get_or(config, "linear_value_head_dim", 2 * dk, where),
                                    .conv = get<int>(config, "linear_conv_kernel_dim", where),
                                    .negative_eigenvalues = get_or(config, "linear_allow_neg_eigval", true, where),
                                    .norm_eps = 1e-5f};  // whatever rms_norm_eps is
  const auto types = olmo_layer_types(config, s, where);
  for (int i = 0; i < s.n_layers(); ++i) {
    const bool linear = types[i] == "linear_attention";
    s.layers[i] = linear ? MixerSpec(delta) : MixerSpec(full);
    s.forms.push_back({linear ? Norms::before : Norms::after});
  }
  return s;
}

void arrange_olmo_hybrid(const ModelSpec& spec, TensorNames& names) {
  for (int i = 0; i < spec.n_layers(); ++i) {
    const std::string layer = fmt::format("model.layers.{}.", i);
    const bool before = spec.form(i).norms == Norms::before;
    names.rename(layer + "attention_layer_norm.weight",
                 layer + (before ? "input_layernorm.weight" : "post_attention_layernorm.weight"));
    names.rename(layer + "feedforward_layer_norm.weight",
                 layer + (before ? "post_attention_layernorm.weight" : "post_feedforward_layernorm.weight"));
    names.rename_all(layer + "linear_attn.", mixer_prefix(i));
  }
}

}  // namespace jet
