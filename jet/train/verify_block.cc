#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include "jet/train/golden_tensors.h"
#include "jet/train/verify.h"

namespace jet {

using at::Tensor;

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
  c.v_rank = a["layer_idx"] == 0 ? 0 : a["v_low_rank_dim"].get<int>();  // later layers mix in the first one's v
  c.decay_rank = a["decay_low_rank_dim"], c.gate_rank = a["gate_low_rank_dim"], c.a_rank = a["a_low_rank_dim"];
  return c;
}

MixerSpec read_kda(const Json&, const Json& d) {
  Kda::Config c;
  c.heads = d["num_heads"], c.dk = d["head_k_dim"], c.dv = d["head_v_dim"];
  return c;
}

constexpr BlockReader kReaders[] = {
    {"GatedLinearAttention", read_gla},   {"DeltaNet", read_delta_net}, {"GatedDeltaNet", read_gdn},
    {"MultiScaleRetention", read_retnet}, {"Mamba2", read_mamba2},      {"RWKV7Attention", read_rwkv7},
    {"KimiDeltaAttention", read_kda},
};

const BlockReader* reader_of(const Json& config) {
  const auto name = get<std::string>(config, "source_class", "config.json");
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
  const Golden g(folder + "/golden.safetensors");
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
  // RWKV-7 after the first layer: the first one's values are an input.
  const Tensor v_first = g.has("v_first") ? g.at("v_first").requires_grad_(true) : Tensor();
  TorchOps ops;
  const auto run = [&](const Tensor& x, int64_t begin, MixerState<Tensor>& s) {
    ops.position = begin;
    ops.first = v_first.defined() ? v_first.narrow(1, begin, x.size(1)) : Tensor();
    return mixer_forward(ops, spec, w, x, s);
  };
  // Gradients, in one piece.
  auto state = fresh();
  std::vector<Tensor> leaves{g.at("x").requires_grad_(true)};
  for (auto& [name, t] : params) leaves.push_back(t);
  if (v_first.defined()) leaves.push_back(v_first);
  const Tensor y = run(leaves[0], 0, state);
  out.push_back(compare("y", max_abs(y.detach(), g.at("y")), 5e-5));
  const auto grads = torch::autograd::grad({(y * g.at("dy")).sum()}, leaves);
  out.push_back(compare("dx", relative(grads[0], g.at("dx")), 1e-4));
  for (size_t i = 0; i < params.size(); ++i) {
    out.push_back(compare("grad." + params[i].first, relative(grads[i + 1], g.at("grad." + params[i].first)), 1e-4));
  }
  if (v_first.defined()) out.push_back(compare("dv_first", relative(grads.back(), g.at("dv_first")), 1e-4));
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
  run(g.at("x"), 0, s);
  check_state("state_full.", s);
  s = fresh();
  const Tensor first = run(g.at("x").narrow(1, 0, 40), 0, s);
  check_state("state_40.", s);
  const Tensor rest = run(g.at("x").narrow(1, 40, g.at("x").size(1) - 40), 40, s);
  out.push_back(compare("y after a split at 40", max_abs(at::cat({first, rest}, 1), g.at("y")), 5e-5));
  return out;
}

}  // namespace jet
