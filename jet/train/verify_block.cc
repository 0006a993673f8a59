// Golden folders of single layers, read from the constructor's arguments of their class in flash-linear-attention.
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <charconv>
#include <map>
#include <set>

#include "jet/train/golden_tensors.h"
#include "jet/train/verify.h"

namespace jet {

using at::Tensor;

namespace {

// What a class asks for that our block does not do.
class NotOurs : public Error {
 public:
  using Error::Error;
};

// A layer's config.json: what its constructor was given, and the sizes that follow from that.
class Arguments {
 public:
  explicit Arguments(const std::string& folder)
      : where_(folder + "/config.json"), config_(read_json(where_)), given_(part("constructor")),
        derived_(part("derived")) {}

  std::string source_class() const { return jet::get<std::string>(config_, "source_class", where_); }
  /// "[B,H,K,V]": of the recurrent state; empty where it is not told.
  std::string layout() const {
    const auto text = get_or<std::string>(config_, "state_layout", "", where_);
    return text.substr(0, text.find(']') + 1);
  }
  int size(const char* key) const { return jet::get<int>(derived_, key, where_ + ": derived"); }
  int given(const char* key) const { return jet::get<int>(given_, key, where_ + ": constructor"); }
  template <class T>
  T get(const char* key, T fallback) const {
    return get_or(given_, key, fallback, where_ + ": constructor");
  }
  /// For what our block has no choice in.
  void only(const char* key, const Json& value) const { same(given_, key, value); }
  void only_derived(const char* key, const Json& value) const { same(derived_, key, value); }

 private:
  Json part(const char* key) const {
    require(config_.contains(key) && config_[key].is_object(), "{}: '{}' must be a table of keys", where_, key);
    return config_[key];
  }
  void same(const Json& from, const char* key, const Json& value) const {
    const Json is = from.value(key, value);
    if (is != value) throw NotOurs(fmt::format("our block has {} {} only, not {}", key, value.dump(), is.dump()));
  }

