#include "jet/engine/prefix_cache.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

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
  const bool rows = unbounded.empty_state()->layout->only_rows();
  ASSERT_EQ(unbounded.checkpoints(), rows ? 3 : 2);  // after 16, 39 and, where it costs no pass, 32
  const int64_t one = unbounded.bytes();
  EXPECT_GT(one, e->create()->checkpoint().bytes());

  PrefixCache cache(*e, 2 * one + one / 2, 16);
  for (int i = 0; i < 12; ++i) {
    cache.prefill(test_ids(40, i));
    EXPECT_LE(cache.bytes(), 2 * one + one / 2);
    EXPECT_GT(cache.bytes(), one / 2);
    EXPECT_EQ(cache.prefill(test_ids(40, i)).tokens_run, 1);  // the newest is there
  }
  EXPECT_EQ(cache.prefill(test_ids(40, 0)).tokens_run, 40);  // the oldest is gone
  EXPECT_EQ(cache.prefill(test_ids(40, 11)).tokens_run, 1);

  PrefixCache exact(*e, one, 16);  // room for one conversation, to the byte
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(exact.prefill(test_ids(40, i)).tokens_run, 40);
    EXPECT_LE(exact.bytes(), one);
    EXPECT_EQ(exact.prefill(test_ids(40, i)).tokens_run, 1);
  }

  PrefixCache small(*e, one / 8, 16);
  EXPECT_EQ(small.prefill(test_ids(40, 0)).tokens_run, 40);
  EXPECT_LE(small.bytes(), one / 8);
}

/// Keeps what a cache lets go.
struct KeepingStore : PrefixStore {
  std::vector<PrefixPath> paths;
  bool has(uint64_t key) const override {
    for (const auto& path : paths) {
      uint64_t at = 0;
      for (const auto& run : path.runs) {
        at = prefix_key(at, run.ids);
        if (run.state && at == key) return true;
      }
    }
    return false;
  }
  void put(PrefixPath path) override { paths.push_back(std::move(path)); }
};

TEST_P(PrefixCaches, GiveWhatTheyLetGoToAStore) {
  const auto e = engine();
  KeepingStore store;
  PrefixCache unbounded(*e, 1 << 24, 8);
  const int64_t marks[] = {21};
  unbounded.prefill(test_ids(40, 0), marks);
  const int64_t one = unbounded.bytes();
  PrefixCache cache(*e, one, 8);
  cache.spill_to(&store);
  for (int i = 0; i < 4; ++i) {
    cache.prefill(test_ids(40, i), marks);
    EXPECT_LE(cache.bytes(), one);
  }
  ASSERT_GE(store.paths.size(), 1u);  // each conversation once
  ASSERT_LE(store.paths.size(), 3u);
  Ids oldest = test_ids(40, 0);
  oldest.pop_back();
  EXPECT_EQ(store.paths[0].ids(), oldest);
  EXPECT_EQ(store.paths[0].runs.back().is_mark, true);
  cache.spill_all();
  cache.spill_all();
  EXPECT_EQ(store.paths.size(), 4u);

  PrefixCache other(*e, 1 << 24, 8);
  for (const auto& path : store.paths) {
    auto whole = e->create();
    e->prefill(*whole, path.ids(), Want::nothing);
    PrefixCache source(*e, 1 << 24, 1000);
    source.store(path.ids(), *whole);
    EXPECT_TRUE(other.insert(path.ids(), source.path_of(path.ids()).runs.at(0)));
    EXPECT_EQ(other.held(path.ids()).rows, std::ssize(path.ids()));
  }
  for (int i = 0; i < 4; ++i) {
    const auto got = other.prefill(test_ids(40, i));
    const std::vector<float> logits(got.logits.begin(), got.logits.end());
    EXPECT_EQ(got.tokens_run, 1);
    EXPECT_LE(worst_difference(logits, prefilled(*e, *e->create(), test_ids(40, i))), 1e-5);
  }
}

TEST_P(PrefixCaches, LetStridesGoBeforeMarks) {
  const auto e = engine();
  const int64_t marks[] = {21};
  PrefixCache unbounded(*e, 1 << 24, 8);
  if (unbounded.empty_state()->layout->only_rows()) GTEST_SKIP() << "skipped: its checkpoints share what they hold";
  unbounded.prefill(test_ids(40, 0), marks);
  PrefixCache tight(*e, unbounded.bytes() - 1, 8);
  tight.prefill(test_ids(40, 0), marks);
  EXPECT_LT(tight.checkpoints(), unbounded.checkpoints());
  for (const int n : {21, 39}) {
    Ids edited = test_ids(40, 0);
    edited.resize(n + 1);
    edited[n] = (edited[n] + 1) % 61;
    EXPECT_EQ(tight.held(edited).state, n);
  }
  Ids beginning = test_ids(40, 0);
  beginning.resize(9);
  EXPECT_EQ(tight.held(beginning).state, 0);  // the checkpoint after 8 went first
}

