#include "jet/model/count_ops.h"

#include <algorithm>

#include "jet/tensor/quant.h"

namespace jet {

using Tensor = CountTensor;

Count& Count::operator+=(const Count& o) {
  ops += o.ops, flops += o.flops, backward_flops += o.backward_flops;
  weight_bytes += o.weight_bytes, state_read_bytes += o.state_read_bytes, state_written_bytes += o.state_written_bytes;
  activation_bytes += o.activation_bytes, saved_bytes += o.saved_bytes;
  return *this;
}

double CountWeight::bytes() const {
  if (!present) return 0;
  const int64_t columns = shape.size() == 2 ? shape.back() : numel(shape);
  return static_cast<double>(matrix_bytes(dtype, numel(shape) / columns, columns));
}

double visible_pairs(int64_t context, int64_t tokens, int64_t window) {
  const auto ascending = [](int64_t from, int64_t to) {  // sum of t + 1 over [from, to)
    return 0.5 * (static_cast<double>(to) * static_cast<double>(to + 1) -
                  static_cast<double>(from) * static_cast<double>(from + 1));
  };
  const int64_t end = context + tokens;
  if (window <= 0) return ascending(context, end);
  const int64_t filled = std::clamp(window, context, end);  // from here on a query sees a whole window
  return ascending(context, filled) + static_cast<double>((end - filled) * window);
}

void CountOps::enter(size_t layer) {
  if (layers_.size() <= layer) layers_.resize(layer + 1);
  layer_ = layer;
}

Tensor CountOps::make(int64_t rows, bool tokens, Shape shape, bool grad) {
  return {true, std::move(shape), rows, tokens, grad, storages_++};
}

Tensor CountOps::view(const Tensor& x, Shape shape) const {
  Tensor y = x;
  y.shape = std::move(shape);
  return y;
}

Tensor CountOps::tensor(const Weight& w) {
  Shape shape = w.shape;
  while (shape.size() > 1 && shape.front() == 1) shape.erase(shape.begin());
  return make(1, false, std::move(shape), w.trained);
}

void CountOps::save(Count& c, const Tensor& x) {
  // What has no tokens is a parameter or a constant: it is there anyway.
  if (!x || !x.tokens || !saved_.insert(x.storage).second) return;
  c.saved_bytes += bytes(x);
}

void CountOps::work(Count& c, double flops, int gradients) const {
  c.flops += flops;
  c.backward_flops += gradients * flops;
}

Tensor CountOps::linear(const Tensor& x, const Weight& w, const Weight& bias) {
  if (x.shape.size() == 2 && x.shape[1] == w.shape.at(1) && x.shape[0] > 1) {  // a head a row
    Tensor lines = x;
    lines.rows = x.rows * x.shape[0], lines.shape = {x.shape[1]};
    Tensor out = linear(lines, w, bias);
    out.rows = x.rows, out.shape = {x.shape[0], w.shape[0]};
    return out;
  }
  require(w.shape.size() == 2 && w.shape[1] == numel(x.shape), "linear: rows of {} numbers against a weight {}",
          numel(x.shape), to_string(w.shape));
  const Tensor out = make(x.rows, x.tokens, {w.shape[0]}, x.grad || w.trained || bias.trained);
  Count& c = kind(std::string("linear ") + name_of(w.dtype));
  ++c.ops;
  read(c, x), read(c, w), read(c, bias), read(c, out);
  work(c, 2 * static_cast<double>(x.rows) * w.numbers(), (x.grad ? 1 : 0) + (w.trained ? 1 : 0));
  if (w.trained) save(c, x);
  return out;
}

Tensor CountOps::gated_linear(Activation act, const Tensor& x, const Weight& gate, const Weight& up) {
  const Tensor g = linear(x, gate), u = linear(x, up);
  if (gate.dtype != up.dtype) return gated_product(*this, act, g, u);
  const Tensor out = with_gate(act, [&](auto formula) { return count(record<2>(formula), {g, u}); });
  Count& c = kind(std::string("linear ") + name_of(gate.dtype));
  --c.ops;
  c.activation_bytes += bytes(out) - bytes(x) - bytes(g) - bytes(u);
  return out;
}

Tensor CountOps::embed(Ids, const Weight& w) {
  first_ = {};
  Count& c = kind("embed");
  ++c.ops;
  const int64_t read_rows = std::min(pass_.rows(), w.shape[0]);
  c.weight_bytes += w.bytes() * static_cast<double>(read_rows) / static_cast<double>(w.shape[0]);
  Tensor out = make(pass_.rows(), true, {w.shape[1]}, w.trained);
  c.activation_bytes += bytes(out);
  return out;
}

Tensor CountOps::last_rows(const Tensor& x) {
  Tensor y = x;
  y.rows = pass_.sequences * std::min(pass_.logits, pass_.tokens);
  return y;
}

Tensor CountOps::heads(const Tensor& x, int64_t n) {
  const int64_t size = numel(x.shape);
  require(n > 0 && size % n == 0, "heads: {} numbers do not divide into {} heads", size, n);
  return view(x, {n, size / n});
}

Tensor CountOps::heads(const Weight& w, int64_t n) {
  read(kind("elementwise"), w);
  return heads(tensor(w), n);
}

Tensor CountOps::flat(const Tensor& x) { return view(x, {numel(x.shape)}); }

Tensor CountOps::slice(const Tensor& x, int64_t begin, int64_t size) {
  require(begin >= 0 && begin + size <= x.shape.back(), "slice: [{}, {}) of {}", begin, begin + size,
          to_string(x.shape));
  if (x.shape.size() == 1) return view(x, {size});
  return copied(x, {x.shape[0], size});
}

Tensor CountOps::repeat_heads(const Tensor& x, int64_t n) {
  return n == 1 ? x : copied(x, {x.shape[0] * n, x.shape[1]});
}

Tensor CountOps::copied(const Tensor& x, Shape shape) {
  Count& c = kind("copy");
  ++c.ops;
  const Tensor out = make(x.rows, x.tokens, std::move(shape), x.grad);
  read(c, x), read(c, out);
  return out;
}

Tensor CountOps::apply(const Tensor& x, const Tensor* y, Keeps keeps) {
  Shape shape = y ? broadcast(x.shape, y->shape) : x.shape;
  const bool tokens = x.tokens || (y && y->tokens), grad = x.grad || (y && y->grad);
  const int64_t rows = y ? std::max(x.rows, y->rows) : x.rows;
  Tensor out = make(rows, tokens, std::move(shape), grad);
  Count& c = kind("elementwise");
  work(c, out.numbers(), (x.grad ? 1 : 0) + (y && y->grad ? 1 : 0));
  if (!grad) return out;
  if (keeps == result) save(c, out);
  if (keeps == argument) save(c, x);
  if (keeps == factors && y->grad) save(c, x);
  if (keeps == factors && x.grad) save(c, *y);
  return out;
}

Tensor CountOps::count(const Formula& formula, const std::vector<Tensor>& arguments) {
  using Op = Formula::Op;
  std::vector<Tensor> v;
  for (const Formula::Instruction& i : formula.code) {
    switch (i.op) {
      case Op::argument: v.push_back(arguments[i.a]); break;
      case Op::constant: v.push_back(make(1, false, {}, false)); break;
      case Op::add:
      case Op::sub: v.push_back(apply(v[i.a], &v[i.b], nothing)); break;
      case Op::mul:
      case Op::div: v.push_back(apply(v[i.a], &v[i.b], factors)); break;
      case Op::neg: v.push_back(apply(v[i.a], nullptr, nothing)); break;
      case Op::exp:
      case Op::tanh:
      case Op::sigmoid: v.push_back(apply(v[i.a], nullptr, result)); break;
      case Op::silu:
      case Op::softplus:
      case Op::log_sigmoid:
      case Op::clamp_min: v.push_back(apply(v[i.a], nullptr, argument)); break;
    }
  }
  return v[formula.result];
}

/// A function of the last dimension, which becomes `width` numbers.
Tensor CountOps::norm(const Tensor& x, int64_t width, double flops, bool saves) {
  Shape shape = x.shape;
  shape.back() = width;
  const Tensor out = make(x.rows, x.tokens, std::move(shape), x.grad);
  Count& c = kind("norm");
  ++c.ops;
  read(c, x), read(c, out);
  work(c, flops * x.numbers(), x.grad ? 2 : 0);
  if (saves && x.grad) save(c, x);
  return out;
}

Tensor CountOps::rms_norm(const Tensor& x, const Weight& w, float /*eps*/) {
  Tensor out = norm(x, x.shape.back(), w ? 4 : 3, true);
  Count& c = kind("norm");
  read(c, w);
  if (w.trained) save(c, x);  // x / rms, from which the weight's gradient is made, follows from x and the rms
  out.grad = x.grad || w.trained;
  return out;
}

Tensor CountOps::layer_norm(const Tensor& x, float /*eps*/) { return norm(x, x.shape.back(), 5, true); }
Tensor CountOps::l2_norm(const Tensor& x, float /*eps*/) { return norm(x, x.shape.back(), 3, true); }
Tensor CountOps::sum_last(const Tensor& x) { return norm(x, 1, 1, false); }

Tensor CountOps::constant(const std::vector<float>& values) {
  return make(1, false, {static_cast<int64_t>(values.size())}, false);
}

Tensor CountOps::rope(const Tensor& x, const Rope& /*r*/) {
  const Tensor out = make(x.rows, x.tokens, x.shape, x.grad);
  Count& c = kind("rope");
  ++c.ops;
  read(c, x), read(c, out);
  work(c, 3 * x.numbers(), x.grad ? 1 : 0);
  return out;
}

namespace {

/// Numbers that every sequence reads from a fixed state and leaves there.
void touch(Count& c, int64_t sequences, double numbers, double number_bytes) {
  const double bytes = static_cast<double>(sequences) * numbers * number_bytes;
  c.state_read_bytes += bytes;
  c.state_written_bytes += bytes;
}

}  // namespace

Tensor CountOps::shift(const Tensor& x, State& /*last*/) {
  const Tensor out = make(x.rows, x.tokens, x.shape, x.grad);
  Count& c = kind("copy");
  ++c.ops;
  read(c, x), read(c, out);
  touch(c, pass_.sequences, static_cast<double>(numel(x.shape)), size_of(DType::f32));
  return out;
}

Tensor CountOps::convolution(const Tensor& x, int64_t width, bool kernel_grad) {
  const Tensor out = make(x.rows, x.tokens, x.shape, x.grad || kernel_grad);
  Count& c = kind("convolution");
  ++c.ops;
  read(c, x), read(c, out);
  work(c, 2 * static_cast<double>(width) * x.numbers(), (x.grad ? 1 : 0) + (kernel_grad ? 1 : 0));
  if (kernel_grad) save(c, x);
  touch(c, pass_.sequences, static_cast<double>(width * numel(x.shape)), size_of(DType::f32));
  return out;
}

Tensor CountOps::short_conv(const Tensor& x, const Weight& w, const Weight& bias, State& /*tail*/) {
  Count& c = kind("convolution");
  read(c, w), read(c, bias);
  return convolution(x, w.shape.back(), w.trained || bias.trained);
}

Tensor CountOps::dynamic_conv(const Tensor& x, const Tensor& kernels, State& /*tail*/) {
  require(numel(kernels.shape) % numel(x.shape) == 0, "dynamic_conv: kernels {} for channels {}",
          to_string(kernels.shape), to_string(x.shape));
  Count& c = kind("convolution");
  read(c, kernels);
  if (x.grad) save(c, kernels);
  return convolution(x, numel(kernels.shape) / numel(x.shape), kernels.grad);
}

Tensor CountOps::attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionShape& shape,
                           State& /*keys*/, State& /*values*/) {
  require(q.shape.size() == 2 && k.shape == v.shape && q.shape[1] == k.shape[1] && q.shape[0] % k.shape[0] == 0,
          "attention: queries {} against keys {} and values {}", to_string(q.shape), to_string(k.shape),
          to_string(v.shape));
  const bool grad = q.grad || k.grad || v.grad;
  const Tensor out = make(q.rows, q.tokens, q.shape, grad);
  Count& c = kind(shape.window > 0 ? "window attention" : "attention");
  ++c.ops;
  read(c, q), read(c, k), read(c, v), read(c, out);
  const double pairs = visible_pairs(pass_.context, pass_.tokens, shape.reach());
  work(c, 4 * static_cast<double>(pass_.sequences) * pairs * static_cast<double>(numel(q.shape)), grad ? 2 : 0);
  const auto kept = [&](int64_t n) { return shape.window > 0 ? std::min<int64_t>(n, shape.reach()) : n; };
  const auto scale = types_.kv == DType::i8 ? static_cast<int64_t>(sizeof(float)) : 0;
  const int64_t row = 2 * k.shape[0] * (k.shape[1] * static_cast<int64_t>(size_of(types_.kv)) + scale);
  c.state_read_bytes += static_cast<double>(pass_.sequences * kept(pass_.context) * row);
  c.state_written_bytes += static_cast<double>(pass_.sequences * kept(pass_.tokens) * row);
  if (grad) save(c, q), save(c, k), save(c, v), save(c, out);
  return out;
}

