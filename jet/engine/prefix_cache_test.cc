#include "jet/engine/prefix_cache.h"

#include <gtest/gtest.h>

#include <cmath>

#include "jet/engine/test_models.h"

namespace jet {
namespace {

using Ids = std::vector<int32_t>;

Ids joined(std::initializer_list<Ids> parts) {
  Ids all;
  for (const Ids& p : parts) all.insert(all.end(), p.begin(), p.end());
  return all;
}

class PrefixCaches : public testing::TestWithParam<NamedSpec> {
 protected:
  std::shared_ptr<Engine> engine() {
    return Engine::random(GetParam().spec, 1, DType::f32, {.threads = 1, .kv = DType::f32, .poison = true});
  }
};

INSTANTIATE_TEST_SUITE_P(, PrefixCaches, testing::ValuesIn(test_models()), [](const auto& i) { return i.param.name; });

TEST_P(PrefixCaches, GiveWhatFullProcessingGives) {
  const auto e = engine();
  PrefixCache cache(*e, 1 << 24, 8);
  const Ids head = test_ids(29, 1), a = test_ids(14, 2), b = test_ids(20, 3);
  const auto check = [&](const Ids& ids, int64_t run, std::span<const int64_t> marks = {}) {
    auto got = cache.prefill(ids, marks);
    const std::vector<float> logits(got.logits.begin(), got.logits.end());
    EXPECT_EQ(got.tokens_run, run);
    EXPECT_EQ(got.sequence->length(), static_cast<int64_t>(ids.size()));
    EXPECT_LE(worst_difference(logits, prefilled(*e, *e->create(), ids)), 1e-5);
    const Ids next = test_ids(11, 4);  // what follows sees the same past
    auto whole = e->create();
    e->prefill(*whole, ids, Want::nothing);
    EXPECT_LE(worst_difference(prefilled(*e, *got.sequence, next, Want::all), prefilled(*e, *whole, next, Want::all)),
              1e-4);
  };
  const int64_t mark[] = {29};
  check(joined({head, a}), 43, mark);
  check(joined({head, a}), 1);      // again
  check(joined({head, b}), 20);     // from the mark on
  check(joined({head, a, b}), 21);  // from one token before the first prompt's end
  Ids edited = joined({head, a, b});
  edited[18] = (edited[18] + 1) % 61;
  check(edited, 63 - 16);  // from the last multiple of 8 before the edit
  check(joined({head, b}), 1);
  check(test_ids(9, 9), 9);
}

TEST_P(PrefixCaches, GoOnAfterAnAnswer) {
  const auto e = engine();
  PrefixCache cache(*e, 1 << 24);
  const Ids prompt = test_ids(20, 5), question = test_ids(7, 6);
  auto first = cache.prefill(prompt);
  const Ids answer = test_ids(10, 7);
  e->prefill(*first.sequence, answer, Want::nothing);
  cache.store(joined({prompt, answer}), *first.sequence);
  const Ids all = joined({prompt, answer, question});
  const auto got = cache.prefill(all);
  const std::vector<float> logits(got.logits.begin(), got.logits.end());
  EXPECT_EQ(got.tokens_run, 7);
  EXPECT_LE(worst_difference(logits, prefilled(*e, *e->create(), all)), 1e-5);
}

TEST_P(PrefixCaches, KeepToTheBudget) {
  const auto e = engine();
  PrefixCache unbounded(*e, 1 << 24, 16);
  unbounded.prefill(test_ids(40, 0));
  ASSERT_EQ(unbounded.checkpoints(), 3);  // after 16, 32, 39
  const int64_t one = unbounded.bytes();
  EXPECT_GT(one, e->create()->checkpoint().bytes());

  PrefixCache cache(*e, 2 * one + one / 2, 16);
  for (int i = 0; i < 6; ++i) {
    cache.prefill(test_ids(40, i));
    EXPECT_LE(cache.bytes(), 2 * one + one / 2);
    EXPECT_GT(cache.bytes(), one / 2);
    EXPECT_EQ(cache.prefill(test_ids(40, i)).tokens_run, 1);  // the newest is there
  }
  EXPECT_EQ(cache.prefill(test_ids(40, 0)).tokens_run, 40);  // the oldest is gone
  EXPECT_EQ(cache.prefill(test_ids(40, 5)).tokens_run, 1);

  PrefixCache exact(*e, one, 16);  // room for one conversation, to the byte
  for (int i = 0; i < 6; ++i) {
    exact.prefill(test_ids(40, i));
    EXPECT_EQ(exact.bytes(), one);
    EXPECT_EQ(exact.checkpoints(), 3);
  }

  PrefixCache small(*e, one / 8, 16);
  EXPECT_EQ(small.prefill(test_ids(40, 0)).tokens_run, 40);
  EXPECT_LE(small.bytes(), one / 8);
}

TEST(PrefixCache, ChecksItsArguments) {
  const auto e = Engine::random(test_models().front().spec, 1, DType::f32);
  EXPECT_THROW(PrefixCache(*e, -1), Error);
  EXPECT_THROW(PrefixCache(*e, 1, 0), Error);
  PrefixCache cache(*e, 1 << 20);
  auto s = e->create();
  e->prefill(*s, test_ids(5, 1), Want::nothing);
  EXPECT_THROW(cache.store(test_ids(4, 1), *s), Error);
  EXPECT_THROW(cache.prefill({}), Error);
  EXPECT_EQ(cache.lookup(test_ids(5, 1), 50)->length(), 0);
  const auto room = cache.lookup(test_ids(5, 1), 50);
  EXPECT_EQ(room->bytes(), e->sequence_bytes(50));
}

}  // namespace
}  // namespace jet
