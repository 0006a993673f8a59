// The same weights through both op sets: TorchOps (whole chunks) and CpuOps (the engine, step by step) must agree on
// every block of the list, on odd sizes.
#include <gtest/gtest.h>

#include <filesystem>

#include "jet/base/rng.h"
#include "jet/engine/engine.h"
#include "jet/train/test_hybrid.h"
#include "jet/train/torch_model.h"

namespace jet {
namespace {

void expect_agreement(const ModelSpec& spec, const std::string& name) {
  const TorchModel m = TorchModel::random(spec, 7);
  const std::string folder = ::testing::TempDir() + "/agreement-" + name;
  m.save(folder, "models/base", DType::f32);

  std::vector<int32_t> ids;
  Rng rng(3);
  for (int i = 0; i < 131; ++i) ids.push_back(static_cast<int32_t>(rng.below(61)));
  const std::vector<int64_t> wide(ids.begin(), ids.end());
  TorchOps ops;
  const at::Tensor want = m.logits(ops, at::tensor(wide, at::kLong).view({1, 131})).contiguous();

  const auto engine = Engine::load(folder, {.threads = 2, .kv = DType::f32});
  const auto sequence = engine->create();
  const auto got = engine->prefill(*sequence, ids, Want::all, 50);
  ASSERT_EQ(got.size(), static_cast<size_t>(want.numel())) << name;
  double worst = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    worst = std::max(worst, std::abs(double{got[i]} - double{want.const_data_ptr<float>()[i]}));
  }
  EXPECT_LT(worst, 1e-4) << name;
  std::filesystem::remove_all(folder);
}

TEST(Agreement, TorchAndEngineOnEveryBlock) {
  BlockList::for_each([]<class Block>() { expect_agreement(test_hybrid(Block::kind, 9), Block::kind); });
}

TEST(Agreement, TorchAndEngineOnWindowsWithSinks) {
  ModelSpec s = test_hybrid("attention", 9);
  std::get<Attention::Config>(s.layers[1]).sinks = 3;
  s.layers[2] = make_mixer("attention:window=70,sinks=1", std::get<Attention::Config>(s.layers[0]));
  expect_agreement(s, "sinks");
}

TEST(Agreement, TorchAndEngineOnLayersOfEveryForm) {
  ModelSpec s = test_hybrid("gated_delta_net", 9);
  s.forms = {{Norms::after}, {Norms::both}, {Norms::before, false}, {Norms::after, false}};
  expect_agreement(s, "forms");
  s.forms.clear();
  s.norms = Norms::both, s.hidden_act = Activation::gelu_tanh;
  s.embed_scale = 5, s.residual_scale = 0.3f, s.logits_scale = 0.7f;
  expect_agreement(s, "scales");
}

}  // namespace
}  // namespace jet
