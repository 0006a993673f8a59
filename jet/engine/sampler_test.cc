#include "jet/engine/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "jet/base/error.h"
#include "jet/engine/test_samplers.h"

namespace jet {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
using Ids = std::vector<int32_t>;
using Floats = std::vector<float>;
using Probabilities = std::map<int32_t, double>;

/// Random logits; `rounded` ones are full of ties, and a tenth of the others is -inf.
Floats random_logits(int n, uint64_t seed, bool rounded) {
  Rng rng(seed, "logits");
  Floats l(n);
  for (float& x : l) {
    x = static_cast<float>(3 * rng.normal());
    if (rounded) {
      x = std::round(x);
    } else if (rng.below(10) == 0) {
      x = -kInfinity;
    }
  }
  l[rng.below(n)] = 4;
  return l;
}

void scale_to_one(Probabilities& p) {
  double sum = 0;
  for (const auto& [id, x] : p) sum += x;
  for (auto& [id, x] : p) x /= sum;
}

/// Keeps the first ids of `order` until they have probability `mass` together.
template <class Less>
void keep_mass(Probabilities& p, double mass, Less less) {
  std::vector<std::pair<int32_t, double>> order(p.begin(), p.end());
  std::sort(order.begin(), order.end(), less);
  double kept = 0;
  p.clear();
  for (const auto& [id, x] : order) {
    if (kept >= mass - 1e-9 && !p.empty()) break;
    kept += x;
    p[id] = x;
  }
  scale_to_one(p);
}

/// The pipeline as sampler.h draws it, in double and with full sorts.
Probabilities reference(const Floats& given, const SamplerOptions& o, const History& h) {
  std::vector<double> l(given.begin(), given.end());
  for (const auto& [id, bias] : o.logit_bias) l[id] += bias;
  for (const int32_t id : std::set<int32_t>(h.ids.begin(), h.ids.end())) {
    l[id] = l[id] > 0 ? l[id] / o.repetition_penalty : l[id] * o.repetition_penalty;
  }
  for (const int32_t id : std::set<int32_t>(h.made().begin(), h.made().end())) l[id] -= o.presence_penalty;
  for (const int32_t id : h.made()) l[id] -= o.frequency_penalty;
  if (o.grammar) {
    const auto matcher = o.grammar->start();
    const TokenSet& allowed = matcher->allowed(h.made());
    for (size_t i = 0; i < l.size(); ++i) l[i] = allowed.has(static_cast<int32_t>(i)) ? l[i] : -kInfinity;
  }
  const auto best = static_cast<int32_t>(std::max_element(l.begin(), l.end()) - l.begin());
  if (o.temperature == 0) return {{best, 1}};
  Probabilities p;
  for (size_t i = 0; i < l.size(); ++i) { p[static_cast<int32_t>(i)] = std::exp((l[i] - l[best]) / o.temperature); }
  scale_to_one(p);
  const auto likelier = [](const auto& a, const auto& b) {
    return std::abs(a.second - b.second) > 1e-9 ? a.second > b.second : a.first < b.first;
  };
  if (o.top_k > 0) {
    std::vector<std::pair<int32_t, double>> order(p.begin(), p.end());
    std::sort(order.begin(), order.end(), likelier);
    order.resize(std::min<size_t>(order.size(), o.top_k));
    p = {order.begin(), order.end()};
    scale_to_one(p);
  }
  if (o.top_p < 1) keep_mass(p, o.top_p, likelier);
  double most = 0, entropy = 0;
  for (const auto& [id, x] : p) most = std::max(most, x);
  std::erase_if(p, [&](const auto& x) { return x.second < o.min_p * most; });
  scale_to_one(p);
  if (o.typical_p == 1) return p;
  for (const auto& [id, x] : p) entropy -= x > 0 ? x * std::log(x) : 0;
  const auto distance = [&](double x) { return std::abs(-std::log(x) - entropy); };
  const Probabilities all = p;
  keep_mass(p, o.typical_p, [&](const auto& a, const auto& b) { return distance(a.second) < distance(b.second); });
  double farthest = 0;
  for (const auto& [id, x] : p) farthest = std::max(farthest, distance(all.at(id)));
  p = all;
  std::erase_if(p, [&](const auto& x) { return distance(x.second) > farthest + 1e-9; });
  scale_to_one(p);
  return p;
}

TEST(Sampler, TakesEveryStepAsTheReferenceDoes) {
  for (const int n : {20, 61, 259, 5003}) {
    for (uint64_t seed = 0; seed < 6; ++seed) {
      const Floats logits = random_logits(n, seed, seed % 2 == 0);
      const Ids ids = {5, 3, 3, 19, 0, 3, 12, 12, 12, 5};
      int list = 0;
      for (const SamplerOptions& o : test_samplers(seed, n)) {
        const History history{ids, 4};
        Probabilities want = reference(logits, o, history), got;
        Sampler sampler(o, n);
        for (const Choice& c : sampler.choices(logits, history)) got[c.id] = c.p;
        scale_to_one(got);
        std::erase_if(want, [](const auto& x) { return x.second == 0; });
        std::erase_if(got, [](const auto& x) { return x.second == 0; });
        const std::string where = fmt::format("vocabulary {}, seed {}, list {}", n, seed, list++);
        ASSERT_EQ(got.size(), want.size()) << where;
        for (const auto& [id, p] : want) ASSERT_NEAR(got[id], p, 1e-5) << where << ", id " << id;
        for (int i = 0; i < 20; ++i) ASSERT_TRUE(want.contains(sampler.draw(logits, history).id)) << where;
      }
    }
  }
}

/// Temperature, top-k and top-p with the whole vocabulary sorted.
class SortingSampler {
 public:
  explicit SortingSampler(const SamplerOptions& o) : o_(o), rng_(o.seed, "sampler") {}
  int32_t draw(const Floats& logits) {
    const float best = *std::max_element(logits.begin(), logits.end());
    std::vector<std::pair<float, int32_t>> all;
    for (size_t i = 0; i < logits.size(); ++i) {
      all.emplace_back(std::exp((logits[i] - best) / o_.temperature), static_cast<int32_t>(i));
    }
    const auto sort = [&] {
      std::sort(all.begin(), all.end(),
                [](auto& a, auto& b) { return a.first != b.first ? a.first > b.first : a.second < b.second; });
    };
    const auto sum = [&] {
      double total = 0;
      for (const auto& [p, id] : all) total += p;
      return total;
    };
    if (o_.top_k > 0 && static_cast<size_t>(o_.top_k) < all.size()) sort(), all.resize(o_.top_k);
    if (o_.top_p < 1) {
      const double enough = o_.top_p * sum();
      sort();
      double kept = 0;
      size_t n = 0;
      while (n < all.size() && kept < enough) kept += all[n++].first;
      all.resize(n);
    }
    double left = rng_.uniform() * sum();
    for (const auto& [p, id] : all) {
      if ((left -= p) < 0) return id;
    }
    return -1;
  }

