#include "jet/model/trace_ops.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <concepts>
#include <set>

#include "jet/model/shapes.h"

namespace jet {
namespace {

TEST(Formula, IsAListOfSteps) {
  const Formula f = record<2>([](auto x, auto z) { return x * silu(z + 1.0f); });
  using Op = Formula::Op;
  std::vector<Op> ops;
  for (const auto& i : f.code) ops.push_back(i.op);
  EXPECT_EQ(ops, (std::vector{Op::argument, Op::argument, Op::constant, Op::add, Op::silu, Op::mul}));
  EXPECT_EQ(f.code[2].value, 1);
  EXPECT_EQ(f.code[3].a, 1);
  EXPECT_EQ(f.code[3].b, 2);
  EXPECT_EQ(f.code[5].a, 0);
  EXPECT_EQ(f.code[5].b, 4);
  EXPECT_EQ(f.result, 5);
}

TEST(Formula, HasNothingToBranchOn) {
  static_assert(!std::is_constructible_v<bool, Expr> && !std::convertible_to<Expr, float>);
  static_assert(!std::equality_comparable<Expr> && !std::totally_ordered<Expr>);
  EXPECT_THROW(record<1>([](auto x) {
                 for (int i = 0; i < 100; ++i) x = x + 1.0f;
                 return x;
               }),
               Error);
}

TEST(TraceOps, WritesEveryShapeDown) {
  for (const char* name : {"jet-2b", "qwen2.5-0.5b", "gemma-3-1b"}) {
    const ModelSpec spec = shape_spec(name);
    const Program program = record_program(spec);
    std::set<int> weights, states;
    int n_weights = 0, n_states = 0;
    for (size_t i = 0; i < program.code.size(); ++i) {
      for (const Program::Operand& x : program.code[i].in) {
        if (x.kind == Program::Operand::value) { EXPECT_LT(x.index, static_cast<int>(i)); }
        if (x.kind == Program::Operand::weight) weights.insert(x.index);
      }
      states.insert(program.code[i].states.begin(), program.code[i].states.end());
      EXPECT_GT(numel(program.code[i].shape), 0);
    }
    struct Nothing {};
    ModelWeights<Nothing> w;
    model_params(spec, w, [&](const std::string&, Nothing&, const ParamSpec&) { ++n_weights; });
    ModelState<Nothing> s;
    model_state(spec, s, [&](int, const char*, Nothing&, const StateSpec&) { ++n_states; });
    EXPECT_EQ(static_cast<int>(weights.size()), n_weights) << name;
    EXPECT_EQ(static_cast<int>(states.size()), n_states) << name;
    EXPECT_EQ(program.code.back().shape, (Shape{spec.vocab_size})) << name;
    EXPECT_EQ(program.sights.size(), spec.layers.size() + 2) << name;
  }
}

}  // namespace
}  // namespace jet
