// Qwen2, Qwen2.5 (biases on q, k, v) and Qwen3 (norms on q and k, a head_dim of its own).
#include "jet/model/families/families.h"

namespace jet {

namespace {

// The window applies only where use_sliding_window is true, and then from layer max_window_layers on, unless
// layer_types says which layers.
void read_window(const Json& config, ModelSpec& s, const std::string& where) {
  if (!get_or(config, "use_sliding_window", false, where)) return;
  const int window = get_or(config, "sliding_window", 0, where);
  const int first = get_or(config, "max_window_layers", 0, where);
  const auto types = get_or(config, "layer_types", std::vector<std::string>{}, where);
  each_attention(s, [&](Attention::Config& a, int i) {
    const bool slides = i < static_cast<int>(types.size()) ? types[i] == "sliding_attention" : i >= first;
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
