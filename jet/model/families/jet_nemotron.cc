// Jet-Nemotron in its official layout: layer_types names attn, swa or jet per layer, efficient_attention_config holds
// the dimensions. Source: NVlabs/Jet-Nemotron, jetai/modeling/hf. Some numbers there are strings ("1e-5").
#include <cmath>

#include "jet/model/families/families.h"

namespace jet {

namespace {

double number(const Json& j, const char* key, double fallback, const std::string& where) {
  if (!j.contains(key)) return fallback;
  if (!j[key].is_string()) return get<double>(j, key, where);
  try {
    return std::stod(j[key].get<std::string>());
  } catch (const std::exception&) { fail("{}: key '{}' is no number: {}", where, key, j[key].dump()); }
}

JetBlock::Config read_block(const Json& j, const std::string& where) {
  JetBlock::Config c;
  c.heads = get<int>(j, "num_heads", where);
  c.dk = get<int>(j, "head_dim", where);
  c.dv = static_cast<int>(c.dk * number(j, "expand_v", 2.0, where));
  c.conv = get_or(j, "conv_size", 4, where);
  c.generator = c.heads * c.dv / get_or(j, "dconv_generator_reduction", 8, where);
  c.norm_eps = static_cast<float>(number(j, "norm_eps", 1e-5, where));
  return c;
}

}  // namespace

ModelSpec read_jet_nemotron(const Json& config, const std::string& where) {
  ModelSpec s = read_llama_like(config, where);
  const auto types = get<std::vector<std::string>>(config, "layer_types", where);
  require(types.size() == s.layers.size(), "{}: layer_types has {} entries for {} layers", where, types.size(),
          s.layers.size());
  const auto blocks = get<Json>(config, "efficient_attention_config", where);
  for (size_t i = 0; i < types.size(); ++i) {
    auto& a = std::get<Attention::Config>(s.layers[i]);
    a.qkv_bias = true;
    if (types[i] == "attn") continue;
    if (types[i] == "swa") {
      a.window = get<int>(get<Json>(blocks, "swa", where), "window_size", where);
    } else if (types[i] == "jet") {
      s.layers[i] = read_block(get<Json>(blocks, "jet", where), where);
    } else {
      fail("{}: layer {} is of unknown type '{}' (known: attn, swa, jet)", where, i, types[i]);
    }
  }
  return s;
}

}  // namespace jet
