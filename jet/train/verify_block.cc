// Golden folders of single layers of flash-linear-attention: a block's settings are read from its class's arguments and
// from the names and shapes of its parameters.
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

// A layer's folder: what its class's constructor was given, the sizes that follow from that, and its parameters, whose
// names and shapes tell the rest.
class Layer {
 public:
  explicit Layer(const std::string& folder)
      : model(SafeTensors::open(folder)), where_(folder + "/config.json"), config_(read_json(where_)),
        given_(part("constructor")), derived_(part("derived")) {}

  const SafeTensors model;

  std::string source_class() const { return get<std::string>(config_, "source_class", where_); }
  /// "[B,H,K,V]": of the recurrent state; empty where it is not told.
  std::string layout() const {
    const auto text = get_or<std::string>(config_, "state_layout", "", where_);
    return text.substr(0, text.find(']') + 1);
  }
  int hidden() const { return get<int>(given_, "hidden_size", where_ + ": constructor"); }
  int size(const char* key) const { return get<int>(derived_, key, where_ + ": derived"); }
  template <class T>
  T given(const char* key, T fallback) const {
    return get_or(given_, key, fallback, where_ + ": constructor");
  }
  bool has(const char* parameter) const { return model.contains(parameter); }
  /// The first and the last size of a parameter; 0 without it.
  int rows(const char* parameter) const { return has(parameter) ? static_cast<int>(shape(parameter).front()) : 0; }
  int width(const char* parameter) const { return has(parameter) ? static_cast<int>(shape(parameter).back()) : 0; }
  /// For what our block has no choice in.
  void only(const char* key, const Json& value) const { same(given_, key, value); }
  void only_derived(const char* key, const Json& value) const { same(derived_, key, value); }

 private:
  const Shape& shape(const char* parameter) const {
    const Shape& s = model.at(parameter).shape;
    require(!s.empty(), "{}: '{}' is a single number", model.path(), parameter);
    return s;
  }
  Json part(const char* key) const {
    require(config_.contains(key) && config_[key].is_object(), "{}: '{}' must be a table of keys", where_, key);
    return config_[key];
  }
  void same(const Json& from, const char* key, const Json& value) const {
    const Json is = from.value(key, value);
    if (is != value)
      throw NotOurs(fmt::format("our block has {} {} only, not {}", key, json_text(value), json_text(is)));
  }

  std::string where_;
  Json config_, given_, derived_;
};

// The classes that we have a block for.
struct BlockReader {
  const char* source_class;
  MixerSpec (*read)(const Layer& l);
};

MixerSpec read_gla(const Layer& l) {
  Gla::Config c;
  c.heads = l.size("num_heads"), c.kv_heads = l.size("num_kv_heads");
  c.dk = l.size("head_k_dim"), c.dv = l.size("head_v_dim");
  c.gate_rank = l.rows("gk_proj.0.weight"), c.gate = l.has("g_proj.weight");
  c.conv = l.width("q_conv1d.weight"), c.conv_bias = l.has("q_conv1d.bias");
  c.clamp_min = l.given("clamp_min", 0.0f), c.norm_eps = l.given("norm_eps", 1e-5f);
  l.only("feature_map", nullptr), l.only("gate_fn", "swish"), l.only("elementwise_affine", true);
  l.only("gate_logit_normalizer", 16), l.only_derived("gate_logit_normalizer", 16);
  return c;
}

MixerSpec read_delta_net(const Layer& l) {
  DeltaNet::Config c;
  c.heads = l.size("num_heads"), c.dk = l.size("head_k_dim"), c.dv = l.size("head_v_dim");
  c.conv = l.width("q_conv1d.weight"), c.conv_bias = l.has("q_conv1d.bias"), c.gate = l.has("g_proj.weight");
  c.negative_eigenvalues = l.given("allow_neg_eigval", false), c.norm_eps = l.given("norm_eps", 1e-5f);
  l.only("use_short_conv", true), l.only("use_beta", true), l.only("qk_activation", "silu"), l.only("qk_norm", "l2");
  return c;
}

