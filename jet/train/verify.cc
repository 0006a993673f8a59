#include "jet/train/verify.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <filesystem>

#include "jet/train/golden_tensors.h"

namespace jet {

using at::Tensor;

namespace {

// Runs ids through the model in chunks, carrying state; returns all logits.
Tensor run_chunks(const TorchModel& m, const Tensor& ids, int64_t chunk, ModelState<Tensor>& state) {
  const at::NoGradGuard no_grad;
  TorchOps ops;
  ops.keep_state = true;
  model_state(m.spec, state, [](int, const char*, Tensor& t, const StateSpec&) { t = Tensor(); });
  std::vector<Tensor> parts;
  for (int64_t at = 0; at < ids.size(1); at += chunk) {
    ops.position = at;
    parts.push_back(
        logits_forward(ops, m.spec, m.weights, ids.narrow(1, at, std::min(chunk, ids.size(1) - at)), state));
  }
  return at::cat(parts, 1);
}

Tensor greedy(const TorchModel& m, const Tensor& ids, int64_t n) {
  const at::NoGradGuard no_grad;
  ModelState<Tensor> state;
  Tensor next = run_chunks(m, ids, ids.size(1), state).select(1, ids.size(1) - 1).argmax(-1, true);
  std::vector<Tensor> out{next};
  TorchOps ops;
  ops.keep_state = true;
  for (int64_t i = 1; i < n; ++i) {
    ops.position = ids.size(1) + i - 1;
    next = logits_forward(ops, m.spec, m.weights, next, state).select(1, 0).argmax(-1, true);
    out.push_back(next);
  }
  return at::cat(out, 1);
}

// Forward and backward of the mean next-token loss against grad.<param>.
void check_gradients(TorchModel& m, const Golden& g, const Tensor& ids, const Tensor& loss_ref,
                     std::vector<VerifyCase>& out) {
  const auto params = m.parameters();
  std::vector<Tensor> leaves;
  for (auto [name, t] : params) leaves.push_back(t.requires_grad_(true));
  TorchOps ops;
  const Tensor logits = m.logits(ops, ids);
  const Tensor loss = at::cross_entropy_loss(logits.narrow(1, 0, ids.size(1) - 1).flatten(0, 1),
                                             ids.narrow(1, 1, ids.size(1) - 1).flatten());
  out.push_back(compare("loss", max_abs(loss.detach(), loss_ref.squeeze()), 2e-4));
  const auto grads = torch::autograd::grad({loss}, leaves);
  for (size_t i = 0; i < params.size(); ++i) {
    out.push_back(compare("grad." + params[i].first, relative(grads[i], g.at("grad." + params[i].first)), 1e-4));
    leaves[i].requires_grad_(false);
  }
}

void check_states(const TorchModel& m, const Golden& g, ModelState<Tensor>& state, std::vector<VerifyCase>& out) {
  model_state(m.spec, state, [&](int layer, const std::string& name, Tensor& t, const StateSpec&) {
    const bool row = name == "keys" || name == "values";
    const std::string theirs = name == "keys" ? "key" : name == "values" ? "value" : name + "_state";
    const std::string key = fmt::format("cache.{}.{}", layer, theirs);
    if (!g.has(key)) return;
    const Tensor ours = row || name == "conv" ? t.transpose(1, 2) : t;
    out.push_back(compare(key, max_abs(ours, g.at(key)), 2e-4));
  });
}

}  // namespace

std::vector<VerifyCase> verify_torch_model(const std::string& folder) {
  TorchModel m = TorchModel::load(folder);
  const Golden g(folder + "/golden.safetensors");
  std::vector<VerifyCase> out;
  for (const auto& [key, stored] : g.file.all()) {
    if (!key.starts_with("input_ids")) continue;
    const std::string suffix = key.substr(9);
    const Tensor ids = g.at(key), ref = g.at("logits" + suffix);
    for (int64_t chunk : {ids.size(1), int64_t{7}, int64_t{1}}) {
      ModelState<Tensor> state;
      const Tensor logits = run_chunks(m, ids, chunk, state);
      const std::string name =
          fmt::format("logits{} in chunks of {}", suffix, chunk == ids.size(1) ? "all" : std::to_string(chunk));
      out.push_back(compare(name, max_abs(logits, ref), 2e-4));
      if (suffix == ".65") check_states(m, g, state, out);
    }
    if (g.has("greedy_ids" + suffix)) {
      const Tensor want = g.at("greedy_ids" + suffix);
      const Tensor wrong = greedy(m, ids, want.size(1)).ne(want).sum();
      out.push_back(compare("greedy_ids" + suffix, wrong.item<double>(), 0));
    }
  }
  require(!out.empty(), "{}/golden.safetensors: no input_ids in it", folder);
  const std::string suffix = g.has("loss") ? "" : ".65";
  if (g.has("grad.model.norm.weight")) {
    check_gradients(m, g, g.at("input_ids" + suffix), g.at("loss" + suffix), out);
  }
  return out;
}

std::vector<VerifyCase> verify_torch(const std::string& golden_dir) {
  std::vector<VerifyCase> all;
  for (const auto& folder : golden_folders(golden_dir)) {
    auto cases = folder.kind == GoldenKind::op      ? verify_torch_op(folder.path)
                 : folder.kind == GoldenKind::block ? verify_torch_block(folder.path)
                                                    : verify_torch_model(folder.path);
    for (auto& c : cases) {
      c.name = std::filesystem::path(folder.path).filename().string() + ": " + c.name;
      all.push_back(std::move(c));
    }
  }
  return all;
}

}  // namespace jet
