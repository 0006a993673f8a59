// Small models of odd sizes for tests: every block of the list with its interesting options on, and mixtures.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "jet/base/rng.h"
#include "jet/engine/engine.h"
#include "jet/model/checkpoint.h"

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

inline std::vector<NamedSpec> test_models() {
  const Rope llama3{.theta = 500, .factor = 8, .low_freq_factor = 1, .high_freq_factor = 4, .original_context = 32};
  const Attention::Config full{
      .heads = 6, .kv_heads = 2, .head_dim = 10, .qkv_bias = true, .o_bias = true, .qk_norm = true, .scale = 0.4};
  const Attention::Config window{.heads = 3, .kv_heads = 1, .head_dim = 6, .window = 5, .rope = llama3};
  const Gla::Config gla{.heads = 6, .kv_heads = 3, .dk = 6, .dv = 10, .gate_rank = 5, .conv = 4, .clamp_min = -0.2f};
  const RetNet::Config retnet{.heads = 3, .dk = 6, .dv = 10};
  const Mamba2::Config mamba2{.heads = 6, .dk = 6, .dv = 10, .groups = 3, .conv = 3};
  const DeltaNet::Config delta{.heads = 3, .dk = 6, .dv = 10, .gate = true, .negative_eigenvalues = true};
  const GatedDeltaNet::Config gdn{.heads = 3, .v_heads = 6, .dk = 6, .dv = 10, .negative_eigenvalues = true};
  const Rwkv7::Config rwkv7{.heads = 3, .dk = 6, .dv = 10, .decay_rank = 5, .gate_rank = 7, .a_rank = 3, .v_rank = 4};
  const JetBlock::Config jet{.heads = 3, .dk = 6, .dv = 10, .conv = 4, .generator = 7};

  const Kda::Config kda{.heads = 3, .dk = 6, .dv = 10, .conv = 3};
  const LinearAttention::Config linear{.heads = 3, .dk = 6, .dv = 10, .learned = true};
  const GatedDeltaNet::Config dynamic{.heads = 3, .v_heads = 3, .dk = 6, .dv = 10, .qk_conv = false, .generator = 7};
  const GatedHybrid::Config gated{.full = full, .linear = gdn};

  std::vector<NamedSpec> models;
  for (const MixerSpec& m :
       {MixerSpec(full), MixerSpec(gla), MixerSpec(retnet), MixerSpec(mamba2), MixerSpec(delta), MixerSpec(gdn),
        MixerSpec(rwkv7), MixerSpec(jet), MixerSpec(kda), MixerSpec(linear), MixerSpec(gated)}) {
    models.push_back({BlockList::visit(m, []<class B>(const typename B::Config&) { return std::string(B::kind); }),
                      test_spec({m, m})});
  }
  models.push_back({"window", test_spec({window, window})});
  models.push_back({"dynamic_gdn", test_spec({dynamic, dynamic})});
  models.push_back({"other_gates",
                    test_spec({Gla::Config{.heads = 3, .kv_heads = 3, .dk = 6, .dv = 10, .gate = false},
                               RetNet::Config{.heads = 3, .dk = 6, .dv = 10, .gate = false},
                               GatedDeltaNet::Config{.heads = 3, .v_heads = 3, .dk = 6, .dv = 10, .gate = false},
                               Mamba2::Config{.heads = 6, .dk = 6, .dv = 10, .groups = 3, .norm_before_gate = true}})});
  models.push_back(
      {"plain_gla_delta", test_spec({Gla::Config{.heads = 2, .kv_heads = 2, .dk = 20, .dv = 33, .gate_rank = 4},
                                     DeltaNet::Config{.heads = 2, .dk = 17, .dv = 70, .conv = 1}})});
  NamedSpec hybrid{"hybrid_untied", test_spec({jet, full, gdn, window, mamba2, rwkv7})};
  hybrid.spec.tie_word_embeddings = false;
  NamedSpec gemma{"post_norms_gelu", test_spec({window, full})};
  gemma.spec.post_norms = true, gemma.spec.hidden_act = "gelu_tanh", gemma.spec.embed_scale = 3;
  models.push_back(hybrid);
  models.push_back(gemma);
  return models;
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
    const bool is_matrix = p.shape.size() == 2;
    const double size = is_matrix ? 1 / std::sqrt(static_cast<double>(p.shape.back())) : 0.3;
    const double middle = p.init.kind == Init::constant && !is_matrix ? p.init.a : 0;
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

inline std::vector<int32_t> test_ids(int n, uint64_t seed, int vocab = 61) {
  Rng rng(seed, "ids");
  std::vector<int32_t> ids(n);
  for (auto& id : ids) id = static_cast<int32_t>(rng.below(vocab));
  return ids;
}

}  // namespace jet