Tensor CountOps::recurrence(const Recurrence<Tensor>& r, State& /*state*/) {
  const auto heads = static_cast<double>(r.q.shape[0]), K = static_cast<double>(r.q.shape[1]),
             V = static_cast<double>(r.v.shape[1]);
  require(r.q.shape == r.k.shape && r.v.shape[0] == r.q.shape[0], "recurrence: q {}, k {}, v {}", to_string(r.q.shape),
          to_string(r.k.shape), to_string(r.v.shape));
  Count& c = kind("recurrence");
  ++c.ops;
  bool grad = false;
  for (const Tensor* x : {&r.q, &r.k, &r.v, &r.g, &r.beta, &r.a, &r.b}) {
    read(c, *x);
    grad = grad || x->grad;
  }
  const Tensor out = make(r.v.rows, r.v.tokens, r.v.shape, grad);
  read(c, out);
  const auto chunk = static_cast<double>(std::min(pass_.chunk, pass_.tokens));
  double token = (r.a ? 8 : r.beta ? 6 : 4) * K * V + (r.g ? K * V / chunk : 0);
  if (chunk > 1) {
    // Scores of queries and what they weigh; of keys and the triangular solve: half of each square, and its diagonal.
    const double lower = (chunk + 1) * (K + V), strictly_lower = (chunk - 1) * (K + V);
    token += r.a ? 2 * (lower + strictly_lower) : r.beta ? lower + strictly_lower : lower;
  }
  const auto rows = static_cast<double>(r.v.rows);
  work(c, rows * heads * token, grad ? 2 : 0);
  touch(c, pass_.sequences, heads * K * V, static_cast<double>(size_of(types_.state)));
  if (!grad) return out;
  for (const Tensor* x : {&r.q, &r.k, &r.v, &r.g, &r.beta, &r.a, &r.b}) save(c, *x);
  const auto chunks = static_cast<double>((pass_.tokens + pass_.chunk - 1) / pass_.chunk);
  c.saved_bytes += static_cast<double>(pass_.sequences) * chunks * heads * K * V * sizeof(float);
  return out;
}

}  // namespace jet
