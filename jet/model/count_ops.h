// CountOps: an op set that computes nothing. It runs a model's own forward pass on shapes and adds up what each op
// would do, by layer and kind of op: the cost model cannot drift from the model.
//
// FLOPs: an arithmetic operation or a function (exp, silu, ...) of one number is one.
//   linear       2 out in a row                          map          what its formula says, an element
//   rms_norm     4 an element (3 without weights)        l2_norm 3, layer_norm 5, rope 3, sum_last 1 an element
//   convolution  2 width an element                      attention    4 heads dim a visible (query, key) pair
//   recurrence   of one token and head, D = 1 with a decay, else 0:
//     step by step   additive (4 + D) KV,   delta rule (6 + D) KV,   diagonal plus low rank (8 + D) KV
//     in chunks of C additive (4 + D/C) KV + (C + 1)(K + V),   delta rule (6 + D/C) KV + 2C (K + V),
//                    diagonal plus low rank (8 + D/C) KV + 4C (K + V)
//
// Bytes: weights and states once a pass, whatever the number of tokens; activations are an op's inputs and outputs.
// Saved are the numbers that a backward pass needs, each once however many ops keep it: the input of a trained product,
// both factors of a product of two, the result or input of a function, the inputs of a norm, attention (and its
// output) and a recurrence (and its state before every chunk). A frozen weight's product keeps nothing.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "jet/blocks/block.h"
#include "jet/blocks/formula.h"
#include "jet/blocks/op_set.h"
#include "jet/tensor/dtype.h"

namespace jet {

struct Count {
  int64_t ops = 0;
  double flops = 0, backward_flops = 0;  // backward: a forward's FLOPs for every input or weight that wants a gradient
  double weight_bytes = 0, state_read_bytes = 0, state_written_bytes = 0;
  double activation_bytes = 0, saved_bytes = 0;
  double state_bytes() const { return state_read_bytes + state_written_bytes; }
  Count& operator+=(const Count& o);
};

/// `sequences` sequences each append `tokens` tokens to the `context` that they hold.
struct CountPass {
  int64_t sequences = 1, tokens = 1, context = 0;
  int64_t logits = 1;  // rows of each whose logits are made
  int64_t chunk = 1;   // tokens that a recurrence takes at once in matrix form; 1: step by step
  int64_t rows() const { return sequences * tokens; }
};

struct CountTypes {
  /// The type in which a parameter lies.
  std::function<DType(const std::string& name, const ParamSpec& p)> weights;
  DType kv = DType::bf16, state = DType::f32;
  int activation_bytes = 4;  // a number
};

/// Numbers that are not there: [rows, shape...]. Views share their storage; `grad`: the loss reaches a parameter that
/// is trained through it.
struct CountTensor {
  bool present = false;
  Shape shape;
  int64_t rows = 1;
  bool tokens = true;  // one row a token; otherwise one for all
  bool grad = false;
  int64_t storage = 0;
  double numbers() const { return static_cast<double>(rows * numel(shape)); }
  explicit operator bool() const { return present; }
};

struct CountWeight {
  Shape shape;
  DType dtype = DType::f32;
  bool present = false, trained = false;
  explicit operator bool() const { return present; }
  double numbers() const { return present ? static_cast<double>(numel(shape)) : 0; }
  double bytes() const;
};

/// Its shape follows from the op that uses it.
struct CountState {};

class CountOps {
 public:
  using Tensor = CountTensor;
  using Weight = CountWeight;
  using State = CountState;
  struct Ids {};  // which ones does not matter

  CountOps(const CountPass& pass, const CountTypes& types) : pass_(pass), types_(types) {}

  /// What is counted from now on goes to this entry of layers().
  void enter(size_t layer);
  const std::vector<std::map<std::string, Count>>& layers() const { return layers_; }
  /// Some numbers a token that come from elsewhere.
  Tensor input(Shape shape, bool grad) { return make(pass_.rows(), true, std::move(shape), grad); }

  Tensor linear(const Tensor& x, const Weight& w, const Weight& bias = {});
  /// One product: what lies between the two and the result is not moved.
  Tensor gated_linear(Activation act, const Tensor& x, const Weight& gate, const Weight& up);
  Tensor first_of_pass(const Tensor& x) {
    if (!first_) first_ = x;
    return first_;
  }
  Tensor embed(Ids, const Weight& w);
  Tensor last_rows(const Tensor& x);
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
  Tensor shift(const Tensor& x, State& last);
  Tensor short_conv(const Tensor& x, const Weight& w, const Weight& bias, State& tail);
  Tensor dynamic_conv(const Tensor& x, const Tensor& kernels, State& tail);
  Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionShape& shape, State& keys,
                   State& values);
  Tensor recurrence(const Recurrence<Tensor>& r, State& state);

  /// One pass over memory; each step of the formula counts.
  template <class F, class... X>
  Tensor map(F&& f, const X&... xs) {
    Count& c = kind("elementwise");
    ++c.ops;
    (read(c, xs), ...);
    Tensor out = count(record<sizeof...(X)>(f), {tensor(xs)...});
    c.activation_bytes += bytes(out);
    return out;
  }

 private:
  Count& kind(const std::string& name) { return layers_.at(layer_)[name]; }
  Tensor make(int64_t rows, bool tokens, Shape shape, bool grad);
  Tensor view(const Tensor& x, Shape shape) const;
  Tensor copied(const Tensor& x, Shape shape);
  Tensor tensor(const Tensor& x) const { return x; }
  Tensor tensor(const Weight& w);
  Tensor count(const Formula& formula, const std::vector<Tensor>& arguments);
  /// A step: a function of x and, where given, y; `keeps` says what a backward pass needs of it.
  enum Keeps { nothing, factors, argument, result };
  Tensor apply(const Tensor& x, const Tensor* y, Keeps keeps);
  Tensor norm(const Tensor& x, int64_t width, double flops, bool saves);
  Tensor convolution(const Tensor& x, int64_t width, bool kernel_grad);
  double bytes(const Tensor& x) const { return x.tokens && x ? x.numbers() * types_.activation_bytes : 0; }
  void read(Count& c, const Tensor& x) const { c.activation_bytes += bytes(x); }
  void read(Count& c, const Weight& w) const { c.weight_bytes += w.bytes(); }
  /// Counts x among what a backward pass needs, once.
  void save(Count& c, const Tensor& x);
  void work(Count& c, double flops, int gradients) const;

  CountPass pass_;
  CountTypes types_;
  std::vector<std::map<std::string, Count>> layers_;
  size_t layer_ = 0;
  int64_t storages_ = 0;
  Tensor first_;
  std::set<int64_t> saved_;
};
static_assert(OpSet<CountOps>);

/// Pairs (query, key) of one head: queries at positions [context, context + tokens), each of which sees the keys up to
/// its own, `window` of them at most where window > 0 (AttentionShape::reach).
double visible_pairs(int64_t context, int64_t tokens, int64_t window);

}  // namespace jet
