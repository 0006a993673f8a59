// Qwen3.5 (dense, text): three layers of Gated DeltaNet for one of attention with an output gate, rope on a part of the
// channels. Source: transformers modeling_qwen3_5.py.
//
//   file                                 here, in self_attn
//   linear_attn.in_proj_qkv  [q | k | v]     q_proj, k_proj, v_proj
//   linear_attn.conv1d       [q | k | v]     q_conv1d, k_conv1d, v_conv1d
//   linear_attn.in_proj_z, _a, _b            g_proj, a_proj, b_proj
//   linear_attn.norm, out_proj               o_norm, o_proj
//   self_attn.q_proj         head by head: q, then gate; as it is
//
// Norm weights are stored as w and used as 1 + w, but for linear_attn.norm, which is used as it is.
#include "jet/model/families/families.h"

namespace jet {

const FamilyKeys kQwen35Keys{
    R"({"vocab_size": 248320, "hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 32,
        "num_attention_heads": 16, "num_key_value_heads": 4, "head_dim": 256, "hidden_act": "silu",
        "max_position_embeddings": 32768, "rms_norm_eps": 1e-6, "bos_token_id": null, "eos_token_id": null,
        "tie_word_embeddings": false, "attention_bias": false, "layer_types": null, "full_attention_interval": 4,
        "linear_conv_kernel_dim": 4, "linear_key_head_dim": 128, "linear_value_head_dim": 128,
        "linear_num_key_heads": 16, "linear_num_value_heads": 32, "partial_rotary_factor": 0.25})",
    R"({"attn_output_gate": true, "mlp_only_layers": []})",
    "mamba_ssm_dtype mtp_num_hidden_layers mtp_use_dedicated_embeddings output_router_logits router_aux_loss_coef"};

ModelSpec read_qwen3_5(const Json& config, const std::string& where) {
  ModelSpec s = read_sizes(config, where);
  Attention::Config full = std::get<Attention::Config>(s.layers[0]);
  const ReadRope r = read_rope(
      config, {.head_dim = full.head_dim, .context = s.max_position_embeddings, .may_be_partial = true}, where);
  s.max_position_embeddings = r.context;
  full.rope = r.rope;
  full.qk_norm = full.output_gate = true;
  full.qkv_bias = full.o_bias = get_or(config, "attention_bias", false, where);
  const GatedDeltaNet::Config delta{.heads = get<int>(config, "linear_num_key_heads", where),
                                    .v_heads = get<int>(config, "linear_num_value_heads", where),
                                    .dk = get<int>(config, "linear_key_head_dim", where),
                                    .dv = get<int>(config, "linear_value_head_dim", where),
                                    .conv = get<int>(config, "linear_conv_kernel_dim", where),
                                    .norm_eps = s.rms_norm_eps};
  const int interval = get<int>(config, "full_attention_interval", where);
  require(interval > 0, "{}: full_attention_interval {} is not positive", where, interval);
  const auto types = read_layer_types(config, s.n_layers(), {"linear_attention", "full_attention"}, where);
  for (int i = 0; i < s.n_layers(); ++i) {
    const bool linear = types.empty() ? (i + 1) % interval != 0 : types[i] == "linear_attention";
    s.layers[i] = linear ? MixerSpec(delta) : MixerSpec(full);
  }
  return s;
}

void arrange_qwen3_5(const ModelSpec& spec, TensorNames& names) {
  for (int i = 0; i < spec.n_layers(); ++i) {
    const auto* c = std::get_if<GatedDeltaNet::Config>(&spec.layers[i]);
    if (!c) continue;
    const std::string from = fmt::format("model.layers.{}.linear_attn.", i), to = mixer_prefix(i);
    const QkvChannels n = c->channels();
    names.split(from + "in_proj_qkv.weight",
                {{to + "q_proj.weight", n.q}, {to + "k_proj.weight", n.k}, {to + "v_proj.weight", n.v}});
    names.split(from + "conv1d.weight",
                {{to + "q_conv1d.weight", n.q}, {to + "k_conv1d.weight", n.k}, {to + "v_conv1d.weight", n.v}});
    names.rename(from + "in_proj_z.weight", to + "g_proj.weight");
    names.rename(from + "in_proj_a.weight", to + "a_proj.weight");
    names.rename(from + "in_proj_b.weight", to + "b_proj.weight");
    names.rename(from + "norm.weight", to + "o_norm.weight");
    names.rename(from + "out_proj.weight", to + "o_proj.weight");
    for (const char* same : {"A_log", "dt_bias"}) names.rename(from + same, to + same);
  }
}

}  // namespace jet
