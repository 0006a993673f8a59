#include "jet/train/head_loss.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

#include "jet/base/error.h"
#include "jet/train/widened.h"

namespace jet {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

// The losses [n] of positions [from, from + n); z [n, vocab] holds log p, and p - target afterwards.
using RowsFn = std::function<Tensor(int64_t from, int64_t n, Tensor& z)>;

struct Head {
  const TorchOps& ops;
  Tensor weights;  // [N]
  int64_t positions;
  RowsFn rows;
  bool grad;  // any is wanted
};

// A head in the type of the products, so that it is converted once for all chunks.
Tensor for_products(const TorchOps& ops, const Tensor& head) {
  return ops.compute == at::kFloat ? head : head.to(ops.compute);
}

// dz W, w of for_products()
Tensor times(const TorchOps& ops, const Tensor& dz, const Tensor& w) {
  if (ops.compute != at::kFloat) return at::matmul(dz.to(ops.compute), w).to(at::kFloat);
  return w.scalar_type() == at::kFloat ? at::matmul(dz, w) : widened_times(dz, w);
}

struct HeadLoss : torch::autograd::Function<HeadLoss> {
  static Tensor forward(AutogradContext* ctx, const Tensor& hidden, const Tensor& head, const Head& o) {
    const bool for_hidden = o.grad && hidden.requires_grad(), for_head = o.grad && head.requires_grad();
    Tensor loss = at::zeros({}, hidden.options()), dh, dw;
    if (for_hidden) dh = at::empty_like(hidden);
    if (for_head) dw = at::zeros_like(head);
    const Tensor multiplied = for_products(o.ops, head);
    for (int64_t from = 0; from < hidden.size(0); from += o.positions) {
      const int64_t n = std::min(o.positions, hidden.size(0) - from);
      const Tensor h = hidden.narrow(0, from, n), w = o.weights.narrow(0, from, n);
      Tensor z = at::log_softmax(o.ops.linear(h, multiplied), -1);
      loss += (o.rows(from, n, z) * w).sum();
      z *= w.unsqueeze(1);
      if (for_hidden) dh.narrow(0, from, n).copy_(times(o.ops, z, multiplied));
      if (for_head) dw += at::matmul(z.t().to(o.ops.compute), h.to(o.ops.compute));
    }
    ctx->save_for_backward({dh, dw});
    return loss;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    variable_list out = ctx->get_saved_variables();
    if (grads[0].item<double>() != 1) {  // a head's gradient is large: no copy where none is needed
      for (Tensor& t : out)
        if (t.defined()) t = t * grads[0];
    }
    out.emplace_back();
    return out;
  }
};

Tensor predicting(const Tensor& hidden, const Tensor& weights) {
  return hidden.narrow(1, 0, weights.size(1)).flatten(0, 1);
}

Tensor head_loss(const TorchOps& ops, const Tensor& hidden, const Tensor& head, const Tensor& weights,
                 int64_t positions, const RowsFn& rows) {
  if (positions == 0) positions = positions_at_once(head.size(0), head.device());
  const Head o{ops, weights.flatten(), positions, rows, at::GradMode::is_enabled()};
  return HeadLoss::apply(predicting(hidden, weights), head, o);
}

}  // namespace

Tensor kl_loss(const TorchOps& ops, const ModelEnd& student, const ModelEnd& teacher, const Tensor& weights,
               int64_t positions) {
  const Tensor theirs = predicting(teacher.hidden, weights).detach(),
               their_head = for_products(ops, teacher.head.detach());
  return head_loss(ops, student.hidden, student.head, weights, positions, [&](int64_t from, int64_t n, Tensor& z) {
    Tensor log_target = at::log_softmax(ops.linear(theirs.narrow(0, from, n), their_head), -1);
    const Tensor target = log_target.exp(), loss = log_target.sub_(z).mul_(target).sum(-1);
    z.exp_().sub_(target);
    return loss;
  });
}

namespace {

// log of the probability of all tokens but `ids`
Tensor log_of_others(const Tensor& log_p, const Tensor& ids) { return log_p.scatter(1, ids, -INFINITY).logsumexp(1); }

}  // namespace

Targets top_targets(const TorchOps& ops, const Tensor& teacher_hidden, const Tensor& teacher_head, int64_t k,
                    int64_t positions) {
  const at::NoGradGuard no_grad;
  require(0 < k && k <= teacher_head.size(0), "the teacher's {} greatest probabilities of {} tokens cannot be kept", k,
          teacher_head.size(0));
  const Tensor multiplied = for_products(ops, teacher_head);
  std::vector<Tensor> ids, log_p, rest;
  if (positions == 0) positions = positions_at_once(teacher_head.size(0), teacher_head.device());
  for (const Tensor& h : teacher_hidden.flatten(0, 1).split(positions)) {
    const Tensor all = at::log_softmax(ops.linear(h, multiplied), -1);
    const auto [p, at] = all.topk(k, -1);
    ids.push_back(at.to(at::kInt)), log_p.push_back(p), rest.push_back(log_of_others(all, at));
  }
  return {at::cat(ids), at::cat(log_p), at::cat(rest)};
}

Tensor kl_loss(const TorchOps& ops, const Tensor& hidden, const Tensor& head, const Targets& targets,
               const Tensor& weights, int64_t positions) {
  return head_loss(ops, hidden, head, weights, positions, [&](int64_t from, int64_t n, Tensor& z) {
    const Tensor ids = targets.ids.narrow(0, from, n).to(at::kLong), log_p = targets.log_p.narrow(0, from, n);
    const Tensor log_rest = targets.log_rest.narrow(0, from, n), own = z.gather(1, ids);
    const Tensor more = log_rest - log_of_others(z, ids), some = log_rest > -INFINITY;
    const Tensor loss = (log_p.exp() * (log_p - own)).sum(1) + at::where(some, log_rest.exp() * more, 0.0);
    z.exp_().mul_(at::where(some, 1 - more.exp(), 1.0).unsqueeze(1)).scatter_(1, ids, own.exp() - log_p.exp());
    return loss;
  });
}

Tensor next_token_loss(const TorchOps& ops, const Tensor& hidden, const Tensor& head, const Tensor& next,
                       const Tensor& weights, int64_t positions) {
  const Tensor targets = next.flatten();
  return head_loss(ops, hidden, head, weights, positions, [&](int64_t from, int64_t n, Tensor& z) {
    const Tensor at = targets.narrow(0, from, n).unsqueeze(1), loss = -z.gather(1, at).squeeze(1);
    z.exp_().scatter_add_(1, at, at::full({n, 1}, -1, z.options()));
    return loss;
  });
}

}  // namespace jet