  std::string where_;
  Json config_, given_, derived_;
};

// The classes that we have a block for.
struct BlockReader {
  const char* source_class;
  MixerSpec (*read)(const Arguments& a);
};

MixerSpec read_gla(const Arguments& a) {
  Gla::Config c;
  c.heads = a.size("num_heads"), c.kv_heads = a.size("num_kv_heads");
  c.dk = a.size("head_k_dim"), c.dv = a.size("head_v_dim");
  c.gate_rank = a.get("gate_low_rank_dim", 16);
  c.conv = a.get("use_short_conv", false) ? a.get("conv_size", 4) : 0;
  c.gate = a.get("use_output_gate", true);
  c.clamp_min = a.get("clamp_min", 0.0f), c.norm_eps = a.get("norm_eps", 1e-5f);
  a.only("feature_map", nullptr), a.only("gate_fn", "swish"), a.only("elementwise_affine", true);
  a.only("gate_logit_normalizer", 16), a.only_derived("gate_logit_normalizer", 16);
  return c;
}

MixerSpec read_delta_net(const Arguments& a) {
  DeltaNet::Config c;
  c.heads = a.size("num_heads"), c.dk = a.size("head_k_dim"), c.dv = a.size("head_v_dim");
  c.conv = a.get("conv_size", 4), c.gate = a.get("use_gate", false);
  c.negative_eigenvalues = a.get("allow_neg_eigval", false), c.norm_eps = a.get("norm_eps", 1e-5f);
  a.only("use_short_conv", true), a.only("use_beta", true), a.only("qk_activation", "silu"), a.only("qk_norm", "l2");
  return c;
}

MixerSpec read_gdn(const Arguments& a) {
  GatedDeltaNet::Config c;
  c.heads = a.size("num_heads"), c.v_heads = a.size("num_v_heads");
  c.dk = a.size("head_k_dim"), c.dv = a.size("head_v_dim");
  c.conv = a.get("conv_size", 4), c.gate = a.get("use_gate", true);
  c.negative_eigenvalues = a.get("allow_neg_eigval", false), c.norm_eps = a.get("norm_eps", 1e-5f);
  a.only("use_short_conv", true);
  return c;
}

MixerSpec read_retnet(const Arguments& a) {
  RetNet::Config c;
  c.heads = a.size("num_heads"), c.dk = a.size("head_k_dim"), c.dv = a.size("head_v_dim");
  c.gate = a.get("use_output_gate", true), c.norm_eps = a.get("norm_eps", 1e-5f);
  a.only("use_short_conv", false), a.only("feature_map", nullptr), a.only("gate_fn", "swish");
  a.only_derived("num_kv_heads", c.heads);
  return c;
}

MixerSpec read_mamba2(const Arguments& a) {
  Mamba2::Config c;
  c.heads = a.size("num_heads"), c.dk = a.size("ssm_state_size"), c.dv = a.size("head_dim");
  c.groups = a.get("n_groups", 1), c.conv = a.get("conv_kernel", 4), c.norm_eps = a.get("norm_eps", 1e-5f);
  a.only("use_conv_bias", true), a.only("use_bias", false), a.only("rms_norm", true), a.only("hidden_act", "silu");
  return c;
}

MixerSpec read_rwkv7(const Arguments& a) {
  Rwkv7::Config c;
  c.heads = a.size("num_heads"), c.dk = a.size("head_dim"), c.dv = a.size("head_v_dim");
  c.v_rank = a.given("layer_idx") == 0 ? 0 : a.given("v_low_rank_dim");  // later layers mix in the first one's v
  c.decay_rank = a.given("decay_low_rank_dim"), c.gate_rank = a.given("gate_low_rank_dim");
  c.a_rank = a.given("a_low_rank_dim"), c.norm_eps = a.get("norm_eps", 1e-5f);
  return c;
}

MixerSpec read_kda(const Arguments& a) {
  Kda::Config c;
  c.heads = a.size("num_heads"), c.dk = a.size("head_k_dim"), c.dv = a.size("head_v_dim");
  c.conv = a.get("conv_size", 4), c.norm_eps = a.get("norm_eps", 1e-5f);
  a.only("use_short_conv", true), a.only("allow_neg_eigval", false), a.only_derived("num_v_heads", c.heads);
  return c;
}

constexpr BlockReader kReaders[] = {
    {"GatedLinearAttention", read_gla},   {"DeltaNet", read_delta_net}, {"GatedDeltaNet", read_gdn},
    {"MultiScaleRetention", read_retnet}, {"Mamba2", read_mamba2},      {"RWKV7Attention", read_rwkv7},
    {"KimiDeltaAttention", read_kda},
};

MixerSpec read_block(const Arguments& a) {
  const std::string name = a.source_class();
  for (const auto& r : kReaders)
    if (name.ends_with(std::string(".") + r.source_class)) return r.read(a);
  throw NotOurs("no block for " + name);
}

/// The n of all "state_<n>.<name>".
std::set<int64_t> splits_of(const Golden& golden, int64_t tokens) {
  std::set<int64_t> splits;
  for (const auto& [name, t] : golden.file.all()) {
    if (!name.starts_with("state_") || name.starts_with("state_full.")) continue;
    int64_t n = 0;
    const char* begin = name.c_str() + std::string_view("state_").size();
    const auto [end, error] = std::from_chars(begin, name.c_str() + name.size(), n);
    require(error == std::errc() && *end == '.' && 0 < n && n < tokens,
            "{}: '{}' must be state_full.<name>, or state_<n>.<name> with 0 < n < {}", golden.file.path(), name,
            tokens);
    splits.insert(n);
  }
  return splits;
}

class BlockVerifier {
 public:
  BlockVerifier(const std::string& folder, const Arguments& a, std::vector<VerifyCase>& cases)
      : spec_(read_block(a)), hidden_(a.given("hidden_size")), golden_(folder + "/golden.safetensors"),
        x_(golden_.at("x")), cases_(cases) {
    // Mamba2's class keeps a head's state as [V, K], all others as [K, V], unless the file says otherwise.
    const std::string layout = a.layout();
    turned_ = layout.empty() ? std::holds_alternative<Mamba2::Config>(spec_)
                             : layout.ends_with(",V,K]") || layout.ends_with(",P,N]");
    mixer_params(spec_, hidden_, weights_, [](const char*, Tensor&, const ParamSpec&) {});
    const SafeTensors model = SafeTensors::open(folder);
    mixer_params(spec_, hidden_, weights_, [&](const char* name, Tensor& t, const ParamSpec& p) {
      t = to_tensor(model.at(name)).view(p.shape).requires_grad_(true);
      params_.emplace_back(name, t);
    });
    require(params_.size() == model.all().size(), "{}: {} parameters visited, {} in the file", folder, params_.size(),
            model.all().size());
    // RWKV-7 after the first layer: the first one's values are an input.
    if (golden_.has("v_first")) v_first_ = golden_.at("v_first").requires_grad_(true);
  }