TEST_P(PrefixCaches, CutRunsWhereTextsPart) {
  const auto e = engine();
  PrefixCache cache(*e, 1 << 24, 1000), parts(*e, 1 << 24, 1000);
  const Ids whole = test_ids(80, 1);
  Ids other(whole.begin(), whole.begin() + 50);
  for (const int32_t id : test_ids(20, 2)) other.push_back(id);
  for (const Ids& ids : {whole, other, Ids(whole.begin(), whole.begin() + 60)}) {
    auto s = e->create();
    e->prefill(*s, ids, Want::nothing);
    cache.store(ids, *s);
    parts.store(ids, *s);
  }
  EXPECT_EQ(cache.checkpoints(), 3);
  EXPECT_EQ(cache.path_of(whole).runs.size(), 3u);  // 50, 10 and 20 tokens
  EXPECT_EQ(cache.path_of(other).runs.size(), 2u);
  for (const Ids& ids : {whole, other, Ids(whole.begin(), whole.begin() + 60)}) {
    Ids next = ids;
    next.push_back(5);
    EXPECT_EQ(cache.prefill(next).tokens_run, 1);
  }
  EXPECT_EQ(cache.path_of(Ids(whole.begin(), whole.begin() + 55)).ids(), whole);
  const int64_t before = parts.bytes();
  EXPECT_EQ(parts.forget(other), 20);
  EXPECT_LT(parts.bytes(), before);
  EXPECT_EQ(parts.forget(whole), 80);
  EXPECT_EQ(parts.forget(whole), 0);
  EXPECT_EQ(parts.bytes(), 0);
  EXPECT_EQ(parts.checkpoints(), 0);
}

/// All memory that is held, however little of a block a branch's tokens are: what lies before them was copied.
TEST_P(PrefixCaches, CountWhatBranchesHold) {
  const auto e = engine();
  PrefixCache cache(*e, 1 << 26, 1000);
  const Ids trunk = test_ids(80, 1);
  cache.prefill(trunk);
  const auto memory = [&](std::span<const Ids> prompts) {
    std::set<const void*> seen;
    int64_t all = 0;
    const auto add = [&](const SequenceState& s) {
      s.for_memory([&](const void* at, int64_t n) { all += seen.insert(at).second ? n : 0; });
    };
    for (const Ids& ids : prompts) {
      for (const auto& run : cache.path_of(ids).runs) {
        add(*run.rows);
        if (run.state) add(*run.state);
      }
    }
    return all;
  };
  std::vector<Ids> prompts{trunk};
  for (int i = 0; i < 5; ++i) {
    prompts.push_back(joined({trunk, test_ids(4, 100 + i)}));
    cache.prefill(prompts.back());
    const int64_t held = memory(prompts);
    EXPECT_GE(cache.bytes(), held);
    EXPECT_LE(cache.bytes(), held + 16384);  // ids and nodes
  }
}

TEST_P(PrefixCaches, ReadPromptsInAsFewPassesAsTheirStatesAllow) {
  const auto e = engine();
  const auto passes = [&](PrefixCache& cache, int64_t from, const std::vector<int64_t>& marks) {
    const Ids ids = test_ids(80, 1);
    auto s = e->create();
    if (from > 0) e->prefill(*s, std::span(ids).first(from), Want::nothing);
    PrefixCache::Reading reading(cache, ids, from, marks);
    std::vector<int64_t> ends;
    for (int64_t at = from; at < 80; at = ends.back()) {
      ends.push_back(reading.pass_end(at));
      e->prefill(*s, std::span(ids).subspan(at, ends.back() - at), Want::nothing);
      reading.store_passed(*s);
    }
    return ends;
  };
  using Ends = std::vector<int64_t>;
  PrefixCache cache(*e, 1 << 24, 20), other(*e, 1 << 24, 20);
  const bool rows = cache.empty_state()->layout->only_rows();
  // After 31: 33 is near, 40 too; 60 is near the mark at 55, and that at 77 stands for one token before the end.
  EXPECT_EQ(passes(cache, 31, {77, 33, 55}), rows ? Ends{80} : Ends({55, 77, 80}));
  EXPECT_EQ(cache.checkpoints(), rows ? 6 : 2);
  EXPECT_EQ(cache.held(test_ids(80, 1)).state, rows ? 79 : 77);
  EXPECT_EQ(passes(other, 0, {}), rows ? Ends{80} : Ends({20, 40, 60, 79, 80}));
  EXPECT_EQ(other.checkpoints(), 4);
  EXPECT_EQ(other.held(test_ids(79, 1)).state, 60);
  Ids half = test_ids(60, 1);  // what was stored in passing is the state of that token
  half.insert(half.end(), {7, 8});
  const auto got = other.lookup(half);
  ASSERT_EQ(got->length(), 60);
  EXPECT_LE(worst_difference(prefilled(*e, *got, Ids{7, 8}), prefilled(*e, *e->create(), half)), 1e-5);
}

TEST(PrefixCache, ChecksItsArguments) {
  const auto e = Engine::random(test_models().front().spec, 1, DType::f32);
  EXPECT_THROW(PrefixCache(*e, -1), Error);
  EXPECT_THROW(PrefixCache(*e, 1, -1), Error);
  PrefixCache cache(*e, 1 << 20);
  auto s = e->create();
  e->prefill(*s, test_ids(5, 1), Want::nothing);
  EXPECT_THROW(cache.store(test_ids(6, 1), *s), Error);
  EXPECT_THROW(cache.prefill({}), Error);
  EXPECT_EQ(cache.lookup(test_ids(5, 1), 50)->length(), 0);
  const auto room = cache.lookup(test_ids(5, 1), 50);
  EXPECT_EQ(room->bytes(), e->sequence_bytes(50));
}

}  // namespace
}  // namespace jet
