// Softmax attention with grouped queries, full or over a sliding window:
//
//   q = rope(norm(Wq x)), k = rope(norm(Wk x)), v = Wv x      (norms where the model has them)
//   o_t = sum_j softmax_j(scale q_t . k_j) v_j,  j in (t - window, t],  window = 0: j in [0, t]
//   y = Wo o
//
// Source: transformers modeling_qwen2.py, modeling_qwen3.py; the window counts the token itself.
#pragma once

#include "jet/blocks/parts.h"

namespace jet {

struct Attention {
  static constexpr const char* kind = "attention";

  struct Config {
    int heads = 0, kv_heads = 0, head_dim = 0, window = 0;
    bool qkv_bias = false, o_bias = false, qk_norm = false;
    float norm_eps = 1e-6f;
    double scale = 0;  // 0: head_dim^-1/2
    Rope rope{};
    template <class V>
    static void fields(Config& c, V&& v) {
      v("heads", c.heads), v("kv_heads", c.kv_heads), v("head_dim", c.head_dim), v("window", c.window);
      v("qkv_bias", c.qkv_bias), v("o_bias", c.o_bias), v("qk_norm", c.qk_norm), v("norm_eps", c.norm_eps);
      v("scale", c.scale), v("rope", c.rope);
    }
    void check(const std::string& where) const {
      check_size("heads", heads, where);
      check_size("kv_heads", kv_heads, where);
      check_size("head_dim", head_dim, where);
      check_multiple("heads", heads, "kv_heads", kv_heads, where);
      check_pairs("head_dim", head_dim, where);
      require(window >= 0, "{}: window {} is negative", where, window);
      rope.check(where);
      check_eps(norm_eps, where);
    }
    /// Itself: attention keeps its sizes.
    static Config like(const Config& attention, const MixerDims&) { return attention; }
    static std::vector<Config> examples() {
      const Rope llama3{.theta = 500, .factor = 8, .low_freq_factor = 1, .high_freq_factor = 4, .original_context = 32};
      return {
          {.heads = 6, .kv_heads = 2, .head_dim = 10, .qkv_bias = true, .o_bias = true, .qk_norm = true, .scale = 0.4},
          {.heads = 3, .kv_heads = 1, .head_dim = 6, .window = 5, .rope = llama3}};
    }
  };

  template <class T>
  struct Weights {
    T q_proj, k_proj, v_proj, o_proj, q_bias, k_bias, v_bias, o_bias, q_norm, k_norm;
  };

  template <class T>
  struct State {
    T keys, values;  // rows [kv_heads, head_dim], keys after rope
  };

  template <class T, class Visit>
  static void params(const Config& c, int hidden, Weights<T>& w, Visit&& visit) {
    const int64_t q = int64_t{c.heads} * c.head_dim, kv = int64_t{c.kv_heads} * c.head_dim;
    qkv_params({q, kv, kv}, hidden, w, visit);
    visit("o_proj.weight", w.o_proj, ParamSpec::output(hidden, q));
    if (c.qkv_bias) {
      visit("q_proj.bias", w.q_bias, ParamSpec::constant(q, 0));
      visit("k_proj.bias", w.k_bias, ParamSpec::constant(kv, 0));
      visit("v_proj.bias", w.v_bias, ParamSpec::constant(kv, 0));
    }
    if (c.o_bias) visit("o_proj.bias", w.o_bias, ParamSpec::constant(hidden, 0));
    if (c.qk_norm) {
      visit("q_norm.weight", w.q_norm, ParamSpec::norm(c.head_dim));
      visit("k_norm.weight", w.k_norm, ParamSpec::norm(c.head_dim));
    }
  }

  template <class T, class Visit>
  static void state(const Config& c, int /*hidden*/, State<T>& s, Visit&& visit) {
    visit("keys", s.keys, StateSpec{StateSpec::rows, {c.kv_heads, c.head_dim}, c.window});
    visit("values", s.values, StateSpec{StateSpec::rows, {c.kv_heads, c.head_dim}, c.window});
  }

  static std::vector<AttentionRole> roles(const Config& c) {
    return projection_roles(c.heads, c.kv_heads, c.kv_heads, c.heads, c.head_dim, c.head_dim);
  }

  template <OpSet Ops>
  static TensorOf<Ops> forward(Ops& ops, const Config& c, const Weights<typename Ops::Weight>& w, TensorOf<Ops> x,
                               State<typename Ops::State>& s) {
    auto q = ops.heads(ops.linear(x, w.q_proj, w.q_bias), c.heads);
    auto k = ops.heads(ops.linear(x, w.k_proj, w.k_bias), c.kv_heads);
    auto v = ops.heads(ops.linear(x, w.v_proj, w.v_bias), c.kv_heads);
    if (c.qk_norm) {
      q = ops.rms_norm(q, w.q_norm, c.norm_eps);
      k = ops.rms_norm(k, w.k_norm, c.norm_eps);
    }
    q = ops.rope(q, c.rope);
    k = ops.rope(k, c.rope);
    const auto scale = static_cast<float>(c.scale > 0 ? c.scale : 1.0 / std::sqrt(c.head_dim));
    auto o = ops.attention(q, k, v, AttentionShape{scale, c.window}, s.keys, s.values);
    return ops.linear(ops.flat(o), w.o_proj, w.o_bias);
  }
};

}  // namespace jet
