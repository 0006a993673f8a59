// Training follows the device of its tensors: every block learns on another device what it learns on the CPU, and a
// tensor that was left behind on the CPU is an error there.
#include <gtest/gtest.h>

#include <filesystem>

#include "jet/train/distill.h"
#include "jet/train/test_device.h"
#include "jet/train/test_hybrid.h"
#include "jet/train/trainer.h"

namespace jet {
namespace {

using at::Tensor;

constexpr int64_t kRows = 2, kTokens = 45;

// How rows are worked through.
struct Way {
  const char* name;
  bool recompute, apart;
  int chunk;
};

// The loss, then every parameter's gradient.
std::vector<Tensor> loss_and_gradients(const std::string& kind, const Way& way, at::Device device) {
  const TorchModel m = TorchModel::random(test_hybrid(kind, 9), 7).to(device);
  NamedTensors parameters = m.parameters();
  for (auto& [name, t] : parameters) t.requires_grad_(true);
  TorchOps ops;
  ops.device = device, ops.recompute = way.recompute;
  const Tensor ids = (at::arange(kRows * (kTokens + 1)).square() % 61).view({kRows, kTokens + 1}).to(device);
  std::vector<uint8_t> starts(kRows * kTokens);
  starts[10] = starts[50] = 1;
  const auto carried = way.chunk > 0 ? std::make_shared<CarriedStates>() : nullptr;
  const int64_t step = way.chunk > 0 ? way.chunk : kTokens;
  Tensor sum = at::zeros({}, device);
  for (int64_t begin = 0; begin < kTokens; begin += step) {
    const int64_t n = std::min(step, kTokens - begin);
    TokenRows rows(ids.narrow(1, begin, n), nullptr, begin);
    if (way.apart) rows.documents = std::make_shared<const Documents>(starts, kRows, kTokens, device);
    const Tensor weights = at::full({kRows, n}, 1.0 / (kRows * kTokens)).to(device);
    const Tensor hidden = forward_with(ops, m, rows, own_mixers(ops, m, carried));
    const Tensor loss = next_token_loss(ops, hidden, head_of(m), ids.narrow(1, begin + 1, n), weights);
    loss.backward();
    sum += loss.detach();
  }
  std::vector<Tensor> out{sum.cpu()};
  for (auto& [name, t] : parameters) out.push_back(t.grad().defined() ? t.grad().cpu() : at::zeros_like(t).cpu());
  return out;
}

// The largest relative difference of what the CPU has of these and the other device.
double difference(const std::string& kind, const Way& way, at::Device there) {
  const auto here = loss_and_gradients(kind, way, at::kCPU), far = loss_and_gradients(kind, way, there);
  EXPECT_GT(here[0].item<double>(), 1) << kind;
  double worst = 0;
  for (size_t i = 0; i < here.size(); ++i) {
    const double size = here[i].norm().item<double>();
    worst = std::max(worst, (far[i] - here[i]).norm().item<double>() / (size + 1e-6));
  }
  return worst;
}

TEST(Device, EveryBlockLearnsThereWhatItLearnsHere) {
  const at::Device there = other_device();
  EXPECT_THROW(at::ones({2}).to(there) + at::ones({2}), c10::Error);
  const Way ways[] = {{"whole", false, false, 0},
                      {"again", true, false, 0},
                      {"documents", false, true, 0},
                      {"chunks", false, false, 17}};
  BlockList::for_each([&]<class Block>() {
    for (const Way& way : ways) EXPECT_LT(difference(Block::kind, way, there), 1e-3) << Block::kind << ", " << way.name;
  });
}

TEST(Device, ATrainingThereGoesOnAfterAStop) {
  const at::Device there = other_device();
  const std::string folder = testing::TempDir() + "jet_device";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  setenv("JET_SAVE_SECONDS", "0", 1);
  const auto trained = [&](const std::string& checkpoint, int stop) {
    Tensor w = at::linspace(-1, 1, 6).view({2, 3}).to(there);
    const TrainConfig c{.tokens = 40 * 8, .batch = 1, .length = 8, .lr = 0.05};
    const auto loss = [&](const Part& p) {
      if (p.step == stop) fail("stopped");
      return (w - at::sin(at::arange(3) + static_cast<double>(p.step)).to(there)).square().sum();
    };
    train({"test", checkpoint, c, {{"w", w}}, loss});
    EXPECT_EQ(w.device(), there);
    return w.cpu();
  };
  const Tensor whole = trained("", -1);
  const std::string file = folder + "/w.safetensors";
  EXPECT_THROW(trained(file, 23), Error);
  EXPECT_TRUE(trained(file, -1).equal(whole));
  EXPECT_TRUE(trained(file, 0).equal(whole));  // finished: read, not trained
  TrainConfig c{.tokens = 8, .batch = 1, .length = 8, .on_disk = true};
  Tensor w = at::zeros({2}).to(there);
  EXPECT_THROW(train({"test", file + "2", c, {{"w", w}}, [&](const Part&) { return w.sum(); }}), Error);
  unsetenv("JET_SAVE_SECONDS");
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace jet
