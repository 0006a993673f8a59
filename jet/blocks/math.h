// Scalar functions under the names that ATen gives its tensors', so that one lambda in map() serves both.
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>

namespace jet {

inline float exp(float x) { return std::exp(x); }
inline float tanh(float x) { return std::tanh(x); }
inline float sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }
inline float silu(float x) { return x / (1.0f + std::exp(-x)); }
inline float softplus(float x) { return x > 20.0f ? x : std::log1p(std::exp(x)); }
inline float log_sigmoid(float x) { return std::min(x, 0.0f) - std::log1p(std::exp(-std::abs(x))); }
inline float clamp_min(float x, float low) { return std::max(x, low); }

/// What a formula of map() may be written with: all of it works on every kind of number that a map runs on (floats,
/// ATen's tensors, Expr of jet/blocks/formula.h).
template <class T>
concept FormulaNumber = requires(T x, float c) {
  { x + x } -> std::convertible_to<T>;
  { x - x } -> std::convertible_to<T>;
  { x* x } -> std::convertible_to<T>;
  { x / x } -> std::convertible_to<T>;
  { x + c } -> std::convertible_to<T>;
  { c + x } -> std::convertible_to<T>;
  { x - c } -> std::convertible_to<T>;
  { c - x } -> std::convertible_to<T>;
  { x* c } -> std::convertible_to<T>;
  { c* x } -> std::convertible_to<T>;
  { x / c } -> std::convertible_to<T>;
  { c / x } -> std::convertible_to<T>;
  { -x } -> std::convertible_to<T>;
  { exp(x) } -> std::convertible_to<T>;
  { tanh(x) } -> std::convertible_to<T>;
  { sigmoid(x) } -> std::convertible_to<T>;
  { silu(x) } -> std::convertible_to<T>;
  { softplus(x) } -> std::convertible_to<T>;
  { log_sigmoid(x) } -> std::convertible_to<T>;
  { clamp_min(x, c) } -> std::convertible_to<T>;
};
static_assert(FormulaNumber<float>);

/// elu(x) + 1: x + 1 where x > 0, e^x elsewhere.
template <class T>
T elu_plus_one(const T& x) {
  return clamp_min(x, 0.0f) + exp(-clamp_min(-x, 0.0f));
}

template <class T>
T gelu_tanh(const T& x) {
  return 0.5f * x * (1.0f + tanh(0.7978845608f * (x + 0.044715f * x * x * x)));
}

/// What an MLP puts on its gate.
enum class Activation { silu, gelu_tanh };

/// f(formula of act(gate) * up).
template <class F>
auto with_gate(Activation act, const F& f) {
  switch (act) {
    case Activation::gelu_tanh: return f([](auto g, auto u) { return gelu_tanh(g) * u; });
    case Activation::silu: break;
  }
  return f([](auto g, auto u) { return silu(g) * u; });
}

/// act(gate) * up.
template <class Ops, class Tensor>
Tensor gated_product(Ops& ops, Activation act, const Tensor& gate, const Tensor& up) {
  return with_gate(act, [&](auto formula) { return ops.map(formula, gate, up); });
}

/// act(x gate^T) * (x up^T). An op set may have the whole as one op, so that what lies between stays in its caches.
template <class Ops, class Tensor, class Weight>
Tensor gated_linear(Ops& ops, Activation act, const Tensor& x, const Weight& gate, const Weight& up) {
  if constexpr (requires { ops.gated_linear(act, x, gate, up); }) {
    return ops.gated_linear(act, x, gate, up);
  } else {
    const Tensor g = ops.linear(x, gate), u = ops.linear(x, up);
    return gated_product(ops, act, g, u);
  }
}

}  // namespace jet