MixerSpec read_gdn(const Layer& l) {
  GatedDeltaNet::Config c;
  c.heads = l.size("num_heads"), c.v_heads = l.size("num_v_heads");
  c.dk = l.size("head_k_dim"), c.dv = l.size("head_v_dim");
  c.conv = l.width("v_conv1d.weight"), c.conv_bias = l.has("v_conv1d.bias"), c.gate = l.has("g_proj.weight");
  c.negative_eigenvalues = l.given("allow_neg_eigval", false), c.norm_eps = l.given("norm_eps", 1e-5f);
  l.only("use_short_conv", true);
  return c;
}

MixerSpec read_retnet(const Layer& l) {
  RetNet::Config c;
  c.heads = l.size("num_heads"), c.dk = l.size("head_k_dim"), c.dv = l.size("head_v_dim");
  c.gate = l.has("g_proj.weight"), c.norm_eps = l.given("norm_eps", 1e-5f);
  l.only("use_short_conv", false), l.only("feature_map", nullptr), l.only("gate_fn", "swish");
  l.only_derived("num_kv_heads", c.heads);
  return c;
}

MixerSpec read_mamba2(const Layer& l) {
  Mamba2::Config c;
  c.heads = l.size("num_heads"), c.dk = l.size("ssm_state_size"), c.dv = l.size("head_dim");
  c.groups = l.given("n_groups", 1), c.conv = l.width("conv1d.weight"), c.norm_eps = l.given("norm_eps", 1e-5f);
  l.only("use_conv_bias", true), l.only("use_bias", false), l.only("rms_norm", true), l.only("hidden_act", "silu");
  return c;
}

MixerSpec read_rwkv7(const Layer& l) {
  Rwkv7::Config c;
  c.heads = l.size("num_heads"), c.dk = l.size("head_dim"), c.dv = l.size("head_v_dim");
  c.decay_rank = l.rows("w_lora.lora.0.weight"), c.gate_rank = l.rows("g_lora.lora.0.weight");
  c.a_rank = l.rows("a_lora.lora.0.weight"), c.v_rank = l.rows("v_lora.lora.0.weight");
  c.norm_eps = l.given("norm_eps", 1e-5f);
  return c;
}

MixerSpec read_kda(const Layer& l) {
  Kda::Config c;
  c.heads = l.size("num_heads"), c.dk = l.size("head_k_dim"), c.dv = l.size("head_v_dim");
  c.conv = l.width("q_conv1d.weight"), c.conv_bias = l.has("q_conv1d.bias");
  c.norm_eps = l.given("norm_eps", 1e-5f);
  l.only("use_short_conv", true), l.only("allow_neg_eigval", false), l.only_derived("num_v_heads", c.heads);
  return c;
}

constexpr BlockReader kReaders[] = {
    {"GatedLinearAttention", read_gla},   {"DeltaNet", read_delta_net}, {"GatedDeltaNet", read_gdn},
    {"MultiScaleRetention", read_retnet}, {"Mamba2", read_mamba2},      {"RWKV7Attention", read_rwkv7},
    {"KimiDeltaAttention", read_kda},
};

MixerSpec read_block(const Layer& l) {
  const std::string name = l.source_class();
  for (const auto& r : kReaders)
    if (name.ends_with(std::string(".") + r.source_class)) return r.read(l);
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
  BlockVerifier(const std::string& folder, const Layer& layer, std::vector<VerifyCase>& cases)
      : spec_(read_block(layer)), hidden_(layer.hidden()), golden_(folder + "/golden.safetensors"), x_(golden_.at("x")),
        cases_(cases) {
    // Mamba2's class keeps a head's state as [V, K], all others as [K, V], unless the file says otherwise.
    const std::string layout = layer.layout();
    turned_ = layout.empty() ? std::holds_alternative<Mamba2::Config>(spec_)
                             : layout.ends_with(",V,K]") || layout.ends_with(",P,N]");
    mixer_params(spec_, hidden_, weights_, [](const char*, Tensor&, const ParamSpec&) {});
    const SafeTensors& model = layer.model;
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
  const Layer layer(folder);
  try {
    BlockVerifier(folder, layer, cases).run();
  } catch (const NotOurs& e) { cases.push_back(skipped("all", e.what())); }
}

}  // namespace jet
