#include "jet/train/verify.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <set>

#include "jet/train/golden_tensors.h"

namespace jet {

using at::Tensor;

namespace {

constexpr double kTolerance = 2e-4;  // max abs; of gradients 1e-4, relative

class ModelVerifier {
 public:
  ModelVerifier(const std::string& folder, std::vector<VerifyCase>& cases)
      : config_(read_python_json(folder + "/config.json")), m_(TorchModel::load(folder)),
        golden_(folder + "/golden.safetensors"), inputs_(golden_inputs(golden_.file)), cases_(cases) {}

  void run() {
    arrange_tensors(config_, m_.spec, golden_.file, "grad.");
    const GoldenInput* traced = traced_input(golden_.file, inputs_);
    for (const GoldenInput& in : inputs_) {
      logits(in, &in == traced);
      greedy(in.suffix);
    }
    if (traced) gradients(*traced);
  }

 private:
  // Runs ids through the model in chunks, carrying state; returns all logits.
  Tensor run_chunks(const Tensor& ids, int64_t chunk, ModelState<Tensor>& state) const {
    const at::NoGradGuard no_grad;
    TorchOps ops;
    ops.keep_state = true;
    model_state(m_.spec, state, [](int, const char*, Tensor& t, const StateSpec&) { t = Tensor(); });
    std::vector<Tensor> parts;
    for (int64_t at = 0; at < ids.size(1); at += chunk) {
      ops.position = at;
      parts.push_back(
          logits_forward(ops, m_.spec, m_.weights, ids.narrow(1, at, std::min(chunk, ids.size(1) - at)), state));
    }
    return at::cat(parts, 1);
  }

  // The mean over all tokens that an earlier one predicts.
  static Tensor loss(const Tensor& logits, const Tensor& ids) {
    const int64_t n = ids.size(1) - 1;
    return at::cross_entropy_loss(logits.narrow(1, 0, n).flatten(0, 1), ids.narrow(1, 1, n).flatten());
  }

  void logits(const GoldenInput& in, bool traced) {
    const Tensor ids = golden_.at("input_ids" + in.suffix), want = golden_.at("logits" + in.suffix);
    for (const int64_t chunk : {in.tokens, int64_t{7}, int64_t{1}}) {
      ModelState<Tensor> state;
      const Tensor logits = run_chunks(ids, chunk, state);
      const std::string chunks = chunk == in.tokens ? "all" : std::to_string(chunk);
      cases_.push_back(
          compare(fmt::format("logits{} in chunks of {}", in.suffix, chunks), max_abs(logits, want), kTolerance));
      if (traced) cache(state);
      if (chunk != in.tokens || !golden_.has("loss" + in.suffix)) continue;
      const Tensor reference = golden_.at("loss" + in.suffix).squeeze();
      cases_.push_back(compare("loss" + in.suffix, max_abs(loss(logits, ids), reference), kTolerance));
    }
  }

  void greedy(const std::string& suffix) {
    if (!golden_.has("greedy_ids" + suffix)) return;
    const at::NoGradGuard no_grad;
    const Tensor ids = golden_.at("input_ids" + suffix), want = golden_.at("greedy_ids" + suffix);
    ModelState<Tensor> state;
    Tensor next = run_chunks(ids, ids.size(1), state).select(1, ids.size(1) - 1).argmax(-1, true);
    std::vector<Tensor> got{next};
    TorchOps ops;
    ops.keep_state = true;
    for (int64_t i = 1; i < want.size(1); ++i) {
      ops.position = ids.size(1) + i - 1;
      next = logits_forward(ops, m_.spec, m_.weights, next, state).select(1, 0).argmax(-1, true);
      got.push_back(next);
    }
    cases_.push_back(compare("greedy_ids" + suffix, at::cat(got, 1).ne(want).sum().item<double>(), 0));
  }

  void cache(ModelState<Tensor>& state) {
    std::map<std::pair<int, std::string>, Tensor> ours;
    model_state(m_.spec, state, [&](int layer, const char* name, Tensor& t, const StateSpec&) {
      ours[{layer, name}] = t;
    });
    for (const auto& [name, stored] : golden_.file.all()) {
      if (!name.starts_with("cache.")) continue;
      const CacheEntry entry = cache_entry(name);
      const auto found = ours.find({entry.layer, entry.state});
      require(found != ours.end(), "{}: layer {} has no state '{}'", name, entry.layer, entry.state);
      const Tensor t = entry.swapped ? found->second.transpose(1, 2) : found->second;
      cases_.push_back(compare(name, max_abs(t, to_tensor(stored)), kTolerance));
    }
  }

  // Of the only loss that the file has, or else of the traced input's.
  void gradients(const GoldenInput& traced) {
    std::set<std::string> wanted;
    for (const auto& [name, t] : golden_.file.all())
      if (name.starts_with("grad.")) wanted.insert(name);
    if (wanted.empty()) return;
    std::vector<std::string> losses;
    for (const GoldenInput& in : inputs_)
      if (golden_.has("loss" + in.suffix)) losses.push_back(in.suffix);
    const Tensor ids = golden_.at("input_ids" + (losses.size() == 1 ? losses.front() : traced.suffix));

    const NamedTensors params = m_.parameters();
    std::vector<Tensor> leaves;
    for (auto [name, t] : params) leaves.push_back(t.requires_grad_(true));
    TorchOps ops;
    const auto grads = torch::autograd::grad({loss(m_.logits(ops, ids), ids)}, leaves);
    for (size_t i = 0; i < params.size(); ++i) {
      leaves[i].requires_grad_(false);
      const std::string key = "grad." + params[i].first;
      if (wanted.erase(key) > 0) cases_.push_back(compare(key, relative(grads[i], golden_.at(key)), 1e-4));
    }
    require(wanted.empty(), "{} gradients are of no parameter of this model: {}", wanted.size(),
            fmt::join(wanted, ", "));
  }

  Json config_;
  TorchModel m_;
  Golden golden_;
  std::vector<GoldenInput> inputs_;
  std::vector<VerifyCase>& cases_;
};

}  // namespace

void verify_torch_model(const std::string& folder, std::vector<VerifyCase>& cases) {
  ModelVerifier(folder, cases).run();
}

std::vector<VerifyCase> verify_torch(const std::string& golden_dir) {
  return verify_all(golden_dir, [](const std::string& path, GoldenKind kind, std::vector<VerifyCase>& cases) {
    try {
      switch (kind) {
        case GoldenKind::op: return verify_torch_op(path, cases);
        case GoldenKind::block: return verify_torch_block(path, cases);
        case GoldenKind::model: return verify_torch_model(path, cases);
      }
    } catch (const c10::Error& e) { fail("libtorch: {}", e.what_without_backtrace()); }
  });
}

}  // namespace jet
