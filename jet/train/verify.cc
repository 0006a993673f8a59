#include "jet/train/verify.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <filesystem>

#include "jet/train/torch_model.h"

namespace jet {

using at::Tensor;

namespace {

double max_abs(const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); }
double relative(const Tensor& a, const Tensor& b) {
  return ((a - b).norm() / b.norm().clamp_min(1e-30)).item<double>();
}

struct Golden {
  SafeTensors file;
  explicit Golden(const std::string& folder) : file(SafeTensors::open(folder + "/golden.safetensors")) {}
  bool has(const std::string& name) const { return file.contains(name); }
  Tensor at(const std::string& name) const { return to_tensor(file.at(name)); }
};

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
  const Golden g(folder);
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

namespace {

// The classes of flash-linear-attention that we have a block for, from their constructor's arguments.
struct BlockReader {
  const char* source_class;
  MixerSpec (*read)(const Json& arguments, const Json& derived);
};

template <class T>
T arg(const Json& j, const char* key, T fallback) {
  return get_or(j, key, fallback, "constructor");
}

MixerSpec read_gla(const Json& a, const Json& d) {
  Gla::Config c;
  c.heads = d["num_heads"], c.kv_heads = d["num_kv_heads"], c.dk = d["head_k_dim"], c.dv = d["head_v_dim"];
  c.gate_rank = arg(a, "gate_low_rank_dim", 16);
  c.conv = arg(a, "use_short_conv", false) ? arg(a, "conv_size", 4) : 0;
  c.clamp_min = arg(a, "clamp_min", 0.0f);
  return c;
}

MixerSpec read_delta_net(const Json& a, const Json& d) {
  DeltaNet::Config c;
  c.heads = d["num_heads"], c.dk = d["head_k_dim"], c.dv = d["head_v_dim"];
  c.gate = arg(a, "use_gate", false);
  c.negative_eigenvalues = arg(a, "allow_neg_eigval", false);
  return c;
}

MixerSpec read_gdn(const Json& a, const Json& d) {
  GatedDeltaNet::Config c;
  c.heads = d["num_heads"], c.v_heads = d["num_v_heads"], c.dk = d["head_k_dim"], c.dv = d["head_v_dim"];
  c.negative_eigenvalues = arg(a, "allow_neg_eigval", false);
  return c;
}

MixerSpec read_retnet(const Json&, const Json& d) {
  RetNet::Config c;
  c.heads = d["num_heads"], c.dk = d["head_k_dim"], c.dv = d["head_v_dim"];
  return c;
}

MixerSpec read_mamba2(const Json& a, const Json& d) {
  Mamba2::Config c;
  c.heads = d["num_heads"], c.dk = d["ssm_state_size"], c.dv = d["head_dim"];
  c.groups = arg(a, "n_groups", 1);
  return c;
}

MixerSpec read_rwkv7(const Json& a, const Json& d) {
  Rwkv7::Config c;
  c.heads = d["num_heads"], c.dk = d["head_dim"], c.dv = d["head_v_dim"];
  c.decay_rank = a["decay_low_rank_dim"], c.gate_rank = a["gate_low_rank_dim"], c.a_rank = a["a_low_rank_dim"];
  return c;
}

constexpr BlockReader kReaders[] = {
    {"GatedLinearAttention", read_gla},   {"DeltaNet", read_delta_net}, {"GatedDeltaNet", read_gdn},
    {"MultiScaleRetention", read_retnet}, {"Mamba2", read_mamba2},      {"RWKV7Attention", read_rwkv7},
};

const BlockReader* reader_of(const Json& config) {
  const auto name = get<std::string>(config, "source_class", "config.json");
  if (arg(config["constructor"], "layer_idx", 0) != 0) return nullptr;  // later RWKV-7 layers mix in the first one's v
  for (const auto& r : kReaders)
    if (name.ends_with(std::string(".") + r.source_class)) return &r;
  return nullptr;
}

}  // namespace

std::vector<VerifyCase> verify_torch_block(const std::string& folder) {
  const Json config = read_json(folder + "/config.json");
  const BlockReader* reader = reader_of(config);
  if (reader == nullptr) return {{"all", 0, 0, true, "skipped: no block for " + config["source_class"].dump()}};
  const MixerSpec spec = reader->read(config["constructor"], config["derived"]);
  const int hidden = config["constructor"]["hidden_size"];
  const Golden g(folder);
  MixerWeights<Tensor> w;
  mixer_params(spec, hidden, w, [](const char*, Tensor&, const ParamSpec&) {});
  NamedTensors params;
  const SafeTensors model = SafeTensors::open(folder);
  mixer_params(spec, hidden, w, [&](const char* name, Tensor& t, const ParamSpec& p) {
    t = to_tensor(model.at(name)).view(p.shape).requires_grad_(true);
    params.emplace_back(name, t);
  });
  require(params.size() == model.all().size(), "{}: {} parameters visited, {} in the file", folder, params.size(),
          model.all().size());

  std::vector<VerifyCase> out;
  const auto fresh = [&] {
    MixerState<Tensor> s;
    mixer_state(spec, hidden, s, [](const char*, Tensor& t, const StateSpec&) { t = Tensor(); });
    return s;
  };
  // Gradients, in one piece.
  TorchOps ops;
  auto state = fresh();
  std::vector<Tensor> leaves{g.at("x").requires_grad_(true)};
  for (auto& [name, t] : params) leaves.push_back(t);
  const Tensor y = mixer_forward(ops, spec, w, leaves[0], state);
  out.push_back(compare("y", max_abs(y.detach(), g.at("y")), 5e-5));
  const auto grads = torch::autograd::grad({(y * g.at("dy")).sum()}, leaves);
  out.push_back(compare("dx", relative(grads[0], g.at("dx")), 1e-4));
  for (size_t i = 0; i < params.size(); ++i) {
    out.push_back(compare("grad." + params[i].first, relative(grads[i + 1], g.at("grad." + params[i].first)), 1e-4));
  }
  // States: after all tokens, after 40, and the rest from there.
  const at::NoGradGuard no_grad;
  ops.keep_state = true;
  const auto check_state = [&](const std::string& prefix, MixerState<Tensor>& s) {
    mixer_state(spec, hidden, s, [&](const std::string& name, Tensor& t, const StateSpec& p) {
      const bool conv = name.starts_with("conv") && p.shape.size() == 2,
                 mamba = spec.index() == MixerSpec(Mamba2::Config{}).index();
      const Tensor ours = conv || (mamba && name == "recurrent") ? t.transpose(-1, -2) : t;
      out.push_back(compare(prefix + name, max_abs(ours, g.at(prefix + name)), 5e-5));
    });
  };
  auto s = fresh();
  mixer_forward(ops, spec, w, g.at("x"), s);
  check_state("state_full.", s);
  s = fresh();
  const Tensor first = mixer_forward(ops, spec, w, g.at("x").narrow(1, 0, 40), s);
  check_state("state_40.", s);
  ops.position = 40;
  const Tensor rest = mixer_forward(ops, spec, w, g.at("x").narrow(1, 40, g.at("x").size(1) - 40), s);
  out.push_back(compare("y after a split at 40", max_abs(at::cat({first, rest}, 1), g.at("y")), 5e-5));
  return out;
}

std::vector<VerifyCase> verify_torch(const std::string& golden_dir) {
  std::vector<VerifyCase> all;
  for (const auto& folder : golden_folders(golden_dir)) {
    auto cases = folder.kind == GoldenKind::block ? verify_torch_block(folder.path) : verify_torch_model(folder.path);
    for (auto& c : cases) {
      c.name = std::filesystem::path(folder.path).filename().string() + ": " + c.name;
      all.push_back(std::move(c));
    }
  }
  return all;
}

}  // namespace jet
