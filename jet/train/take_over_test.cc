// A block that takes over a trained one of another kind computes what that one does, whatever its weights.
#include <gtest/gtest.h>

#include "jet/train/torch_model.h"
#include "jet/train/torch_ops.h"

namespace jet {
namespace {

using at::Tensor;

constexpr int kHidden = 40;
const std::vector<int> kDims = {3, 6, 10};

MixerSpec mixer(const std::string& block) { return make_mixer(block, {}, kDims); }

// No parameter is left at what it starts as.
MixerWeights<Tensor> trained(const MixerSpec& m) {
  MixerWeights<Tensor> w = random_mixer(m, kHidden, 5, "trained ");
  for (auto& [name, t] : mixer_parameters(m, kHidden, w, "")) t += 0.1 * at::randn_like(t);
  return w;
}

Tensor output(const MixerSpec& m, const MixerWeights<Tensor>& w, const Tensor& x) {
  TorchOps ops;
  MixerState<Tensor> state;
  mixer_state(m, kHidden, state, [](const char*, Tensor&, const StateSpec&) {});
  return mixer_forward(ops, m, w, x, state);
}

TEST(TakeOver, ComputesTheSame) {
  at::manual_seed(3);
  const Tensor x = at::randn({2, 37, kHidden});
  std::vector<std::pair<MixerSpec, MixerSpec>> pairs = {
      {mixer("gated_delta_net:gate=false"), mixer("kda")},
      {mixer("gated_delta_net:gate=false,conv_bias=true,conv=3"), mixer("kda:conv_bias=true,conv=3")},
      {mixer("gated_delta_net:qk_conv=false"), mixer("jet")},
      {mixer("gated_delta_net:qk_conv=false,conv=3"), mixer("jet:conv=3,generator=5")}};
  BlockList::for_each([&]<class Block>() {
    if constexpr (!std::is_same_v<Block, None>)
      for (const auto& c : Block::Config::examples()) pairs.emplace_back(c, c);
  });
  for (const auto& [from, to] : pairs) {
    const MixerWeights<Tensor> theirs = trained(from);
    MixerWeights<Tensor> ours = random_mixer(to, kHidden, 7, "own ");
    ASSERT_TRUE(take_over(from, theirs, to, kHidden, ours)) << mixer_label(to);
    const Tensor want = output(from, theirs, x), got = output(to, ours, x);
    EXPECT_LT((got - want).abs().max().item<float>(), 1e-5F * want.abs().max().item<float>())
        << mixer_label(from) << " to " << mixer_label(to);
  }
}

TEST(TakeOver, LeavesWhatItCannotCompute) {
  const std::pair<const char*, const char*> pairs[] = {
      {"gated_delta_net", "kda"},   {"gated_delta_net:gate=false,negative_eigenvalues=true", "kda"},
      {"gated_delta_net", "jet"},   {"gated_delta_net:gate=false", "kda:conv=3"},
      {"gated_delta_net", "rwkv7"}, {"gated_delta_net:qk_conv=false,norm_eps=0.001", "jet"}};
  for (const auto& [from, to] : pairs) {
    MixerWeights<Tensor> ours = random_mixer(mixer(to), kHidden, 7, "own ");
    std::vector<Tensor> before;
    for (const auto& [name, t] : mixer_parameters(mixer(to), kHidden, ours, "")) before.push_back(t.clone());
    EXPECT_FALSE(take_over(mixer(from), trained(mixer(from)), mixer(to), kHidden, ours)) << from << " to " << to;
    size_t i = 0;
    for (const auto& [name, t] : mixer_parameters(mixer(to), kHidden, ours, "")) EXPECT_TRUE(at::equal(t, before[i++]));
  }
}

}  // namespace
}  // namespace jet
