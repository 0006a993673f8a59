// Chunked losses against the plain formulas by autograd.
#include "jet/train/head_loss.h"

#include <gtest/gtest.h>

#include "jet/base/error.h"
#include "jet/train/golden_tensors.h"

namespace jet {
namespace {

constexpr int64_t kVocab = 29, kHidden = 6;

struct Case {
  at::Tensor hidden = at::randn({3, 8, kHidden}), teacher = at::randn({3, 8, kHidden});
  at::Tensor head = at::randn({kVocab, kHidden}), teacher_head = at::randn({kVocab, kHidden});
  at::Tensor weights = at::rand({3, 7}), next = at::randint(kVocab, {3, 7}, at::kLong);
};

at::Tensor plain(const Case& c, const at::Tensor& hidden, const at::Tensor& head, bool kl) {
  const auto log_p = [](const at::Tensor& h, const at::Tensor& w) {
    return at::log_softmax(at::linear(h.narrow(1, 0, 7), w), -1);
  };
  const at::Tensor p = log_p(hidden, head), target = log_p(c.teacher, c.teacher_head);
  const at::Tensor rows = kl ? (target.exp() * (target - p)).sum(-1) : -p.gather(-1, c.next.unsqueeze(-1)).squeeze(-1);
  return (rows * c.weights).sum();
}

at::Tensor leaf(const at::Tensor& t) { return t.detach().clone().requires_grad_(true); }
TEST(HeadLoss, ChunksGiveTheValuesAndGradientsOfTheWhole) {
  at::manual_seed(3);
  const Case c;
  const TorchOps ops;
  for (const bool kl : {true, false}) {
    const at::Tensor h = leaf(c.hidden), w = leaf(c.head);
    const at::Tensor want = plain(c, h, w, kl);
    (2.5 * want).backward();
    for (const int64_t chunk : {1, 5, 20, 21, 0}) {
      const at::Tensor own_h = leaf(c.hidden), own_w = leaf(c.head);
      const auto loss = [&](const at::Tensor& hidden, const at::Tensor& head) {
        return kl ? kl_loss(ops, {hidden, head}, {c.teacher, c.teacher_head}, c.weights, chunk)
                  : next_token_loss(ops, hidden, head, c.next, c.weights, chunk);
      };
      const at::Tensor got = loss(own_h, own_w);
      (2.5 * got).backward();
      EXPECT_NEAR(got.item<double>(), want.item<double>(), 1e-6 * want.item<double>());
      EXPECT_LT(max_abs(own_h.grad(), h.grad()), 1e-5);
      EXPECT_LT(max_abs(own_w.grad(), w.grad()), 1e-5);
      const at::Tensor frozen_h = leaf(c.hidden);  // the head takes no gradient
      loss(frozen_h, c.head).backward();
      EXPECT_LT(max_abs(2.5 * frozen_h.grad(), h.grad()), 1e-5);
    }
  }
}

TEST(HeadLoss, KeptTargets) {
  at::manual_seed(5);
  const Case c;
  const TorchOps ops;
  const at::Tensor h = leaf(c.hidden), w = leaf(c.head), exact = plain(c, h, w, true);
  exact.backward();
  double before = 0;
  for (const int64_t k : {int64_t{1}, int64_t{4}, int64_t{20}, kVocab}) {
    const Targets t = top_targets(ops, c.teacher.narrow(1, 0, 7), c.teacher_head, k, 5);
    EXPECT_EQ(t.ids.sizes(), (std::vector<int64_t>{21, k}));
    const at::Tensor own_h = leaf(c.hidden), own_w = leaf(c.head);
    const auto loss = [&](const at::Tensor& hidden, const at::Tensor& head) {
      return kl_loss(ops, hidden, head, t, c.weights, 4);
    };
    const at::Tensor got = loss(own_h, own_w);
    got.backward();
    EXPECT_GT(got.item<double>(), before);  // more is told by more outcomes
    before = got.item<double>();
    const at::Tensor way = at::randn_like(c.hidden);  // the gradient, by differences
    const double step = 1e-2;
    const double slope =
        (loss(c.hidden + step * way, c.head) - loss(c.hidden - step * way, c.head)).item<double>() / (2 * step);
    EXPECT_NEAR((own_h.grad() * way).sum().item<double>(), slope, 0.01 * std::abs(slope) + 0.01) << k;
    if (k < kVocab) continue;
    EXPECT_NEAR(got.item<double>(), exact.item<double>(), 1e-6 * exact.item<double>());
    EXPECT_LT(max_abs(own_h.grad(), h.grad()), 1e-5);
    EXPECT_LT(max_abs(own_w.grad(), w.grad()), 1e-5);
  }
  EXPECT_THROW(top_targets(ops, c.teacher, c.teacher_head, kVocab + 1), Error);
}

TEST(HeadLoss, AFrozenHeadOfBf16) {
  at::manual_seed(4);
  const Case c;
  const at::Tensor narrow = c.head.to(at::kBFloat16), wide = narrow.to(at::kFloat);
  const at::Tensor h = leaf(c.hidden), own = leaf(c.hidden);
  plain(c, h, wide, false).backward();
  next_token_loss(TorchOps{}, own, narrow, c.next, c.weights, 4).backward();
  EXPECT_LT(max_abs(own.grad(), h.grad()), 1e-5);
}

}  // namespace
}  // namespace jet
