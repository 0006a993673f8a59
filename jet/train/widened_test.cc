#include "jet/train/widened.h"

#include <gtest/gtest.h>

#include "jet/base/error.h"
#include "jet/train/golden_tensors.h"
#include "jet/train/torch_model.h"

namespace jet {
namespace {

TEST(Widened, ProductsAndGradientsAreThoseOfTheWidenedMatrix) {
  at::manual_seed(1);
  for (const auto type : {at::kBFloat16, at::kHalf}) {
    const at::Tensor w = at::randn({37, 24}).to(type), dy = at::randn({3, 5, 37});
    for (int64_t block : {1, 100, 24 * 37, 1 << 24}) {
      at::Tensor x = at::randn({3, 5, 24}).requires_grad_(true), same = x.detach().clone().requires_grad_(true);
      const at::Tensor y = widened_linear(x, w, block), want = at::linear(same, w.to(at::kFloat));
      y.backward(dy), want.backward(dy);
      EXPECT_LT(max_abs(y, want), 1e-5);
      EXPECT_LT(max_abs(x.grad(), same.grad()), 1e-5);
    }
  }
  const at::Tensor trained = at::randn({2, 2}).to(at::kBFloat16).requires_grad_(true);
  EXPECT_THROW(widened_linear(at::randn({1, 2}), trained), Error);
}

TEST(Widened, AMappedModelIsTheLoadedOne) {
  const TorchModel loaded = TorchModel::load("models/base"), mapped = TorchModel::map("models/base");
  const NamedTensors a = loaded.parameters(), b = mapped.parameters();
  ASSERT_EQ(a.size(), b.size());
  int kept = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    kept += b[i].second.scalar_type() == at::kBFloat16;
    EXPECT_TRUE(at::equal(a[i].second, b[i].second.to(at::kFloat))) << a[i].first;
  }
  EXPECT_EQ(kept, 1 + 7 * loaded.spec.n_layers());  // the embedding; q, k, v, o, gate, up, down
  TorchOps ops;
  const at::Tensor ids = at::arange(60, at::kLong).view({2, 30});
  EXPECT_LT(max_abs(loaded.logits(ops, ids), mapped.logits(ops, ids)), 1e-4);
}

}  // namespace
}  // namespace jet
