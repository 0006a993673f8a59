#include "jet/train/torch_ops.h"

#include <ATen/core/grad_mode.h>

#include <cmath>

#include "jet/train/recurrence.h"
#include "jet/train/widened.h"

namespace jet {

using at::Tensor;

// Several products read one input (q, k and v; gate and up): it is converted once, and their gradients are added in the
// narrow type. The input is held, so that no other tensor can lie where it lay.
Tensor TorchOps::in_compute_type(const Tensor& x) const {
  const bool wants_gradient = at::GradMode::is_enabled() && x.requires_grad();
  if (!converted_from_.is_same(x) || converted_.requires_grad() != wants_gradient) {
    converted_from_ = x;
    converted_ = x.to(compute);
  }
  return converted_;
}

Tensor TorchOps::linear(const Tensor& x, const Tensor& w, const Tensor& bias) const {
  if (compute == at::kFloat && w.scalar_type() == at::kFloat) return at::linear(x, w, bias);
  const Tensor y =
      compute == at::kFloat ? widened_linear(x, w) : at::linear(in_compute_type(x), w.to(compute)).to(at::kFloat);
  return bias.defined() ? y + bias : y;
}

Tensor TorchOps::rms_norm(const Tensor& x, const Tensor& w, float eps) const {
  return norm_rows(x, w, 1.0 / static_cast<double>(x.size(-1)), eps);
}

Tensor TorchOps::rope(const Tensor& x, const Rope& r) const {
  const int64_t tokens = x.size(1), dim = r.turning(x.size(-1));
  const auto f = r.frequencies(static_cast<int>(dim));
  const auto there = x.options().dtype(at::kDouble);
  const Tensor positions =
      documents ? documents->positions().to(at::kDouble) : at::arange(position, position + tokens, there);
  const double magnitude = r.magnitude.value_or(1);
  const Tensor angle = (positions.unsqueeze(-1) * at::tensor(f, there)).unsqueeze(-2);
  const Tensor c = (angle.cos() * magnitude).to(at::kFloat), s = (angle.sin() * magnitude).to(at::kFloat);
  const Tensor a = x.narrow(-1, 0, dim / 2), b = x.narrow(-1, dim / 2, dim / 2);
  return at::cat({a * c - b * s, b * c + a * s, x.narrow(-1, dim, x.size(-1) - dim)}, -1);
}

// What runs the operators that reach back in time on documents apart.
TorchOps TorchOps::of_one_document() const {
  require(!keep_state && !attention_maps, "rows of documents apart keep neither states nor attention maps");
  TorchOps ops = *this;
  ops.documents = nullptr;
  return ops;
}

Tensor TorchOps::shift(const Tensor& x, Tensor& last) const {
  if (documents) {
    return documents->apart(
        [ops = of_one_document()](const Tensor& own) {
          Tensor none;
          return ops.shift(own, none);
        },
        x);
  }
  const Tensor before = last.defined() ? last.unsqueeze(1) : at::zeros_like(x.narrow(1, 0, 1));
  if (keep_state) last = x.select(1, x.size(1) - 1);
  return at::cat({before, x.narrow(1, 0, x.size(1) - 1)}, 1);
}

// [B, width - 1 + T, C]: x with the rows before it; the tail becomes the last `width` rows.
Tensor TorchOps::with_tail(const Tensor& x, Tensor& tail, int64_t width) const {
  Tensor before = tail.defined() ? tail : at::zeros({x.size(0), width, x.size(2)}, x.options());
  const Tensor all = at::cat({before, x}, 1);
  if (keep_state) tail = all.narrow(1, all.size(1) - width, width);
  return all.narrow(1, 1, all.size(1) - 1);
}

Tensor TorchOps::short_conv(const Tensor& x, const Tensor& w, const Tensor& bias, Tensor& tail) const {
  if (documents) {
    return documents->apart(
        [&, ops = of_one_document()](const Tensor& own) {
          Tensor none;
          return ops.short_conv(own, w, bias, none);
        },
        x);
  }
  const Tensor y = convolve_rows(with_tail(x, tail, w.size(-1)), w.flatten(0, -2));
  return bias.defined() ? y + bias : y;
}

Tensor TorchOps::dynamic_conv(const Tensor& x, const Tensor& kernels, Tensor& tail) const {
  if (documents) {
    return documents->apart(
        [ops = of_one_document()](const Tensor& own, const Tensor& own_kernels) {
          Tensor none;
          return ops.dynamic_conv(own, own_kernels, none);
        },
        x, kernels);
  }
  const int64_t width = kernels.size(-1) / x.size(-1);
  return convolve_rows(with_tail(x, tail, width), kernels.unflatten(-1, {x.size(-1), width}));
}

/// Of all rows those that later queries see.
static Tensor kept_rows(const Tensor& all, const AttentionShape& shape) {
  const int64_t seen = all.size(1);
  if (shape.window == 0 || seen <= shape.reach()) return all;
  const Tensor last = all.narrow(1, seen - shape.window, shape.window);
  return shape.sinks > 0 ? at::cat({all.narrow(1, 0, shape.sinks), last}, 1) : last;
}

Tensor TorchOps::attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionShape& shape, Tensor& keys,
                           Tensor& values) const {
  if (documents) {
    return documents->apart(
        [&, ops = of_one_document()](const Tensor& q1, const Tensor& k1, const Tensor& v1) {
          Tensor none, nothing;
          return ops.attention(q1, k1, v1, shape, none, nothing);
        },
        q, k, v);
  }
  const Tensor all_k = keys.defined() ? at::cat({keys, k}, 1) : k;
  const Tensor all_v = values.defined() ? at::cat({values, v}, 1) : v;
  const int64_t tokens = q.size(1), seen = all_k.size(1), group = q.size(2) / k.size(2);
  if (keep_state) { keys = kept_rows(all_k, shape), values = kept_rows(all_v, shape); }
  const auto by_head = [&](const Tensor& t) { return t.to(compute).transpose(1, 2); };
  std::optional<Tensor> mask;
  const bool plain = seen == tokens && (shape.window == 0 || shape.reach() >= tokens);
  if (!plain) {  // query row i stands at column i + seen - tokens; rows that were dropped lay between sinks and window
    const Tensor row = at::arange(seen - tokens, seen, q.device()).unsqueeze(1), column = at::arange(seen, q.device());
    Tensor visible = column <= row;
    if (shape.window > 0) visible = visible.logical_and((column > row - shape.window).logical_or(column < shape.sinks));
    mask = visible;
  }
  if (attention_maps) {
    const Tensor above = mask ? mask->logical_not() : at::ones({tokens, seen}, q.options().dtype(at::kBool)).triu_(1);
    const Tensor logits = at::matmul(by_head(q), by_head(repeat_heads(all_k, group)).transpose(-1, -2)) * shape.scale;
    Tensor p = at::softmax(logits.to(at::kFloat).masked_fill(above, -INFINITY), -1);
    if (!p.requires_grad()) p.requires_grad_(true);
    attention_maps->push_back(p);
    return at::matmul(p, repeat_heads(all_v, group).transpose(1, 2)).transpose(1, 2);
  }
  const Tensor o =
      at::scaled_dot_product_attention(by_head(q), by_head(repeat_heads(all_k, group)),
                                       by_head(repeat_heads(all_v, group)), mask, 0.0, plain, double{shape.scale});
  return o.transpose(1, 2).to(at::kFloat);
}

Tensor TorchOps::recurrence(const Recurrence<Tensor>& r, Tensor& state) const {
  if (documents) {
    return documents->apart(
        [&, ops = of_one_document()](const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& g,
                                     const Tensor& beta, const Tensor& a, const Tensor& b) {
          Tensor none;
          return ops.recurrence({q, k, v, g, beta, a, b, r.scale}, none);
        },
        r.q, r.k, r.v, r.g, r.beta, r.a, r.b);
  }
  auto [o, last] = chunked_recurrence(r, state);
  if (keep_state) state = last;
  return o;
}

}  // namespace jet
