// Golden files of single operators. Their names of inputs are the operator's own; each maps onto the one recurrence:
//   retention, lightning_attn   a constant decay a head, from the rule in the metadata
//   rwkv7                       r, w are our q, g
//   mamba2_ssd                  q = C, k = B, v = dt x, g = dt A, and D x beside it; states [B, H, P, N] are transposed
//   ..._l2norm                  q and k made unit inside
#include <torch/csrc/autograd/autograd.h>

#include <filesystem>

#include "jet/train/golden_tensors.h"
#include "jet/train/recurrence.h"
#include "jet/train/verify.h"

namespace jet {

using at::Tensor;

namespace {

class Operator {
 public:
  explicit Operator(const std::string& path) : golden_(path), name_(std::filesystem::path(path).stem().string()) {}

  // `suffix` "": from zeros; "_h0": from h0, the final state weighing in too.
  void check(const std::string& suffix, std::vector<VerifyCase>& out) {
    inputs_.clear();
    const bool mamba = name_ == "mamba2_ssd", start = !suffix.empty();
    const Tensor h0 = start ? leaf("h0") : Tensor();
    const auto turned = [&](const Tensor& t) { return mamba && t.defined() ? t.transpose(-1, -2) : t; };
    Tensor skip;
    const Recurrence<Tensor> r = mamba ? mamba2(skip) : plain();
    auto [o, last] = chunked_recurrence(r, turned(h0));
    if (skip.defined()) o = o + skip;
    last = turned(last);
    out.push_back(compare("o" + suffix, relative(o.detach(), golden_.at("o" + suffix)), 1e-5));
    out.push_back(compare("final_state" + suffix, relative(last.detach(), golden_.at("final_state" + suffix)), 1e-5));
    Tensor loss = (o * golden_.at("do")).sum();
    if (start) loss = loss + (last * golden_.at("dht")).sum();
    std::vector<Tensor> leaves;
    for (const auto& [input, t] : inputs_) leaves.push_back(t);
    const auto grads = torch::autograd::grad({loss}, leaves);
    for (size_t i = 0; i < leaves.size(); ++i) {
      const std::string& input = inputs_[i].first;
      const std::string key = "d" + input + (input == "h0" ? "" : suffix);
      if (golden_.has(key)) out.push_back(compare(key, relative(grads[i], golden_.at(key)), 1e-5));
    }
  }

 private:
  Tensor leaf(const std::string& key) {
    if (!golden_.has(key)) return {};
    inputs_.emplace_back(key, golden_.at(key).requires_grad_(true));
    return inputs_.back().second;
  }

  Recurrence<Tensor> plain() {
    Recurrence<Tensor> r;
    const bool rwkv = name_ == "rwkv7";
    r.q = leaf(rwkv ? "r" : "q"), r.k = leaf("k"), r.v = leaf("v"), r.g = leaf(rwkv ? "w" : "g");
    r.beta = leaf("beta"), r.a = leaf("a"), r.b = leaf("b");
    if (!rwkv) r.scale = 1 / std::sqrt(static_cast<float>(r.q.size(-1)));
    const Tensor head = at::arange(r.q.size(2), at::kFloat);
    if (name_ == "retention") r.g = at::log1p(-at::exp2(-5 - head));
    if (name_ == "lightning_attn") r.g = -head * (8.0 / static_cast<double>(head.size(0)) * (1 - 3.0 / 12));
    if (name_.ends_with("l2norm")) {
      const auto unit = [](const Tensor& t) { return t * (t.square().sum(-1, true) + 1e-6).rsqrt(); };
      r.q = unit(r.q), r.k = unit(r.k);
    }
    return r;
  }

  Recurrence<Tensor> mamba2(Tensor& skip) {
    const Tensor x = leaf("x"), dt = leaf("dt"), A = leaf("A"), B = leaf("B"), C = leaf("C"), D = leaf("D");
    const auto shared = [&](const Tensor& t) { return t.expand({t.size(0), t.size(1), x.size(2), t.size(-1)}); };
    skip = D.unsqueeze(-1) * x;
    return {.q = shared(C), .k = shared(B), .v = dt.unsqueeze(-1) * x, .g = dt * A};
  }

  Golden golden_;
  std::string name_;
  std::vector<std::pair<std::string, Tensor>> inputs_;
};

}  // namespace

std::vector<VerifyCase> verify_torch_op(const std::string& path) {
  std::vector<VerifyCase> out;
  Operator op(path);
  op.check("", out);
  op.check("_h0", out);
  return out;
}

}  // namespace jet
