// Jet-Nemotron in its official layout: layer_types names attn, swa or jet per layer, efficient_attention_config holds
// the dimensions. Source: NVlabs/Jet-Nemotron, jetai/modeling/hf. Some numbers there are strings ("1e-5").
#include <charconv>
#include <cmath>

#include "jet/model/families/families.h"

namespace jet {

namespace {

double number(const Json& j, const char* key, double fallback, const std::string& where) {
  if (!j.contains(key)) return fallback;
  if (!j[key].is_string()) return get<double>(j, key, where);
  const auto text = j[key].get<std::string>();
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  require(error == std::errc() && end == text.data() + text.size() && std::isfinite(value),
          "{}: key '{}' is no number: {}", where, key, j[key].dump().substr(0, 80));
  return value;
}

/// A size that came out of a calculation.
int size_from(double value, const char* what, const std::string& where) {
  require(value >= 1 && value <= 1 << 20, "{}: {} would be {}", where, what, value);
  return static_cast<int>(value);
}

JetBlock::Config read_block(const Json& j, const std::string& where) {
  JetBlock::Config c;
  c.heads = get<int>(j, "num_heads", where);
  c.dk = get<int>(j, "head_dim", where);
  c.dv = size_from(c.dk * number(j, "expand_v", 2.0, where), "head_dim * expand_v", where);
  c.conv = get_or(j, "conv_size", 4, where);
  const int reduction = get_or(j, "dconv_generator_reduction", 8, where);
  require(reduction > 0, "{}: dconv_generator_reduction {} is not positive", where, reduction);
  c.generator = size_from(static_cast<double>(int64_t{c.heads} * c.dv / reduction), "the generator's size", where);
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
