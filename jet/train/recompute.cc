#include "jet/train/recompute.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

namespace jet {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

struct KeptInputs : torch::CustomClassHolder {
  explicit KeptInputs(TensorsFn function) : f(std::move(function)) {}
  TensorsFn f;
};

struct Recomputed : torch::autograd::Function<Recomputed> {
  // An absent y comes as an empty optional: libtorch takes no undefined tensors here.
  static variable_list forward(AutogradContext* ctx, const Tensor& x, const std::optional<Tensor>& y,
                               const TensorsFn& f) {
    const Tensor carried = y.value_or(Tensor());
    ctx->save_for_backward({x, carried});
    ctx->saved_data["f"] = at::IValue::make_capsule(c10::make_intrusive<KeptInputs>(f));
    ctx->set_materialize_grads(false);
    return f(x, carried);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto kept = ctx->saved_data["f"].toCapsule();
    variable_list inputs;
    for (const Tensor& t : ctx->get_saved_variables()) {
      inputs.push_back(t.defined() ? t.detach().requires_grad_(t.requires_grad()) : t);
    }
    variable_list roots, above;
    {
      const at::AutoGradMode with_graph(true);
      const variable_list outputs = static_cast<const KeptInputs&>(*kept).f(inputs[0], inputs[1]);
      for (size_t i = 0; i < outputs.size(); ++i) {
        if (!grads[i].defined() || !outputs[i].requires_grad()) continue;
        roots.push_back(outputs[i]);
        above.push_back(grads[i]);
      }
    }
    if (!roots.empty()) torch::autograd::backward(roots, above);
    return {inputs[0].grad(), inputs[1].defined() ? inputs[1].grad() : Tensor(), Tensor()};
  }
};

}  // namespace

std::vector<Tensor> recomputed(const TensorsFn& f, const Tensor& x, const Tensor& y) {
  return Recomputed::apply(x, y.defined() ? std::optional(y) : std::nullopt, f);
}

}  // namespace jet