 private:
  SamplerOptions o_;
  Rng rng_;
};

TEST(Sampler, DrawsToTheBitWhatSortingEverythingDraws) {
  for (const int n : {1, 61, 4099, 40000}) {
    for (const float temperature : {0.3f, 1.f, 4.f}) {
      for (const auto& [k, p] : {std::pair{0, 1.f}, {2, 1.f}, {50, 1.f}, {0, 0.5f}, {0, 0.999f}, {700, 0.9f}}) {
        const SamplerOptions o{.temperature = temperature, .top_k = k, .top_p = p, .seed = 5};
        Sampler sampler(o, n);
        SortingSampler sorting(o);
        for (uint64_t i = 0; i < 6; ++i) {
          const Floats logits = random_logits(n, i, i % 2 == 0);
          ASSERT_EQ(sampler.draw(logits).id, sorting.draw(logits)) << n << " " << temperature << " " << k << " " << p;
        }
      }
    }
  }
}

TEST(Sampler, KeepsToItsRestrictions) {
  const Floats logits = {std::log(0.4f), std::log(0.3f), std::log(0.2f), std::log(0.1f)};
  EXPECT_EQ(Sampler({}, 4).draw(logits).id, 0);
  EXPECT_EQ(Sampler({.temperature = 2, .top_k = 1}, 4).draw(logits).id, 0);
  const auto shares = [&](SamplerOptions o) {
    Sampler s(o, 4);
    std::vector<double> n(4);
    for (int i = 0; i < 20000; ++i) n[s.draw(logits).id] += 1.0 / 20000;
    return n;
  };
  const auto near = [](const std::vector<double>& a, const std::vector<double>& b) {
    for (int i = 0; i < 4; ++i) EXPECT_NEAR(a[i], b[i], b[i] == 0 ? 0 : 0.015) << i;
  };
  near(shares({.temperature = 1}), {0.4, 0.3, 0.2, 0.1});
  near(shares({.temperature = 0.5}), {16. / 30, 9. / 30, 4. / 30, 1. / 30});
  near(shares({.temperature = 1, .top_k = 2}), {4. / 7, 3. / 7, 0, 0});
  near(shares({.temperature = 1, .top_p = 0.71f}), {4. / 9, 3. / 9, 2. / 9, 0});
  near(shares({.temperature = 1, .top_p = 0.01f}), {1, 0, 0, 0});
  near(shares({.temperature = 1, .min_p = 0.6f}), {4. / 7, 3. / 7, 0, 0});
  // The entropy is 1.28, the surprises are 0.92, 1.20, 1.61, 2.30: the second is the most typical, then the third.
  near(shares({.temperature = 1, .typical_p = 0.2f}), {0, 1, 0, 0});
  near(shares({.temperature = 1, .typical_p = 0.4f}), {0, 3. / 5, 2. / 5, 0});
  EXPECT_EQ(shares({.temperature = 1, .seed = 5}), shares({.temperature = 1, .seed = 5}));
  EXPECT_NE(shares({.temperature = 1, .seed = 5}), shares({.temperature = 1, .seed = 6}));
}

TEST(Sampler, ChangesLogitsByTheHistory) {
  const Floats logits = {2, 1.5f, -1, -1.2f};
  const Ids ids = {0, 2, 1, 1, 2};  // two of the prompt, three made
  const History history{ids, 2};
  const auto changed = [&](SamplerOptions o) {
    Floats l = logits;
    LogitSteps(o, 4).apply(l, history);
    return l;
  };
  EXPECT_TRUE(LogitSteps({.temperature = 1, .top_k = 3}, 4).empty());
  EXPECT_EQ(changed({.repetition_penalty = 2}), (Floats{1, 0.75f, -2, -1.2f}));
  EXPECT_EQ(changed({.presence_penalty = 1}), (Floats{2, 0.5f, -2, -1.2f}));
  EXPECT_EQ(changed({.frequency_penalty = 0.5f}), (Floats{2, 0.5f, -1.5f, -1.2f}));
  EXPECT_EQ(changed({.logit_bias = {{3, 4}, {0, -kInfinity}}}), (Floats{-kInfinity, 1.5f, -1, 2.8f}));
  // In this order: a penalty sees the bias.
  EXPECT_EQ(changed({.repetition_penalty = 2, .logit_bias = {{2, 3}}}), (Floats{1, 0.75f, 1, -1.2f}));
  const auto only_last = test_grammar(4, [](size_t made, int32_t id) { return id == static_cast<int32_t>(made); });
  EXPECT_EQ(Sampler({.grammar = only_last}, 4).draw(logits, history).id, 3);
  EXPECT_THROW(Sampler({.logit_bias = {{3, -kInfinity}}, .grammar = only_last}, 4).draw(logits, history), Error);
  EXPECT_THROW(Sampler({.grammar = test_grammar(99, [](size_t, int32_t) { return true; })}, 4).draw(logits), Error);
}

TEST(Sampler, TellsTheModelsLogProbabilities) {
  const Floats logits = random_logits(61, 3, true);
  double sum = 0;
  for (const float l : logits) sum += std::exp(double{l});
  Ids order(61);
  for (int i = 0; i < 61; ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return logits[a] > logits[b]; });
  // Whatever the steps make of them.
  for (const SamplerOptions& o : {SamplerOptions{.top_logprobs = 5},
                                  {.temperature = 2, .top_k = 7, .logit_bias = {{order[0], -9}}, .top_logprobs = 5}}) {
    const Draw draw = Sampler(o, 61).draw(logits);
    EXPECT_NEAR(draw.logprob, logits[draw.id] - std::log(sum), 1e-5);
    ASSERT_EQ(draw.top.size(), 5u);
    for (int i = 0; i < 5; ++i) {
      EXPECT_EQ(draw.top[i].first, order[i]);
      EXPECT_NEAR(draw.top[i].second, logits[order[i]] - std::log(sum), 1e-5);
    }
  }
  EXPECT_EQ(Sampler({.top_logprobs = 0}, 61).draw(logits).top.size(), 0u);
  EXPECT_EQ(Sampler({.top_logprobs = 99}, 61).draw(logits).top.size(), 61u);
  EXPECT_EQ(Sampler({}, 61).draw(logits).logprob, 0);
}

