// Softmax attention with grouped queries, full or over a sliding window:
//
//   q = rope(norm(Wq x)), k = rope(norm(Wk x)), v = Wv x      (norms and rope where the model has them)
//   o_t = sum_j softmax_j(scale q_t . k_j) v_j,  j <= t and (t - window < j or j < sinks);  window = 0: all j <= t
//   y = Wo o, with an output gate: Wo (o * sigmoid(g)), where Wq x is [q, g] head by head
//
// A norm is over a head's channels, one weight for all heads; whole_norm: over all of q, and all of k.
// Source: transformers modeling_qwen2.py, modeling_qwen3.py, modeling_qwen3_5.py, modeling_olmo_hybrid.py; the window
// counts the token itself. Sinks: StreamingLLM, arXiv 2309.17453; here with the positions of the text.
#pragma once

#include <limits>

#include "jet/blocks/parts.h"

namespace jet {

struct Attention {
  static constexpr const char* kind = "attention";

  struct Config {
    int heads = 0, kv_heads = 0, head_dim = 0, window = 0, sinks = 0;
    bool qkv_bias = false, o_bias = false, qk_norm = false, whole_norm = false;
    bool output_gate = false, rotary = true;
    float norm_eps = 1e-6f;
    double scale = 0;  // 0: head_dim^-1/2
    Rope rope{};
    template <class V>
    static void fields(Config& c, V&& v) {
      v("heads", c.heads), v("kv_heads", c.kv_heads), v("head_dim", c.head_dim), v("window", c.window);
      v("sinks", c.sinks), v("qkv_bias", c.qkv_bias), v("o_bias", c.o_bias), v("qk_norm", c.qk_norm),
          v("norm_eps", c.norm_eps);
      v("scale", c.scale), v("rope", c.rope), v("whole_norm", c.whole_norm), v("output_gate", c.output_gate);
      v("rotary", c.rotary);
    }
    void check(const std::string& where) const {
      check_size("heads", heads, where);
      check_size("kv_heads", kv_heads, where);
      check_size("head_dim", head_dim, where);
      check_multiple("heads", heads, "kv_heads", kv_heads, where);
      check_pairs("head_dim", head_dim, where);
      require(window >= 0, "{}: window {} is negative", where, window);
      require(sinks >= 0 && (sinks == 0 || window > 0), "{}: {} sinks beside a window of {}; sinks go with a window",
              where, sinks, window);
      require(sinks <= std::numeric_limits<int>::max() - window, "{}: {} sinks and a window of {} are too many", where,
              sinks, window);
      rope.check(head_dim, where);
      check_eps(norm_eps, where);
      require(!output_gate || !whole_norm, "{}: a norm over all of q does not go with an output gate inside of it",
              where);
    }
    /// Itself: attention keeps its sizes.
    static Config like(const Config& attention, const MixerDims&) { return attention; }
    static std::vector<Config> examples() {
      const Rope llama3{.theta = 500, .factor = 8, .low_freq_factor = 1, .high_freq_factor = 4, .original_context = 32};
      return {
          {.heads = 6, .kv_heads = 2, .head_dim = 10, .qkv_bias = true, .o_bias = true, .qk_norm = true, .scale = 0.4},
          {.heads = 3, .kv_heads = 1, .head_dim = 6, .window = 5, .rope = llama3},
          {.heads = 4,
           .kv_heads = 2,
           .head_dim = 10,
           .qk_norm = true,
           .output_gate = true,
           .rope = {.dims = 6, .magnitude = 1.2, .divide = std::vector<double>{1, 2.5, 4}}},
          {.heads = 4, .kv_heads = 2, .head_dim = 6, .qk_norm = true, .whole_norm = true, .rotary = false},
          {.heads = 4, .kv_heads = 2, .head_dim = 6, .window = 4, .sinks = 3}};
    }
    /// Rows of Wq for one head.
    int64_t q_rows() const { return int64_t{head_dim} * (output_gate ? 2 : 1); }
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
    qkv_params({c.heads * c.q_rows(), kv, kv}, hidden, w, visit);
    visit("o_proj.weight", w.o_proj, ParamSpec::output(hidden, q));
    if (c.qkv_bias) {
      visit("q_proj.bias", w.q_bias, ParamSpec::constant(c.heads * c.q_rows(), 0));
      visit("k_proj.bias", w.k_bias, ParamSpec::constant(kv, 0));
      visit("v_proj.bias", w.v_bias, ParamSpec::constant(kv, 0));
    }
    if (c.o_bias) visit("o_proj.bias", w.o_bias, ParamSpec::constant(hidden, 0));
    if (c.qk_norm) {
      visit("q_norm.weight", w.q_norm, ParamSpec::norm(c.whole_norm ? q : c.head_dim));
      visit("k_norm.weight", w.k_norm, ParamSpec::norm(c.whole_norm ? kv : c.head_dim));
    }
  }

