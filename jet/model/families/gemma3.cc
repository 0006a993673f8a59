// Gemma 3 text: local and global attention layers with their own rope bases, four norms a layer with weights 1 + w,
// scaled embeddings, scores scaled by query_pre_attn_scalar^-1/2. Source: transformers modeling_gemma3.py.
#include <algorithm>
#include <cmath>

#include "jet/model/families/families.h"

namespace jet {

const FamilyKeys kGemma3Keys{
    R"({"vocab_size": 262208, "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26,
        "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "hidden_activation": "gelu_pytorch_tanh",
        "max_position_embeddings": 131072, "rms_norm_eps": 1e-6, "bos_token_id": 2, "eos_token_id": 1,
        "tie_word_embeddings": true, "attention_bias": false, "query_pre_attn_scalar": 256, "sliding_window": 4096,
        "sliding_window_pattern": 6, "layer_types": null, "rope_local_base_freq": 10000})",
    R"({"attn_logit_softcapping": null, "final_logit_softcapping": null, "use_bidirectional_attention": false,
        "partial_rotary_factor": 1})",
    "hidden_act _sliding_window_pattern"};

namespace {

// Each kind of layer has a rope of its own: in transformers 5 a table each, before it rope_theta with rope_scaling for
// the global layers and rope_local_base_freq for the local ones. rope_scaling beside the tables is laid over the global
// one, as there.
Json rope_table(const Json& config, bool local, const std::string& where) {
  const char* kind = local ? "sliding_attention" : "full_attention";
  const Json tables = get_or(config, "rope_parameters", Json::object(), where);
  require(tables.empty() || tables.contains("full_attention") || tables.contains("sliding_attention"),
          "{}: rope_parameters has no table for full_attention or sliding_attention", where);
  Json table = get_or(tables, kind, Json::object(), where);
  if (!local) table.update(get_or(config, "rope_scaling", Json::object(), where));
  return table;
}

}  // namespace

ModelSpec read_gemma3(const Json& config, const std::string& where) {
  Json alike = config;
  alike["hidden_act"] = config["hidden_activation"];
  ModelSpec s = read_sizes(alike, where);
  s.norms = Norms::both;
  s.embed_scale = std::sqrt(static_cast<float>(s.hidden_size));
  const int pattern = get_or(config, "sliding_window_pattern", 6, where);
  require(pattern > 0, "{}: sliding_window_pattern {} is not positive", where, pattern);
  const double scalar = get<double>(config, "query_pre_attn_scalar", where);
  require(scalar > 0, "{}: query_pre_attn_scalar {} is not positive", where, scalar);
  const bool bias = get_or(config, "attention_bias", false, where);
  const auto types = read_layer_types(config, s.n_layers(), {"full_attention", "sliding_attention"}, where);
  const RopeContext of{.head_dim = std::get<Attention::Config>(s.layers[0]).head_dim,
                       .context = s.max_position_embeddings,
                       .theta = get_or(config, "rope_theta", 1e6, where)};
  RopeContext local_of = of;
  local_of.theta = get_or(config, "rope_local_base_freq", 1e4, where);
  const ReadRope global = read_rope_table(rope_table(config, false, where), of, where);
  const ReadRope local = read_rope_table(rope_table(config, true, where), local_of, where);
  s.max_position_embeddings = std::min(global.context, local.context);
  each_attention(s, [&](Attention::Config& a, int i) {
    const bool slides = types.empty() ? (i + 1) % pattern != 0 : types[i] == "sliding_attention";
    a.qk_norm = true;
    a.qkv_bias = a.o_bias = bias;
    a.scale = 1 / std::sqrt(scalar);
    a.window = slides ? get<int>(config, "sliding_window", where) : 0;
    a.rope = slides ? local.rope : global.rope;
  });
  return s;
}

}  // namespace jet
