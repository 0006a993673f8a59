// The chunked form against the recurrence itself, token by token: outputs, states and every gradient.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "jet/train/recurrence.h"

namespace jet {
namespace {

using at::Tensor;

struct Variant {
  const char* name;
  int decay;  // 0: none, 1: constant per head, 2: per head and token, 3: per channel
  bool beta, dplr;
  double steep;  // the decay's size
};

Recurrence<Tensor> inputs(const Variant& v, int64_t tokens, int64_t k = 6, int64_t d = 10) {
  at::manual_seed(5);
  const int64_t b = 2, h = 3;
  const auto unit = [](const Tensor& x) { return x / x.norm(2, {-1}, true); };
  Recurrence<Tensor> r;
  r.q = at::randn({b, tokens, h, k});
  r.k = unit(at::randn({b, tokens, h, k}));
  r.v = at::randn({b, tokens, h, d});
  r.scale = 0.4f;
  if (v.decay == 1) r.g = -v.steep * at::rand({h});
  if (v.decay == 2) r.g = -v.steep * at::rand({b, tokens, h});
  if (v.decay == 3) r.g = -v.steep * at::rand({b, tokens, h, k});
  if (v.beta) r.beta = at::rand({b, tokens, h});
  if (v.dplr) {
    r.a = -r.k;
    r.b = r.k * at::rand({b, tokens, h, k});
  }
  return r;
}

constexpr Variant kVariants[] = {
    {"linear attention", 0, false, false, 0},
    {"retention", 1, false, false, 0.1},
    {"scalar decay", 2, false, false, 0.5},
    {"steep scalar decay", 2, false, false, 50},
    {"gla", 3, false, false, 0.3},
    {"steep gla", 3, false, false, 12},
    {"delta rule", 0, true, false, 0},
    {"gated delta rule", 2, true, false, 0.5},
    {"kda", 3, true, false, 0.3},
    {"rwkv7", 3, false, true, 0.6},
};

TEST(Recurrence, ChunkLengthDoesNotMatter) {
  for (const auto& v : kVariants) {
    for (int64_t tokens : {1, 5, 64, 70, 131}) {
      const auto r = inputs(v, tokens);
      const Tensor s0 = at::randn({2, 3, 6, 10});
      const auto [o1, s1] = chunked_recurrence(r, s0, 1);
      for (int64_t chunk : {int64_t{0}, int64_t{4}}) {
        if (v.steep > 20 && v.decay == 3) continue;
        const auto [o, s] = chunked_recurrence(r, s0, chunk);
        EXPECT_LT((o - o1).norm().item<double>() / o1.norm().item<double>(), 1e-5) << v.name << " T=" << tokens;
        EXPECT_LT((s - s1).norm().item<double>() / s1.norm().item<double>(), 1e-5) << v.name << " T=" << tokens;
      }
    }
  }
}

TEST(Recurrence, AnySplitGivesTheSame) {
  for (const auto& v : kVariants) {
    const auto r = inputs(v, 90);
    const auto [whole, last] = chunked_recurrence(r, {});
    const auto part = [&](int64_t begin, int64_t n) {
      Recurrence<Tensor> p = r;
      for (Tensor* t : {&p.q, &p.k, &p.v, &p.beta, &p.a, &p.b}) {
        if (t->defined()) *t = t->narrow(1, begin, n);
      }
      if (p.g.defined() && p.g.dim() > 1) p.g = p.g.narrow(1, begin, n);
      return p;
    };
    Tensor state;
    std::vector<Tensor> outs;
    for (auto [begin, n] : {std::pair<int64_t, int64_t>{0, 1}, {1, 66}, {67, 23}}) {
      auto [o, s] = chunked_recurrence(part(begin, n), state);
      outs.push_back(o);
      state = s;
    }
    EXPECT_LT((at::cat(outs, 1) - whole).norm().item<double>() / whole.norm().item<double>(), 1e-5) << v.name;
    EXPECT_LT((state - last).norm().item<double>() / last.norm().item<double>(), 1e-5) << v.name;
  }
}

// The definition in op_set.h, one token after the other.
std::pair<Tensor, Tensor> step_by_step(const Recurrence<Tensor>& r, Tensor s) {
  std::vector<Tensor> out;
  for (int64_t t = 0; t < r.q.size(1); ++t) {
    const auto row = [&](const Tensor& x) { return x.select(1, t).unsqueeze(-1); };  // [B, H, K, 1]
    Tensor before = s;
    if (r.g.defined()) {
      const Tensor g = r.g.dim() == 1 ? r.g : r.g.select(1, t);
      s = s * (g.dim() == 3 ? g.unsqueeze(-1) : g.unsqueeze(-1).unsqueeze(-1)).exp();
    }
    const Tensor k = row(r.k), v = row(r.v).transpose(-1, -2);
    if (r.beta.defined()) {
      s = s + row(r.beta).unsqueeze(-1) * at::matmul(k, v - at::matmul(k.transpose(-1, -2), s));
    } else {
      if (r.a.defined()) s = s + at::matmul(row(r.b), at::matmul(row(r.a).transpose(-1, -2), before));
      s = s + at::matmul(k, v);
    }
    out.push_back(at::matmul(row(r.q).transpose(-1, -2), s).squeeze(-2) * double{r.scale});
  }
  return {at::stack(out, 1), s};
}

struct Problem {
  Recurrence<Tensor> r;
  Tensor s0;
  std::vector<Tensor> leaves;
};

Problem problem(const Variant& v, int64_t tokens, at::ScalarType type, int64_t k = 6, int64_t d = 10) {
  Problem p{inputs(v, tokens, k, d), at::randn({2, 3, k, d}), {}};
  for (Tensor* t : {&p.r.q, &p.r.k, &p.r.v, &p.r.g, &p.r.beta, &p.r.a, &p.r.b, &p.s0}) {
    if (!t->defined()) continue;
    *t = t->to(type).detach().requires_grad_(true);
    p.leaves.push_back(*t);
  }
  return p;
}

// A scalar that weighs every output and the final state.
Tensor loss_of(const std::pair<Tensor, Tensor>& out) {
  const auto weights = [](const Tensor& t) {
    return at::arange(t.numel(), at::kDouble).mul(0.7).sin().to(t.scalar_type()).view_as(t);
  };
  return (out.first * weights(out.first)).sum() + (out.second * weights(out.second)).sum();
}

TEST(Recurrence, GradientsAreThoseOfTheStepForm) {
  for (const auto& v : kVariants) {
    for (int64_t tokens : {1, 5, 64, 70, 131}) {
      const Problem p = problem(v, tokens, at::kDouble);
      const auto want = step_by_step(p.r, p.s0), got = chunked_recurrence(p.r, p.s0);
      EXPECT_LT((got.first - want.first).norm().item<double>(), 1e-9 * want.first.norm().item<double>()) << v.name;
      const auto a = torch::autograd::grad({loss_of(want)}, p.leaves);
      const auto b = torch::autograd::grad({loss_of(got)}, p.leaves);
      for (size_t i = 0; i < a.size(); ++i) {
        EXPECT_LT((a[i] - b[i]).norm().item<double>(), 1e-9 * a[i].norm().item<double>() + 1e-12)
            << v.name << " T=" << tokens << " input " << i;
      }
    }
  }
}

TEST(Recurrence, GradientsAreDifferenceQuotients) {
  for (const auto& v : kVariants) {
    const Problem p = problem(v, 70, at::kDouble);
    const auto grads = torch::autograd::grad({loss_of(chunked_recurrence(p.r, p.s0))}, p.leaves);
    const at::NoGradGuard no_grad;
    for (size_t i = 0; i < p.leaves.size(); ++i) {
      const Tensor direction = at::randn_like(p.leaves[i]), step = direction * 1e-5;
      const auto at_offset = [&](double sign) {
        p.leaves[i].add_(step, sign);
        const double loss = loss_of(chunked_recurrence(p.r, p.s0)).item<double>();
        p.leaves[i].sub_(step, sign);
        return loss;
      };
      const double slope = (at_offset(1) - at_offset(-1)) / 2e-5, want = (grads[i] * direction).sum().item<double>();
      EXPECT_NEAR(slope, want, 1e-6 * (1 + std::abs(want))) << v.name << " input " << i;
    }
  }
}

TEST(Recurrence, GradientsInSinglePrecision) {
  // In fp32 heads are walked one by one (head_recurrence.h), another program than that of the tests above.
  for (const auto& v : kVariants) {
    for (const auto& [tokens, k, d] : {std::tuple<int64_t, int64_t, int64_t>{131, 6, 10}, {1, 6, 10}, {70, 33, 48}}) {
      const Problem p = problem(v, tokens, at::kFloat, k, d), exact = problem(v, tokens, at::kDouble, k, d);
      const auto want = step_by_step(exact.r, exact.s0), got = chunked_recurrence(p.r, p.s0);
      EXPECT_LT((got.first - want.first).norm().item<double>(), 1e-5 * want.first.norm().item<double>()) << v.name;
      const auto a = torch::autograd::grad({loss_of(want)}, exact.leaves);
      const auto b = torch::autograd::grad({loss_of(got)}, p.leaves);
      for (size_t i = 0; i < a.size(); ++i) {
        // The gradient of a steep decay is a small difference of large sums.
        const double bound = v.steep > 10 ? 5e-5 : 1e-5;
        EXPECT_LT((a[i] - b[i]).norm().item<double>(), bound * a[i].norm().item<double>() + 1e-12)
            << v.name << " T=" << tokens << " K=" << k << " input " << i;
      }
    }
  }
}

TEST(Recurrence, SecondDerivativesAreRefused) {
  const Problem p = problem(kVariants[7], 5, at::kDouble);
  EXPECT_THROW(torch::autograd::grad({loss_of(chunked_recurrence(p.r, p.s0))}, p.leaves, {}, true, true),
               std::exception);
}

}  // namespace
}  // namespace jet