  template <class T, class Visit>
  static void state(const Config& c, int /*hidden*/, State<T>& s, Visit&& visit) {
    const StateSpec rows{StateSpec::rows, {c.kv_heads, c.head_dim}, shape(c).reach(), c.sinks};
    visit("keys", s.keys, rows);
    visit("values", s.values, rows);
  }

  static std::vector<AttentionRole> roles(const Config& c) {
    auto roles = projection_roles(c.heads, c.kv_heads, c.kv_heads, c.heads, c.head_dim, c.head_dim);
    roles[0].apart = static_cast<int>(c.q_rows());
    return roles;
  }

  /// What attention reads: heads of q, k and v with their norms, before rope; the output gate where there is one.
  template <class T>
  struct Read {
    T q, k, v, gate{};
  };

  template <OpSet Ops>
  static Read<TensorOf<Ops>> read(Ops& ops, const Config& c, const Weights<typename Ops::Weight>& w,
                                  const TensorOf<Ops>& x) {
    const auto projected = [&](const auto& matrix, const auto& bias, const auto& norm, int heads) {
      auto y = ops.linear(x, matrix, bias);
      return ops.heads(c.qk_norm && c.whole_norm ? ops.rms_norm(y, norm, c.norm_eps) : y, heads);
    };
    Read<TensorOf<Ops>> r;
    r.q = projected(w.q_proj, w.q_bias, w.q_norm, c.heads);
    r.k = projected(w.k_proj, w.k_bias, w.k_norm, c.kv_heads);
    r.v = ops.heads(ops.linear(x, w.v_proj, w.v_bias), c.kv_heads);
    if (c.output_gate) {
      r.gate = ops.slice(r.q, c.head_dim, c.head_dim);
      r.q = ops.slice(r.q, 0, c.head_dim);
    }
    if (c.qk_norm && !c.whole_norm) {
      r.q = ops.rms_norm(r.q, w.q_norm, c.norm_eps);
      r.k = ops.rms_norm(r.k, w.k_norm, c.norm_eps);
    }
    return r;
  }

  static AttentionShape shape(const Config& c) {
    return {static_cast<float>(c.scale > 0 ? c.scale : 1.0 / std::sqrt(c.head_dim)), c.window, c.sinks};
  }

  /// o [.., heads, head_dim], before the output gate.
  template <OpSet Ops>
  static TensorOf<Ops> attend(Ops& ops, const Config& c, const Read<TensorOf<Ops>>& r, State<typename Ops::State>& s) {
    if (!c.rotary) return ops.attention(r.q, r.k, r.v, shape(c), s.keys, s.values);
    auto q = ops.rope(r.q, c.rope), k = ops.rope(r.k, c.rope);
    return ops.attention(q, k, r.v, shape(c), s.keys, s.values);
  }

  /// y of o.
  template <OpSet Ops>
  static TensorOf<Ops> write(Ops& ops, const Config& c, const Weights<typename Ops::Weight>& w,
                             const Read<TensorOf<Ops>>& r, TensorOf<Ops> o) {
    if (c.output_gate) o = ops.map([](auto t, auto g) { return t * sigmoid(g); }, o, r.gate);
    return ops.linear(ops.flat(o), w.o_proj, w.o_bias);
  }

  template <OpSet Ops>
  static TensorOf<Ops> forward(Ops& ops, const Config& c, const Weights<typename Ops::Weight>& w, TensorOf<Ops> x,
                               State<typename Ops::State>& s) {
    const auto r = read(ops, c, w, x);
    return write(ops, c, w, r, attend(ops, c, r, s));
  }
};

}  // namespace jet
