// A formula of map(), written down. Blocks write formulas as generic lambdas over numbers; an op set that cannot call
// one (a compiler for GPUs takes no generic lambda of the host) or has no numbers (the cost model) records it and walks
// the list. [](auto x, auto z) { return x * silu(z + 1.0f); } is
//
//   0  argument 0
//   1  argument 1
//   2  constant 1.0
//   3  add   1 2
//   4  silu  3
//   5  mul   0 4        <- result
//
// An Expr has no value: a lambda that branches on a number, or hands it to a function that is not listed here, does not
// compile.
#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "jet/base/error.h"
#include "jet/blocks/math.h"

namespace jet {

struct Formula {
  enum class Op : uint8_t {
    argument,
    constant,
    add,
    sub,
    mul,
    div,
    neg,
    exp,
    tanh,
    sigmoid,
    silu,
    softplus,
    log_sigmoid,
    clamp_min
  };
  struct Instruction {
    Op op = Op::argument;
    int a = 0, b = 0;  // instructions before this one; of an argument: which
    float value = 0;   // of a constant; of clamp_min: the least
  };
  static constexpr size_t kMost = 64;  // instructions
  std::vector<Instruction> code;
  int result = 0;  // an instruction

  int append(const Instruction& i) {
    require(code.size() < kMost, "a formula of map() has more than {} steps: split it", kMost);
    code.push_back(i);
    return static_cast<int>(code.size()) - 1;
  }
};

/// A number that stands for an instruction of the formula that is being recorded.
class Expr {
 public:
  using Op = Formula::Op;
  Expr(Formula& formula, const Formula::Instruction& i) : formula_(&formula), at_(formula.append(i)) {}

  friend Expr operator+(Expr x, Expr y) { return x.with(Op::add, y); }
  friend Expr operator-(Expr x, Expr y) { return x.with(Op::sub, y); }
  friend Expr operator*(Expr x, Expr y) { return x.with(Op::mul, y); }
  friend Expr operator/(Expr x, Expr y) { return x.with(Op::div, y); }
  friend Expr operator+(Expr x, float c) { return x + x.constant(c); }
  friend Expr operator-(Expr x, float c) { return x - x.constant(c); }
  friend Expr operator*(Expr x, float c) { return x * x.constant(c); }
  friend Expr operator/(Expr x, float c) { return x / x.constant(c); }
  friend Expr operator+(float c, Expr x) { return x.constant(c) + x; }
  friend Expr operator-(float c, Expr x) { return x.constant(c) - x; }
  friend Expr operator*(float c, Expr x) { return x.constant(c) * x; }
  friend Expr operator/(float c, Expr x) { return x.constant(c) / x; }
  friend Expr operator-(Expr x) { return x.of(Op::neg); }
  friend Expr exp(Expr x) { return x.of(Op::exp); }
  friend Expr tanh(Expr x) { return x.of(Op::tanh); }
  friend Expr sigmoid(Expr x) { return x.of(Op::sigmoid); }
  friend Expr silu(Expr x) { return x.of(Op::silu); }
  friend Expr softplus(Expr x) { return x.of(Op::softplus); }
  friend Expr log_sigmoid(Expr x) { return x.of(Op::log_sigmoid); }
  friend Expr clamp_min(Expr x, float low) { return {*x.formula_, {Op::clamp_min, x.at_, 0, low}}; }

 private:
  template <size_t N, class F>
  friend Formula record(F&& f);
  Expr constant(float c) const { return {*formula_, {Op::constant, 0, 0, c}}; }
  Expr of(Op op) const { return {*formula_, {op, at_}}; }
  Expr with(Op op, Expr y) const { return {*formula_, {op, at_, y.at_}}; }
  Formula* formula_;
  int at_;
};

static_assert(FormulaNumber<Expr>);

/// The formula of f, a function of N numbers.
template <size_t N, class F>
Formula record(F&& f) {
  Formula formula;
  [&]<size_t... I>(std::index_sequence<I...>) {
    const Expr arguments[] = {Expr(formula, {Formula::Op::argument, static_cast<int>(I)})...};
    const Expr result = f(arguments[I]...);
    formula.result = result.at_;
  }
  (std::make_index_sequence<N>());
  return formula;
}

/// What it is on numbers of any kind that map() knows.
template <class T, class... Rest>
T evaluate(const Formula& formula, T first, Rest... rest) {
  using Op = Formula::Op;
  const T arguments[] = {first, rest...};
  std::array<T, Formula::kMost> v;
  for (size_t i = 0; i < formula.code.size(); ++i) {
    const Formula::Instruction& c = formula.code[i];
    switch (c.op) {
      case Op::argument: v[i] = arguments[c.a]; break;
      case Op::constant: v[i] = c.value; break;
      case Op::add: v[i] = v[c.a] + v[c.b]; break;
      case Op::sub: v[i] = v[c.a] - v[c.b]; break;
      case Op::mul: v[i] = v[c.a] * v[c.b]; break;
      case Op::div: v[i] = v[c.a] / v[c.b]; break;
      case Op::neg: v[i] = -v[c.a]; break;
      case Op::exp: v[i] = exp(v[c.a]); break;
      case Op::tanh: v[i] = tanh(v[c.a]); break;
      case Op::sigmoid: v[i] = sigmoid(v[c.a]); break;
      case Op::silu: v[i] = silu(v[c.a]); break;
      case Op::softplus: v[i] = softplus(v[c.a]); break;
      case Op::log_sigmoid: v[i] = log_sigmoid(v[c.a]); break;
      case Op::clamp_min: v[i] = clamp_min(v[c.a], c.value); break;
    }
  }
  return v[formula.result];
}

}  // namespace jet
