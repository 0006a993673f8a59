// The same weights through both op sets: TorchOps (whole chunks) and CpuOps (the engine, step by step) must agree on
// every block of the list, on odd sizes.
#include <gtest/gtest.h>

#include <filesystem>

#include "jet/search/run.h"

namespace jet {
namespace {

ModelSpec odd_model(const MixerSpec& mixer) {
  ModelSpec s;
  s.vocab_size = 61;
  s.hidden_size = 40;
  s.intermediate_size = 52;
  s.max_position_embeddings = 256;
  Attention::Config window;
  window.heads = 4, window.kv_heads = 2, window.head_dim = 10, window.window = 9, window.qkv_bias = true;
  s.layers = {mixer, window, mixer};
  return s;
}

MixerSpec odd_mixer(const std::string& kind) {
  Attention::Config a;
  a.heads = 4, a.kv_heads = 2, a.head_dim = 10;
  if (kind == Attention::kind) return a;
  return make_mixer(kind, a, {3, 6, 14});
}

TEST(Agreement, TorchAndEngineOnEveryBlock) {
  BlockList::for_each([]<class Block>() {
    const ModelSpec spec = odd_model(odd_mixer(Block::kind));
    const TorchModel m = TorchModel::random(spec, 7);
    const std::string folder = ::testing::TempDir() + "/agreement-" + Block::kind;
    m.save(folder, "models/base", DType::f32);

    std::vector<int32_t> ids;
    Rng rng(3);
    for (int i = 0; i < 131; ++i) ids.push_back(static_cast<int32_t>(rng.below(61)));
    const std::vector<int64_t> wide(ids.begin(), ids.end());
    TorchOps ops;
    const at::Tensor want = m.logits(ops, at::tensor(wide, at::kLong).view({1, 131})).contiguous();

    const auto engine = Engine::load(folder, {.threads = 2, .kv = DType::f32});
    const auto sequence = engine->create();
    const std::vector<float> got = engine->prefill(*sequence, ids, Want::all, 50);
    ASSERT_EQ(got.size(), static_cast<size_t>(want.numel())) << Block::kind;
    double worst = 0;
    for (size_t i = 0; i < got.size(); ++i) {
      worst = std::max(worst, std::abs(double{got[i]} - double{want.const_data_ptr<float>()[i]}));
    }
    EXPECT_LT(worst, 1e-4) << Block::kind;
    std::filesystem::remove_all(folder);
  });
}

}  // namespace
}  // namespace jet