TEST(Sampler, RefusesWhatItCannotUse) {
  for (const SamplerOptions& o : {SamplerOptions{.temperature = -1},
                                  {.temperature = NAN},
                                  {.top_k = -1},
                                  {.top_p = 0},
                                  {.top_p = 1.1f},
                                  {.top_p = NAN},
                                  {.min_p = -0.1f},
                                  {.min_p = 1.1f},
                                  {.typical_p = 0},
                                  {.typical_p = NAN},
                                  {.repetition_penalty = 0},
                                  {.repetition_penalty = kInfinity},
                                  {.presence_penalty = NAN},
                                  {.frequency_penalty = kInfinity},
                                  {.logit_bias = {{0, NAN}}},
                                  {.logit_bias = {{0, kInfinity}}},
                                  {.logit_bias = {{2, 1}}},
                                  {.logit_bias = {{-1, 1}}},
                                  {.top_logprobs = -2}}) {
    EXPECT_THROW(Sampler(o, 2), Error);
  }
  for (const SamplerOptions& o : {SamplerOptions{}, {.temperature = 1}, {.repetition_penalty = 2}}) {
    for (const Floats& bad : {Floats{}, {1, NAN}, {NAN, 1}, {1, kInfinity}, {-kInfinity, -kInfinity}}) {
      EXPECT_THROW(Sampler(o, 2).draw(bad), Error);
    }
  }
}

