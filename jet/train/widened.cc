#include "jet/train/widened.h"

#include <torch/csrc/autograd/custom_function.h>

#include "jet/base/error.h"

namespace jet {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

// f(first row, rows, block of w in fp32)
template <class F>
void for_blocks(const Tensor& w, int64_t block, F&& f) {
  const int64_t rows = w.size(0), step = std::max<int64_t>(1, block / w.size(1));
  for (int64_t r = 0; r < rows; r += step) {
    const int64_t n = std::min(step, rows - r);
    f(r, n, w.narrow(0, r, n).to(at::kFloat));
  }
}

}  // namespace

Tensor widened_times(const Tensor& dy, const Tensor& w, int64_t block) {
  Tensor dx = at::zeros({dy.size(0), w.size(1)}, dy.options());
  for_blocks(w, block, [&](int64_t r, int64_t n, const Tensor& wide) { dx.addmm_(dy.narrow(1, r, n), wide); });
  return dx;
}

namespace {

struct WidenedLinear : torch::autograd::Function<WidenedLinear> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& w, int64_t block) {
    ctx->save_for_backward({w});
    ctx->saved_data["block"] = block;
    const Tensor flat = x.reshape({-1, x.size(-1)});
    Tensor y = at::empty({flat.size(0), w.size(0)}, x.options());
    for_blocks(w, block, [&](int64_t r, int64_t n, const Tensor& wide) {
      Tensor out = y.narrow(1, r, n);
      at::mm_out(out, flat, wide.t());
    });
    auto shape = x.sizes().vec();
    shape.back() = w.size(0);
    return y.view(shape);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const Tensor w = ctx->get_saved_variables()[0], dy = grads[0].reshape({-1, w.size(0)});
    const Tensor dx = widened_times(dy, w, ctx->saved_data["block"].toInt());
    auto shape = grads[0].sizes().vec();
    shape.back() = w.size(1);
    return {dx.view(shape), Tensor(), Tensor()};
  }
};

}  // namespace

Tensor widened_linear(const Tensor& x, const Tensor& w, int64_t block) {
  require(!w.requires_grad(), "widened_linear: a matrix of fewer bits than fp32 is not trained; give it an fp32 copy");
  return WidenedLinear::apply(x, w, block);
}

}  // namespace jet
