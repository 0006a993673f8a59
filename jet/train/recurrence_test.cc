// The chunked form must not depend on the chunk: length 1 is the recurrence itself.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "jet/train/torch_ops.h"

namespace jet {
namespace {

using at::Tensor;

struct Variant {
  const char* name;
  int decay;  // 0: none, 1: constant per head, 2: per head and token, 3: per channel
  bool beta, dplr;
  double steep;  // the decay's size
};

Recurrence<Tensor> inputs(const Variant& v, int64_t tokens) {
  at::manual_seed(5);
  const int64_t b = 2, h = 3, k = 6, d = 10;
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

}  // namespace
}  // namespace jet
