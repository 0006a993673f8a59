// TorchOps: blocks over libtorch tensors, CPU or CUDA, with autograd. Rows are [B, T]; a weight is a tensor; a state is
// an undefined tensor (empty) or [B, ...], kept only where keep_state is set.
#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <utility>

#include "jet/blocks/math.h"
#include "jet/blocks/op_set.h"
#include "jet/train/documents.h"
#include "jet/train/row_ops.h"

namespace jet {

/// What a forward pass reads; a tensor of ids is rows of one text each.
struct TokenRows {
  at::Tensor ids;                                // [B, T] int64
  std::shared_ptr<const Documents> documents{};  // of these rows; null: each row is one text
  int64_t position = 0;                          // of the first token of every row
  TokenRows() = default;
  TokenRows(at::Tensor all, std::shared_ptr<const Documents> apart = nullptr, int64_t begin = 0)
      : ids(std::move(all)), documents(std::move(apart)), position(begin) {}
};

class TorchOps {
 public:
  using Tensor = at::Tensor;
  using Weight = at::Tensor;
  using State = at::Tensor;
  using Ids = TokenRows;

  at::Device device = at::kCPU;         // where weights and rows lie
  at::ScalarType compute = at::kFloat;  // type of the big products: kFloat or kBFloat16; everything else is fp32
  bool recompute = false;               // forward_with: keep the layers' inputs alone, run each again when going back
  bool keep_state = false;              // write states back, for a next call with `position` advanced
  int64_t position = 0;                 // of the first token of this call
  std::shared_ptr<const Documents> documents;     // of this pass's rows: each starts without states, and none are kept
  bool last_only = false;                         // last_rows: only the last token's row
  std::vector<Tensor>* attention_maps = nullptr;  // where set: every attention's probabilities [B, heads, T, S]
  mutable Tensor first;                           // first_of_pass: undefined until its first call after an embed

  Tensor linear(const Tensor& x, const Weight& w, const Weight& bias = {}) const;
  template <class F, class... Xs>
  Tensor map(F&& f, const Xs&... xs) const {
    return f(xs...);
  }
  Tensor heads(const Tensor& x, int64_t n) const { return x.unflatten(-1, {n, x.size(-1) / n}); }
  Tensor flat(const Tensor& x) const { return x.flatten(-2); }
  Tensor slice(const Tensor& x, int64_t begin, int64_t size) const { return x.narrow(-1, begin, size); }
  Tensor repeat_heads(const Tensor& x, int64_t n) const { return n == 1 ? x : x.repeat_interleave(n, -2); }
  Tensor rms_norm(const Tensor& x, const Weight& w, float eps) const;
  Tensor layer_norm(const Tensor& x, float eps) const { return at::layer_norm(x, {x.size(-1)}, {}, {}, eps); }
  Tensor l2_norm(const Tensor& x, float eps) const { return norm_rows(x, {}, 1, eps); }
  Tensor sum_last(const Tensor& x) const { return x.sum(-1, true); }
  Tensor constant(const std::vector<float>& v) const { return at::tensor(v).to(device); }
  Tensor rope(const Tensor& x, const Rope& r) const;
  Tensor shift(const Tensor& x, State& last) const;
  Tensor short_conv(const Tensor& x, const Weight& w, const Weight& bias, State& tail) const;
  Tensor dynamic_conv(const Tensor& x, const Tensor& kernels, State& tail) const;
  Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionShape& shape, State& keys,
                   State& values) const;
  Tensor recurrence(const Recurrence<Tensor>& r, State& state) const;
  Tensor first_of_pass(const Tensor& x) const {
    if (!first.defined()) first = x;
    return first;
  }
  Tensor embed(const Tensor& ids, const Weight& w) {
    first = Tensor();
    return at::embedding(w, ids).to(at::kFloat);
  }
  /// Begins a pass over these rows.
  Tensor embed(const TokenRows& rows, const Weight& w) {
    documents = rows.documents;
    position = rows.position;
    return embed(rows.ids, w);
  }
  Tensor last_rows(const Tensor& x) const { return last_only ? x.narrow(1, x.size(1) - 1, 1) : x; }

 private:
  Tensor in_compute_type(const Tensor& x) const;
  Tensor with_tail(const Tensor& x, State& tail, int64_t width) const;
  TorchOps of_one_document() const;

  mutable Tensor converted_from_, converted_;  // of in_compute_type's last call
};
static_assert(OpSet<TorchOps> && FormulaNumber<at::Tensor>);

}  // namespace jet
