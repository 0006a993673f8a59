// TraceOps: an op set that computes nothing and writes down what a pass asks for. The program of a model is its pass as
// data, whatever the tokens and the sequences:
//
//   0  embed      ids  model.embed_tokens.weight              [.., 40]
//   1  rms_norm   0    model.layers.0.input_layernorm.weight  [.., 40]
//   2  linear     1    model.layers.0.self_attn.q_proj.weight [.., 60]
//   3  map        2    (argument 0; silu 0)                   [.., 60]
//   ...
//
// It is the proof of the contract: a block whose pass cannot be written down does not compile for it. The engine's
// recorded backend interprets programs, and the laws hold it against the ordinary one.
#pragma once

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "jet/blocks/formula.h"
#include "jet/blocks/op_set.h"
#include "jet/model/spec.h"

namespace jet {

struct Program {
  enum class Op {
    linear,
    map,
    heads,
    flat,
    slice,
    repeat_heads,
    rms_norm,
    layer_norm,
    l2_norm,
    sum_last,
    constant,
    rope,
    shift,
    short_conv,
    dynamic_conv,
    attention,
    recurrence,
    embed,
    last_rows
  };
  struct Operand {
    enum Kind { absent, value, weight } kind = absent;
    int index = 0;  // of the instruction that made it; of a parameter, in the order of model_params()
  };
  struct Slice {
    int64_t begin, size;
  };
  struct Instruction {
    Op op;
    std::vector<Operand> in{};  // in the order of the op's arguments, absent ones too; of a recurrence as it lists them
    std::vector<int> states{};  // in the order of model_state()
    /// What else the op is given: heads(n), repeat_heads(n), an eps, a scale, ...
    std::variant<std::monostate, int64_t, float, Slice, Rope, AttentionShape, Formula, std::vector<float>> with{};
    Shape shape{};       // of what it makes, for a token
    bool tokens = true;  // one row a token; otherwise one for all
  };
  /// What an observer of the pass is shown (jet/model/transformer.h).
  struct Sight {
    std::string name;
    int layer, value;
  };
  std::vector<Instruction> code;  // the last one makes the logits
  std::vector<Sight> sights;
};

/// The pass of a whole model.
Program record_program(const ModelSpec& spec);

struct TraceTensor {
  int index = -1;  // of the instruction that makes it; -1: absent
  Shape shape;
  bool tokens = true;
  explicit operator bool() const { return index >= 0; }
};

struct TraceWeight {
  int index = -1;  // -1: absent
  Shape shape;
  explicit operator bool() const { return index >= 0; }
};

struct TraceState {
  int index = -1;
};

class TraceOps {
 public:
  using Tensor = TraceTensor;
  using Weight = TraceWeight;
  using State = TraceState;
  struct Ids {};  // those that the program will be run with

  explicit TraceOps(Program& program) : program_(program) {}

  Tensor linear(const Tensor& x, const Weight& w, const Weight& bias = {});
  template <class F, class... X>
  Tensor map(F&& f, const X&... xs) {
    return map_recorded(record<sizeof...(X)>(f), {operand(xs)...}, {of_map(xs)...});
  }
  Tensor heads(const Tensor& x, int64_t n);
  Tensor heads(const Weight& w, int64_t n);
  Tensor flat(const Tensor& x);
  Tensor slice(const Tensor& x, int64_t begin, int64_t size);
  Tensor repeat_heads(const Tensor& x, int64_t n);
  Tensor rms_norm(const Tensor& x, const Weight& w, float eps);
  Tensor layer_norm(const Tensor& x, float eps);
  Tensor l2_norm(const Tensor& x, float eps);
  Tensor sum_last(const Tensor& x);
  Tensor constant(const std::vector<float>& values);
  Tensor rope(const Tensor& x, const Rope& r);
  Tensor shift(const Tensor& x, State last);
  Tensor short_conv(const Tensor& x, const Weight& w, const Weight& bias, State tail);
  Tensor dynamic_conv(const Tensor& x, const Tensor& kernels, State tail);
  Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionShape& shape, State keys,
                   State values);
  Tensor recurrence(const Recurrence<Tensor>& r, State state);
  Tensor first_of_pass(const Tensor& x);
  Tensor embed(Ids, const Weight& w);
  Tensor last_rows(const Tensor& x);

 private:
  using Operand = Program::Operand;
  static Operand operand(const Tensor& x) { return {x ? Operand::value : Operand::absent, x.index}; }
  static Operand operand(const Weight& w) { return {w ? Operand::weight : Operand::absent, w.index}; }
  static Tensor of_map(const Tensor& x) { return x; }
  static Tensor of_map(const Weight& w);
  Tensor map_recorded(Formula formula, std::vector<Operand> in, const std::vector<Tensor>& shapes);
  Tensor add(Program::Instruction i, Shape shape, bool tokens);

  Program& program_;
  Tensor first_;
};
static_assert(OpSet<TraceOps>);

}  // namespace jet