  void run() {
    gradients();
    const at::NoGradGuard no_grad;
    ops_.keep_state = true;
    auto state = fresh();
    part(x_, 0, state);
    states("state_full.", state);
    for (const int64_t n : splits_of(golden_, x_.size(1))) {
      auto s = fresh();
      const Tensor first = part(x_.narrow(1, 0, n), 0, s);
      states(fmt::format("state_{}.", n), s);
      const Tensor rest = part(x_.narrow(1, n, x_.size(1) - n), n, s);
      add(fmt::format("y after a split at {}", n), max_abs(at::cat({first, rest}, 1), golden_.at("y")), kAbsolute);
    }
  }

 private:
  static constexpr double kAbsolute = 5e-5, kRelative = 1e-4;  // the latter of gradients

  void add(const std::string& name, double error, double tolerance) {
    cases_.push_back(compare(name, error, tolerance));
  }
  void add_gradient(const std::string& name, const Tensor& got) {
    add(name, relative(got, golden_.at(name)), kRelative);
  }

  MixerState<Tensor> fresh() const {
    MixerState<Tensor> s;
    mixer_state(spec_, hidden_, s, [](const char*, Tensor& t, const StateSpec&) { t = Tensor(); });
    return s;
  }

  Tensor part(const Tensor& x, int64_t begin, MixerState<Tensor>& s) {
    ops_.position = begin;
    ops_.first = v_first_.defined() ? v_first_.narrow(1, begin, x.size(1)) : Tensor();
    return mixer_forward(ops_, spec_, weights_, x, s);
  }

  void gradients() {
    auto state = fresh();
    std::vector<Tensor> leaves{x_.clone().requires_grad_(true)};
    for (auto& [name, t] : params_) leaves.push_back(t);
    if (v_first_.defined()) leaves.push_back(v_first_);
    const Tensor y = part(leaves[0], 0, state);
    add("y", max_abs(y.detach(), golden_.at("y")), kAbsolute);
    const auto grads = torch::autograd::grad({(y * golden_.at("dy")).sum()}, leaves);
    add_gradient("dx", grads[0]);
    for (size_t i = 0; i < params_.size(); ++i) add_gradient("grad." + params_[i].first, grads[i + 1]);
    if (v_first_.defined()) add_gradient("dv_first", grads.back());
  }

  void states(const std::string& prefix, MixerState<Tensor>& state) {
    std::map<std::string, Tensor> ours;
    mixer_state(spec_, hidden_, state, [&](const std::string& name, Tensor& t, const StateSpec& s) {
      const bool tail = name.starts_with("conv") && s.shape.size() == 2;  // theirs is [B, channels, W]
      ours[prefix + name] = tail || (turned_ && name == "recurrent") ? t.transpose(-1, -2) : t;
    });
    for (const auto& [name, stored] : golden_.file.all()) {
      if (!name.starts_with(prefix)) continue;
      require(ours.contains(name), "{}: '{}' is no state of ours", golden_.file.path(), name);
      add(name, max_abs(ours.at(name), to_tensor(stored)), kAbsolute);
    }
  }

  MixerSpec spec_;
  int hidden_;
  Golden golden_;
  Tensor x_, v_first_;
  bool turned_;  // the file's recurrent state is the transpose of ours
  MixerWeights<Tensor> weights_;
  NamedTensors params_;
  TorchOps ops_;
  std::vector<VerifyCase>& cases_;
};

}  // namespace

void verify_torch_block(const std::string& folder, std::vector<VerifyCase>& cases) {
  const Arguments arguments(folder);
  try {
    BlockVerifier(folder, arguments, cases).run();
  } catch (const NotOurs& e) { cases.push_back(skipped("all", e.what())); }
}

}  // namespace jet
