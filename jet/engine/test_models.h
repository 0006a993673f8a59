// Small models of odd sizes for tests: every example of every block of the list, and mixtures.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>
#include <cmath>
#include <functional>
#include <span>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "jet/base/rng.h"
#include "jet/engine/engine.h"
#include "jet/model/families/families.h"

namespace jet {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    static int n = 0;
    path_ = (std::filesystem::temp_directory_path() / fmt::format("jet-test-{}-{}", getpid(), n++)).string();
    std::filesystem::create_directories(path_);
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline ModelSpec test_spec(std::vector<MixerSpec> layers) {
  ModelSpec s;
  s.vocab_size = 61, s.hidden_size = 40, s.intermediate_size = 28, s.max_position_embeddings = 96;
  s.layers = std::move(layers);
  return s;
}

struct NamedSpec {
  std::string name;
  ModelSpec spec;
};

/// The first example of a block.
template <class Block>
typename Block::Config example() {
  return Block::Config::examples().front();
}

/// Every example of every block ("gla", "gla_2", ...), and mixtures.
inline std::vector<NamedSpec> test_models() {
  std::vector<NamedSpec> models;
  BlockList::for_each([&]<class Block>() {
    int n = 0;
    for (const auto& c : Block::Config::examples()) {
      const std::string name = ++n == 1 ? Block::kind : fmt::format("{}_{}", Block::kind, n);
      models.push_back({name, test_spec({c, c})});
    }
  });
  const auto add = [&](const char* name, std::vector<MixerSpec> layers) -> ModelSpec& {
    return models.emplace_back(NamedSpec{name, test_spec(std::move(layers))}).spec;
  };
  const auto attention = Attention::Config::examples();
  const MixerSpec full = attention[0], window = attention[1], mamba = example<Mamba2>(),
                  delta = example<GatedDeltaNet>();
  add("hybrid_untied", {example<JetBlock>(), full, delta, window, mamba, example<Rwkv7>()}).tie_word_embeddings = false;
  ModelSpec& granite = add("scaled", {mamba, full, mamba});
  granite.embed_scale = 3, granite.residual_scale = 0.4f, granite.logits_scale = 1.5f;
  add("norms_differ", {delta, full, window}).forms = {{Norms::before}, {Norms::after}, {Norms::both}};
  ModelSpec& parts = add("mlps_left_out", {mamba, window, delta});
  parts.forms = {{.mlp = false}, {}, {Norms::after, false}};
  add("mixers_left_out", {full, None::Config{}, delta, None::Config{}}).forms = {
      {}, {}, {Norms::after}, {Norms::before, false}};  // the last layer is empty
  ModelSpec& gemma = add("post_norms_gelu", {window, full});
  gemma.norms = Norms::both, gemma.hidden_act = Activation::gelu_tanh, gemma.embed_scale = 3;
  return models;
}

/// Folders of the reference models whose families are read here; empty where there are none.
inline std::vector<std::string> reference_families() {
  const std::string root = "../shared/golden/families";
  std::vector<std::string> folders;
  if (!std::filesystem::is_directory(root)) return folders;
  for (const auto& entry : std::filesystem::directory_iterator(root)) {
    const std::string folder = entry.path().string(), type = read_json(folder + "/config.json").at("model_type");
    const auto known = [&](const auto& list) {
      return std::any_of(std::begin(list), std::end(list), [&](auto& f) { return f.model_type == type; });
    };
    if (known(kFamilies) || known(kTextParts)) folders.push_back(folder);
  }
  return folders;
}

/// Random values for every parameter, none of them at a start that would hide it (zero matrices, unit norms).
inline void write_test_model(const std::string& folder, const ModelSpec& spec, const std::string& poisoned = {}) {
  struct Nothing {};
  ModelWeights<Nothing> w;
  std::vector<TensorToWrite> tensors;
  std::map<std::string, std::vector<float>> values;
  model_params(spec, w, [&](const std::string& name, Nothing&, const ParamSpec& p) {
    Rng rng(7, name);
    auto& v = values[name];
    v.resize(numel(p.shape));
    const double size = p.is_matrix() ? 1 / std::sqrt(static_cast<double>(p.shape.back())) : 0.3;
    const double middle = p.init.kind == Init::constant && !p.is_matrix() ? p.init.a : 0;
    for (float& x : v) x = static_cast<float>(middle + size * rng.normal());
    if (name == poisoned) std::fill(v.begin(), v.end(), std::numeric_limits<float>::quiet_NaN());
    tensors.push_back({name, DType::f32, p.shape, v.data()});
  });
  save_checkpoint(folder, spec, tensors, "");
}

inline std::vector<std::string> parameter_names(const ModelSpec& spec) {
  struct Nothing {};
  ModelWeights<Nothing> w;
  std::vector<std::string> names;
  model_params(spec, w, [&](const std::string& name, Nothing&, const ParamSpec&) { names.push_back(name); });
  return names;
}

/// Engine::prefill, the logits copied: its view ends with the next pass.
inline std::vector<float> prefilled(Engine& engine, Sequence& sequence, std::span<const int32_t> ids,
                                    Want want = Want::last, int chunk = 0) {
  const auto logits = engine.prefill(sequence, ids, want, chunk);
  return {logits.begin(), logits.end()};
}

/// The greatest difference of two numbers of one place; infinite where the sizes differ or one is no number. Numbers
/// beyond `unit` count by what they differ in relation to them.
inline double worst_difference(std::span<const float> a, std::span<const float> b, double unit = INFINITY) {
  if (a.size() != b.size()) return INFINITY;
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) || std::isnan(b[i])) return INFINITY;
    worst = std::max(worst, std::abs(double{a[i]} - b[i]) / std::max(1.0, std::abs(a[i] / unit)));
  }
  return worst;
}

/// What f() throws, or "".
inline std::string message_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) { return e.what(); }
  return "";
}

inline std::vector<int32_t> test_ids(int n, uint64_t seed, int vocab = 61) {
  Rng rng(seed, "ids");
  std::vector<int32_t> ids(n);
  for (auto& id : ids) id = static_cast<int32_t>(rng.below(vocab));
  return ids;
}

}  // namespace jet
