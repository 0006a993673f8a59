// bf16 products of fp32 master weights (TorchOps::compute): every block learns as with fp32 products. Gradients alone
// cannot be compared at random weights: where q . k is near 0, norm(o) turns about on a rounding.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "jet/train/test_hybrid.h"
#include "jet/train/torch_model.h"
#include "jet/train/trainer.h"

namespace jet {
namespace {

TrainResult learn(const ModelSpec& spec, at::ScalarType compute, at::Device device) {
  const TorchModel model = TorchModel::random(spec, 6).to(device);
  TorchOps ops;
  ops.device = device, ops.compute = compute;
  const NamedTensors parameters = model.parameters();
  const at::Tensor ids = (at::arange(70, at::kLong) * 17 % 61).view({2, 35}).to(device);
  const at::Tensor next = ids.narrow(1, 1, 34).unsqueeze(-1);
  const TrainConfig config{.tokens = 20 * 70, .batch = 2, .length = 35, .lr = 0.01};
  const TrainResult r = train({"test", "", config, parameters, [&](const Part&) {
                                 const at::Tensor logits = model.logits(ops, ids).narrow(1, 0, 34);
                                 return -at::log_softmax(logits, -1).gather(-1, next).mean();
                               }});
  for (const auto& [name, t] : parameters) EXPECT_EQ(t.scalar_type(), at::kFloat) << name;
  return r;
}

TEST(Precision, EveryBlockLearnsWithBf16ProductsAsWithFp32Ones) {
  const int threads = at::get_num_threads();
  at::set_num_threads(1);  // products this small are lost in barriers
  std::vector<at::Device> devices{at::kCPU};
  if (at::getNumGPUs() > 0) devices.emplace_back(at::kCUDA, 0);
  for (const at::Device device : devices) {
    BlockList::for_each([&]<class Block>() {
      const ModelSpec spec = test_hybrid(Block::kind);
      const TrainResult fp32 = learn(spec, at::kFloat, device), bf16 = learn(spec, at::kBFloat16, device);
      EXPECT_LT(fp32.last_loss(), 0.65 * fp32.curve.front().second) << Block::kind << " on " << device;
      EXPECT_NEAR(bf16.last_loss(), fp32.last_loss(), 0.05 * fp32.curve.front().second)
          << Block::kind << " on " << device;
      EXPECT_NE(bf16.last_loss(), fp32.last_loss())
          << Block::kind << " on " << device << ": were the products in bf16?";
    });
  }
  at::set_num_threads(threads);
}

}  // namespace
}  // namespace jet
