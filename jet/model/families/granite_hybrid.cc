// Granite 4.0-H, dense: Mamba2 and attention without positions, four multipliers, MLPs whose gate and up are one
// matrix.
// Source: transformers modeling_granitemoehybrid.py.
//
//   x = embedding_multiplier embed(ids);  x += residual_multiplier f(norm(x));  logits = head(norm(x)) / logits_scaling
//
//   file                                  here
//   mamba.*                                   self_attn.*, the same names
//   shared_mlp.input_linear  [gate | up]      mlp.gate_proj, mlp.up_proj
//   shared_mlp.output_linear                  mlp.down_proj
#include "jet/model/families/families.h"

namespace jet {

const FamilyKeys kGraniteHybridKeys{
    R"({"vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": null, "hidden_act": "silu", "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-6, "bos_token_id": 1, "eos_token_id": 2, "tie_word_embeddings": false,
        "attention_bias": false, "embedding_multiplier": 1, "logits_scaling": 1, "residual_multiplier": 1,
        "attention_multiplier": 1, "num_local_experts": 8, "shared_intermediate_size": 1024,
        "position_embedding_type": null, "layer_types": null, "layers_block_type": null, "mamba_n_heads": 128,
        "mamba_n_groups": 1, "mamba_d_state": 256, "mamba_d_head": "auto", "mamba_d_conv": 4, "mamba_expand": 2,
        "head_dim": null, "time_step_limit": null})",
    R"({"mamba_conv_bias": true, "mamba_proj_bias": false, "normalization_function": "rmsnorm",
        "partial_rotary_factor": 1})",
    "num_experts_per_tok output_router_logits router_aux_loss_coef mamba_chunk_size init_method"};

namespace {

// dt is not clamped by the limits that mean none: [0, infinity], written in three ways.
void check_time_step_limit(const Json& config, const std::string& where) {
  const Json limit = config["time_step_limit"];
  if (limit.is_null()) return;
  const Json infinity = {{"__float__", "Infinity"}};
  require(limit.is_array() && limit.size() == 2 && limit[0] == 0 && (limit[1] == infinity || limit[1] == "Infinity"),
          "{}: time_step_limit {} is not supported ([0, Infinity] is)", where, json_text(limit).substr(0, 80));
}

std::vector<std::string> granite_layer_types(const Json& config, const ModelSpec& s, const std::string& where) {
  Json named = config;
  if (named["layer_types"].is_null()) named["layer_types"] = named["layers_block_type"];
  require(config["layer_types"].is_null() || config["layers_block_type"].is_null() ||
              config["layer_types"] == config["layers_block_type"],
          "{}: layer_types and layers_block_type differ", where);
  auto types =
      read_layer_types(named, s.n_layers(), {"mamba", "attention", "linear_attention", "full_attention"}, where);
  if (types.empty()) types.assign(s.n_layers(), "mamba");
  return types;
}

Mamba2::Config read_mamba(const Json& config, const ModelSpec& s, const std::string& where) {
  Mamba2::Config m{.heads = get<int>(config, "mamba_n_heads", where),
                   .dk = get<int>(config, "mamba_d_state", where),
                   .groups = get<int>(config, "mamba_n_groups", where),
                   .conv = get<int>(config, "mamba_d_conv", where),
                   .norm_eps = s.rms_norm_eps};
  require(m.heads > 0, "{}: mamba_n_heads {} is not positive", where, m.heads);
  const int64_t inner = int64_t{get<int>(config, "mamba_expand", where)} * s.hidden_size;
  const bool derived = config["mamba_d_head"] == "auto";
  m.dv = derived ? static_cast<int>(inner / m.heads) : get<int>(config, "mamba_d_head", where);
  require(int64_t{m.heads} * m.dv == inner, "{}: {} heads of {} are not mamba_expand * hidden_size = {}", where,
          m.heads, m.dv, inner);
  return m;
}

}  // namespace

ModelSpec read_granite_hybrid(const Json& config, const std::string& where) {
  const int experts = get_or(config, "num_local_experts", 0, where);
  require(experts == 0, "{}: num_local_experts {}: mixtures of experts are not supported", where, experts);
  check_time_step_limit(config, where);
  Json dense = config;  // intermediate_size is that of an expert
  dense["intermediate_size"] = config["shared_intermediate_size"];
  ModelSpec s = read_sizes(dense, where);
  s.embed_scale = get<float>(config, "embedding_multiplier", where);
  s.residual_scale = get<float>(config, "residual_multiplier", where);
  const double divisor = get<double>(config, "logits_scaling", where);
  require(divisor > 0, "{}: logits_scaling {} is not positive", where, divisor);
  s.logits_scale = static_cast<float>(1 / divisor);

  Attention::Config full = std::get<Attention::Config>(s.layers[0]);
  full.scale = get<double>(config, "attention_multiplier", where);
  require(full.scale > 0, "{}: attention_multiplier {} is not positive", where, full.scale);
  full.qkv_bias = full.o_bias = get_or(config, "attention_bias", false, where);
  const auto positions = get_or(config, "position_embedding_type", std::string("nope"), where);
  require(positions == "nope" || positions == "rope", "{}: position_embedding_type '{}' is not supported", where,
          positions);
  full.rotary = positions == "rope";
  if (full.rotary) {
    const ReadRope r = read_rope(config, {.head_dim = full.head_dim, .context = s.max_position_embeddings}, where);
    full.rope = r.rope, s.max_position_embeddings = r.context;
  }
  const auto types = granite_layer_types(config, s, where);
  for (int i = 0; i < s.n_layers(); ++i) {
    const bool linear = types[i] == "mamba" || types[i] == "linear_attention";
    s.layers[i] = linear ? MixerSpec(read_mamba(config, s, where)) : MixerSpec(full);
  }
  return s;
}

void arrange_granite_hybrid(const ModelSpec& spec, TensorNames& names) {
  for (int i = 0; i < spec.n_layers(); ++i) {
    const std::string layer = fmt::format("model.layers.{}.", i);
    names.rename_all(layer + "mamba.", mixer_prefix(i));
    const int64_t n = spec.intermediate_size;
    names.split(layer + "shared_mlp.input_linear.weight",
                {{layer + "mlp.gate_proj.weight", n}, {layer + "mlp.up_proj.weight", n}});
    names.rename(layer + "shared_mlp.output_linear.weight", layer + "mlp.down_proj.weight");
  }
}

}  // namespace jet
