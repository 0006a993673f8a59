// Blocks write the formulas of map() as generic lambdas over numbers. Who cannot call one (kernels of an instruction
// set; a compiler for GPUs, which takes no generic lambda of the host) or has no numbers (the cost model) records it
// and walks the list of its steps (jet/tensor/formula.h).
//
// An Expr has no value: a lambda that branches on a number, or hands it to a function that is not listed here, does not
// compile.
#pragma once

#include <utility>

#include "jet/blocks/math.h"
#include "jet/tensor/formula.h"

namespace jet {

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
  friend void record(Formula& formula, F&& f);
  Expr constant(float c) const { return {*formula_, {Op::constant, 0, 0, c}}; }
  Expr of(Op op) const { return {*formula_, {op, at_}}; }
  Expr with(Op op, Expr y) const { return {*formula_, {op, at_, y.at_}}; }
  Formula* formula_;
  int at_;
};

static_assert(FormulaNumber<Expr>);

/// The formula of f, a function of N numbers; takes what memory `formula` has.
template <size_t N, class F>
void record(Formula& formula, F&& f) {
  static_assert(N <= Formula::kMostArguments);
  formula.code.clear();
  [&]<size_t... I>(std::index_sequence<I...>) {
    const Expr arguments[] = {Expr(formula, {Formula::Op::argument, static_cast<int>(I)})...};
    const Expr result = f(arguments[I]...);
    formula.result = result.at_;
  }
  (std::make_index_sequence<N>());
}
template <size_t N, class F>
Formula record(F&& f) {
  Formula formula;
  record<N>(formula, f);
  return formula;
}

}  // namespace jet
