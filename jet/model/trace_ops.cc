#include "jet/model/trace_ops.h"

#include "jet/model/transformer.h"

namespace jet {

using Op = Program::Op;
using Tensor = TraceTensor;

Tensor TraceOps::add(Program::Instruction i, Shape shape, bool tokens) {
  i.shape = shape, i.tokens = tokens;
  program_.code.push_back(std::move(i));
  return {static_cast<int>(program_.code.size()) - 1, std::move(shape), tokens};
}

Tensor TraceOps::linear(const Tensor& x, const Weight& w, const Weight& bias) {
  const bool by_head = x.shape.size() == 2 && x.shape[1] == w.shape.at(1);
  require(by_head || numel(x.shape) == w.shape.at(1), "linear: {} against a weight {}", to_string(x.shape),
          to_string(w.shape));
  return add({.op = Op::linear, .in = {operand(x), operand(w), operand(bias)}},
             by_head ? Shape{x.shape[0], w.shape[0]} : Shape{w.shape[0]}, x.tokens);
}

/// A parameter among a map's arguments: a mix [1, 1, C] is [C].
Tensor TraceOps::of_map(const Weight& w) {
  Shape shape = w.shape;
  while (shape.size() > 1 && shape.front() == 1) shape.erase(shape.begin());
  return {0, std::move(shape), false};
}

Tensor TraceOps::map_recorded(Formula formula, std::vector<Operand> in, const std::vector<Tensor>& arguments) {
  Shape shape;
  bool tokens = false;
  for (const Tensor& x : arguments) shape = broadcast(shape, x.shape), tokens = tokens || x.tokens;
  return add({.op = Op::map, .in = std::move(in), .with = std::move(formula)}, std::move(shape), tokens);
}

Tensor TraceOps::heads(const Tensor& x, int64_t n) {
  return add({.op = Op::heads, .in = {operand(x)}, .with = n}, {n, numel(x.shape) / n}, x.tokens);
}

Tensor TraceOps::heads(const Weight& w, int64_t n) {
  return add({.op = Op::heads, .in = {operand(w)}, .with = n}, {n, numel(w.shape) / n}, false);
}

Tensor TraceOps::flat(const Tensor& x) { return add({.op = Op::flat, .in = {operand(x)}}, {numel(x.shape)}, x.tokens); }

Tensor TraceOps::slice(const Tensor& x, int64_t begin, int64_t size) {
  Shape shape = x.shape;
  shape.back() = size;
  return add({.op = Op::slice, .in = {operand(x)}, .with = Program::Slice{begin, size}}, std::move(shape), x.tokens);
}

Tensor TraceOps::repeat_heads(const Tensor& x, int64_t n) {
  return add({.op = Op::repeat_heads, .in = {operand(x)}, .with = n}, {x.shape.at(0) * n, x.shape.at(1)}, x.tokens);
}

Tensor TraceOps::rms_norm(const Tensor& x, const Weight& w, float eps) {
  return add({.op = Op::rms_norm, .in = {operand(x), operand(w)}, .with = eps}, x.shape, x.tokens);
}

Tensor TraceOps::layer_norm(const Tensor& x, float eps) {
  return add({.op = Op::layer_norm, .in = {operand(x)}, .with = eps}, x.shape, x.tokens);
}

Tensor TraceOps::l2_norm(const Tensor& x, float eps) {
  return add({.op = Op::l2_norm, .in = {operand(x)}, .with = eps}, x.shape, x.tokens);
}

Tensor TraceOps::sum_last(const Tensor& x) {
  Shape shape = x.shape;
  shape.back() = 1;
  return add({.op = Op::sum_last, .in = {operand(x)}}, std::move(shape), x.tokens);
}

Tensor TraceOps::constant(const std::vector<float>& values) {
  return add({.op = Op::constant, .with = values}, {static_cast<int64_t>(values.size())}, false);
}

Tensor TraceOps::rope(const Tensor& x, const Rope& r) {
  return add({.op = Op::rope, .in = {operand(x)}, .with = r}, x.shape, x.tokens);
}

Tensor TraceOps::shift(const Tensor& x, State last) {
  return add({.op = Op::shift, .in = {operand(x)}, .states = {last.index}}, x.shape, x.tokens);
}

Tensor TraceOps::short_conv(const Tensor& x, const Weight& w, const Weight& bias, State tail) {
  return add({.op = Op::short_conv, .in = {operand(x), operand(w), operand(bias)}, .states = {tail.index}}, x.shape,
             x.tokens);
}

Tensor TraceOps::dynamic_conv(const Tensor& x, const Tensor& kernels, State tail) {
  return add({.op = Op::dynamic_conv, .in = {operand(x), operand(kernels)}, .states = {tail.index}}, x.shape, x.tokens);
}

Tensor TraceOps::attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionShape& shape, State keys,
                           State values) {
  return add({.op = Op::attention,
              .in = {operand(q), operand(k), operand(v)},
              .states = {keys.index, values.index},
              .with = shape},
             q.shape, q.tokens);
}

Tensor TraceOps::recurrence(const Recurrence<Tensor>& r, State state) {
  return add(
      {.op = Op::recurrence,
       .in = {operand(r.q), operand(r.k), operand(r.v), operand(r.g), operand(r.beta), operand(r.a), operand(r.b)},
       .states = {state.index},
       .with = r.scale},
      r.v.shape, r.v.tokens);
}

Tensor TraceOps::first_of_pass(const Tensor& x) {
  if (!first_) first_ = x;
  return first_;
}

Tensor TraceOps::embed(Ids, const Weight& w) {
  first_ = {};
  return add({.op = Op::embed, .in = {operand(w)}}, {w.shape.at(1)}, true);
}

Tensor TraceOps::last_rows(const Tensor& x) {
  return add({.op = Op::last_rows, .in = {operand(x)}}, x.shape, x.tokens);
}

Program record_program(const ModelSpec& spec) {
  ModelWeights<TraceWeight> weights;
  int n = 0;
  model_params(spec, weights, [&](const std::string&, TraceWeight& w, const ParamSpec& p) { w = {n++, p.shape}; });
  ModelState<TraceState> state;
  n = 0;
  model_state(spec, state, [&](int, const char*, TraceState& s, const StateSpec&) { s.index = n++; });
  Program program;
  TraceOps ops(program);
  logits_forward(ops, spec, weights, TraceOps::Ids{}, state, [&](const char* name, int layer, const TraceTensor& x) {
    program.sights.push_back({name, layer, x.index});
  });
  return program;
}

}  // namespace jet
