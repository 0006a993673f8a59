#include "jet/engine/prompt_lookup.h"

#include <gtest/gtest.h>

#include <cmath>

#include "jet/engine/test_models.h"
#include "jet/engine/test_samplers.h"

namespace jet {
namespace {

using Ids = std::vector<int32_t>;

TEST(LookupDraft, FollowsTheLatestPlace) {
  const Ids text = {1, 2, 3, 4, 1, 2, 5, 6, 9, 1, 2};
  EXPECT_EQ(lookup_draft(text, 2, 3), (Ids{5, 6, 9}));
  EXPECT_EQ(lookup_draft(text, 2, 7), (Ids{5, 6, 9, 1, 2, 5, 6}));
  EXPECT_EQ(lookup_draft(text, 1, 1), (Ids{5}));
  EXPECT_EQ(lookup_draft(text, 3, 3), Ids{});
  EXPECT_EQ(lookup_draft(text, 2, 0), Ids{});
  EXPECT_EQ(lookup_draft(Ids{4, 4}, 1, 3), (Ids{4, 4, 4}));
  EXPECT_EQ(lookup_draft(Ids{4}, 1, 3), Ids{});
  EXPECT_EQ(lookup_draft({}, 1, 3), Ids{});
  EXPECT_EQ(lookup_draft(text, 11, 3), Ids{});
}

class Lookup : public testing::TestWithParam<NamedSpec> {
 protected:
  std::shared_ptr<Engine> engine(std::vector<int> eos = {}) {
    ModelSpec spec = GetParam().spec;
    spec.eos_token_id = std::move(eos);
    return Engine::random(spec, 1, DType::f32, {.threads = 1, .kv = DType::f32, .poison = true});
  }
  /// The same ids as generate(), on a sequence with a past, and the same state after it.
  static LookupResult expect_same(Engine& e, const Ids& prompt, const GenerateOptions& o, const LookupOptions& l,
                                  int stop_after = 1000) {
    auto plain = e.create(), fast = e.create();
    e.prefill(*plain, test_ids(5, 99), Want::nothing);
    e.prefill(*fast, test_ids(5, 99), Want::nothing);
    const auto stop = [stop_after](const NewToken&) mutable { return --stop_after > 0; };
    const Generated want = generate(e, *plain, prompt, o, stop);
    LookupResult got = generate_with_lookup(e, *fast, prompt, o, l, stop);
    EXPECT_EQ(got.ids, want.ids);
    EXPECT_EQ(got.finish, want.finish);
    EXPECT_EQ(fast->length(), plain->length());
    if (plain->length() < 96) {
      const auto a = prefilled(e, *plain, Ids{3}), b = prefilled(e, *fast, Ids{3});
      for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-4);
    }
    return got;
  }
  static Ids repetitive(uint64_t seed) {
    Ids ids = test_ids(6, seed);
    for (int i = 0; i < 14; ++i) ids.push_back(ids[i]);
    return ids;
  }
};

INSTANTIATE_TEST_SUITE_P(, Lookup, testing::ValuesIn(test_models()), [](const auto& i) { return i.param.name; });

TEST_P(Lookup, GivesWhatPlainDecodingGives) {
  const auto e = engine();
  int64_t accepted = 0, rejected = 0, passes = 0, made = 0;
  for (const LookupOptions& l : {LookupOptions{.draft = 4, .ngram = 1}, {.draft = 8, .ngram = 2}, {.draft = 1}}) {
    for (uint64_t seed = 0; seed < 2; ++seed) {
      const LookupResult r = expect_same(*e, repetitive(seed), {.max_new_tokens = 60}, l);
      accepted += r.accepted, rejected += r.drafted - r.accepted, passes += r.passes;
      made += static_cast<int64_t>(r.ids.size());
      const GenerateOptions warm{.max_new_tokens = 30, .sampler = {.temperature = 0.4f, .top_k = 9, .seed = seed}};
      rejected += expect_same(*e, repetitive(seed), warm, l).drafted;
    }
  }
  EXPECT_GT(accepted, 0);
  EXPECT_GT(rejected, 0);
  EXPECT_LE(passes, made - accepted);
}

TEST_P(Lookup, TakesEverySamplerAsGenerateDoes) {
  const auto e = engine({7, 30});
  for (const SamplerOptions& o : test_samplers(23)) {
    expect_same(*e, repetitive(2), {.max_new_tokens = 24, .sampler = o}, {.draft = 4, .ngram = 1});
  }
}

TEST_P(Lookup, StopsWherePlainDecodingStops) {
  const auto e = engine();
  const LookupOptions l{.draft = 5, .ngram = 1};
  const Ids prompt = repetitive(1);
  expect_same(*e, prompt, {.max_new_tokens = 0}, l);
  expect_same(*e, prompt, {.max_new_tokens = 1}, l);
  expect_same(*e, prompt, {.max_new_tokens = 1000}, l);  // to the context's end
  const Ids free = generate(*e, *e->create(), prompt, {.max_new_tokens = 40}).ids;
  for (const int at : {0, 7, 20, 33}) {
    EXPECT_EQ(expect_same(*e, prompt, {.max_new_tokens = 60}, l, at + 1).ids.size(), at + 1u);
    expect_same(*engine({free[at]}), prompt, {.max_new_tokens = 60}, l);
  }
}

TEST(LookupOptions, AreChecked) {
  const auto e = Engine::random(test_models().front().spec, 1, DType::f32);
  const auto run = [&](const GenerateOptions& o, const LookupOptions& l, const Ids& prompt) {
    generate_with_lookup(*e, *e->create(), prompt, o, l);
  };
  EXPECT_THROW(run({}, {.draft = 0}, {1}), Error);
  EXPECT_THROW(run({}, {.ngram = 0}, {1}), Error);
  EXPECT_THROW(run({.max_new_tokens = -1}, {}, {1}), Error);
  EXPECT_THROW(run({}, {}, {}), Error);
}

}  // namespace
}  // namespace jet
