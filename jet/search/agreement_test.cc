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

TEST(Agreement, TorchAndEngineOnEveryBlock) {
  BlockList::for_each([]<class Block>() {
    const ModelSpec spec = test_hybrid(Block::kind, 9);
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
    const std::span<const float> got = engine->prefill(*sequence, ids, Want::all, 50);
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