TEST(SamplingSettings, CountWhereTheCallerGivesNone) {
  const SamplingSettings model{.do_sample = true, .top_k = 64, .top_p = 0.95f, .repetition_penalty = 1.05f};
  const SamplerOptions ours = with_settings({.presence_penalty = 1, .seed = 3}, {}, {});
  EXPECT_EQ(ours.temperature, 0);
  EXPECT_EQ(ours.top_k, 0);
  EXPECT_EQ(ours.presence_penalty, 1);
  EXPECT_EQ(ours.seed, 3u);
  const SamplerOptions models = with_settings({}, {}, model);
  EXPECT_EQ(models.temperature, 1) << "sampling is at 1 where nothing else is said";
  EXPECT_EQ(models.top_k, 64);
  EXPECT_EQ(models.top_p, 0.95f);
  EXPECT_EQ(models.repetition_penalty, 1.05f);
  const SamplerOptions asked = with_settings({}, {.temperature = 0, .top_k = 5}, model);
  EXPECT_EQ(asked.temperature, 0);
  EXPECT_EQ(asked.top_k, 5);
  EXPECT_EQ(asked.top_p, 0.95f);
  // A temperature without sampling is none; whoever asks for one samples.
  EXPECT_EQ(with_settings({}, {}, {.do_sample = false, .temperature = 0.6f}).temperature, 0);
  EXPECT_EQ(with_settings({}, {}, {.temperature = 0.6f}).temperature, 0);
  EXPECT_EQ(with_settings({}, {}, {.do_sample = true, .temperature = 0.6f}).temperature, 0.6f);
  EXPECT_EQ(with_settings({}, {.do_sample = true}, {.temperature = 0.6f}).temperature, 0.6f);
  EXPECT_EQ(with_settings({}, {.do_sample = false}, model).temperature, 0);
  EXPECT_EQ(with_settings({}, {.temperature = 0.7f}, {.do_sample = false}).temperature, 0.7f);
}

}  // namespace
}  // namespace jet
