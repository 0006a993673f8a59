// Layers that are run again in the backward pass give the gradients of those that are kept.
#include "jet/train/recompute.h"

#include <gtest/gtest.h>

#include "jet/train/distill.h"
#include "jet/train/test_hybrid.h"

namespace jet {
namespace {

struct Gradients {
  double loss = 0;
  NamedTensors of;
};

// Of a student against `teacher`, whose parameters that `trained` names are trained. The mixers come through a closure
// that is gone when the backward pass runs, as a supernet's paths do.
Gradients gradients(TorchModel student, const TorchModel& teacher, bool recompute,
                    const std::function<bool(const std::string&)>& trained) {
  TorchOps ops;
  ops.recompute = recompute;
  Gradients g;
  g.of = own_parameters(student, trained);
  for (auto& [name, t] : g.of) t.requires_grad_(true);
  const at::Tensor ids = (at::arange(70, at::kLong) * 17 % 61).view({2, 35});
  const Trace theirs = teach(ops, teacher, ids);
  Trace own;
  {
    const std::vector<int> path = {0, 1, 2, 3};
    const MixerFn mixer = [&ops, &student, path](int l, const at::Tensor& h) {
      return own_mixers(ops, student)(path[l], h);
    };
    forward_with(ops, student, ids, mixer, &own);
  }
  at::Tensor loss = kl_loss(ops, {own.hidden, own.head}, {theirs.hidden, theirs.head}, at::full({2, 34}, 1.0 / 68));
  std::vector<int> mixing = {0, 2, 3};
  std::erase_if(mixing, [&](int l) { return !own.mixer_out[l].defined(); });
  if (!mixing.empty()) loss = loss + mean_feature_loss(own.mixer_out, theirs.mixer_out, mixing);
  loss.backward();
  g.loss = loss.item<double>();
  for (auto& [name, t] : g.of) t = t.grad().defined() ? t.grad() : at::zeros_like(t);
  return g;
}

void expect_same(const Gradients& got, const Gradients& want, const std::string& what) {
  EXPECT_NEAR(got.loss, want.loss, 1e-6 * want.loss) << what;
  ASSERT_EQ(got.of.size(), want.of.size());
  double total = 0;
  for (size_t i = 0; i < got.of.size(); ++i) {
    const double scale = want.of[i].second.norm().item<double>();
    EXPECT_LT((got.of[i].second - want.of[i].second).norm().item<double>(), 1e-4 * scale + 1e-8)
        << what << ": " << want.of[i].first;
    total += scale;
  }
  EXPECT_GT(total, 0) << what;
}

TEST(Recompute, GradientsOfEveryBlockAreThoseOfKeptActivations) {
  const TorchModel teacher = TorchModel::random(test_hybrid("attention"), 5);
  BlockList::for_each([&]<class Block>() {
    const TorchModel student = TorchModel::random(test_hybrid(Block::kind), 6);
    const auto mixers = [](const std::string& name) { return is_mixer_parameter(name); };
    const auto all = [](const std::string&) { return true; };
    const auto late = [](const std::string& name) { return name.starts_with("model.layers.2."); };
    for (const auto& trained : std::vector<std::function<bool(const std::string&)>>{mixers, all, late}) {
      expect_same(gradients(student, teacher, true, trained), gradients(student, teacher, false, trained), Block::kind);
    }
  });
}

TEST(Recompute, AFunctionRunsOnceMoreWhenGoingBack) {
  int runs = 0;
  const at::Tensor w = at::randn({4}).requires_grad_(true), x = at::randn({4}).requires_grad_(true);
  const auto f = [&](const at::Tensor& in, const at::Tensor&) {
    ++runs;
    return std::vector<at::Tensor>{in * w, in.sin()};
  };
  const auto out = recomputed(f, x);
  EXPECT_EQ(runs, 1);
  (out[0].sum() + out[1].sum()).backward();
  EXPECT_EQ(runs, 2);
  EXPECT_TRUE(at::allclose(w.grad(), x.detach()));
  EXPECT_TRUE(at::allclose(x.grad(), w.detach() + x.detach().cos()));
}

}  // namespace
}  // namespace jet
