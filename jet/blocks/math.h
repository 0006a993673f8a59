// Scalar functions under the names that ATen gives its tensors', so that one lambda in map() serves both.
#pragma once

#include <algorithm>
#include <cmath>

namespace jet {

inline float exp(float x) { return std::exp(x); }
inline float tanh(float x) { return std::tanh(x); }
inline float sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }
inline float silu(float x) { return x / (1.0f + std::exp(-x)); }
inline float softplus(float x) { return x > 20.0f ? x : std::log1p(std::exp(x)); }
inline float log_sigmoid(float x) { return std::min(x, 0.0f) - std::log1p(std::exp(-std::abs(x))); }
inline float clamp_min(float x, float low) { return std::max(x, low); }

/// elu(x) + 1: x + 1 where x > 0, e^x elsewhere.
template <class T>
T elu_plus_one(const T& x) {
  return clamp_min(x, 0.0f) + exp(-clamp_min(-x, 0.0f));
}

template <class T>
T gelu_tanh(const T& x) {
  return 0.5f * x * (1.0f + tanh(0.7978845608f * (x + 0.044715f * x * x * x)));
}

/// norm(o) * silu(gate): the read-out of the gated linear blocks.
template <class Ops>
auto gated_rms_norm(Ops& ops, typename Ops::Tensor o, typename Ops::Tensor gate, const typename Ops::Weight& w,
                    float eps) {
  return ops.map([](auto x, auto z) { return x * silu(z); }, ops.rms_norm(o, w, eps), gate);
}
/// The same with gate = Wg x, or norm(o) alone where c.gate is false. o [tokens, heads, dV].
template <class Ops, class Config, class Weights>
auto read_out(Ops& ops, const Config& c, const Weights& w, typename Ops::Tensor o, typename Ops::Tensor x, int heads) {
  return c.gate ? gated_rms_norm(ops, o, ops.heads(ops.linear(x, w.g_proj), heads), w.norm, c.norm_eps)
                : ops.rms_norm(o, w.norm, c.norm_eps);
}

}  // namespace jet
