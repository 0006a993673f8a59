// Laws that every block of the list and every mixture must keep. All engines run on poisoned scratch memory: an op that
// reads what it did not write turns the logits into NaN.
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "jet/engine/engine.h"
#include "jet/engine/test_models.h"

namespace jet {
namespace {

constexpr int kTokens = 57, kMost = 96;  // the models' context

struct LawCase : NamedSpec {
  bool traced = false;
};

std::vector<LawCase> law_cases(bool traced) {
  std::vector<LawCase> cases;
  for (const NamedSpec& m : test_models()) cases.push_back({m, traced});
  return cases;
}

class Laws : public testing::TestWithParam<LawCase> {
 protected:
  void SetUp() override { write_test_model(folder_.path(), GetParam().spec); }
  std::shared_ptr<Engine> engine(DType kv = DType::f32, int threads = 2, DType state = DType::f32) {
    return load({.threads = threads, .kv = kv, .state = state}, GetParam().traced);
  }
  std::shared_ptr<Engine> load(EngineOptions options, bool traced) {
    options.poison = true, options.traced = traced;
    return Engine::load(folder_.path(), options);
  }
  /// Logits of all tokens, taken in chunks of the given sizes (the last one repeats).
  static std::vector<float> logits(Engine& e, Sequence& s, std::span<const int32_t> ids,
                                   const std::vector<int>& chunks) {
    std::vector<float> all;
    for (size_t at = 0, i = 0; at < ids.size(); ++i) {
      const size_t n = std::min<size_t>(chunks[std::min(i, chunks.size() - 1)], ids.size() - at);
      const auto part = e.prefill(s, ids.subspan(at, n), Want::all);
      all.insert(all.end(), part.begin(), part.end());
      at += n;
    }
    return all;
  }
  static std::vector<float> logits(Engine& e, std::span<const int32_t> ids, const std::vector<int>& chunks = {512}) {
    return logits(e, *e.create(), ids, chunks);
  }
  TemporaryFolder folder_;
};

INSTANTIATE_TEST_SUITE_P(, Laws, testing::ValuesIn(law_cases(false)), [](const auto& i) { return i.param.name; });
// The same by interpreting what TraceOps recorded: a block that cannot be written down does not get here.
INSTANTIATE_TEST_SUITE_P(Traced, Laws, testing::ValuesIn(law_cases(true)), [](const auto& i) { return i.param.name; });

class Recordings : public Laws {};
INSTANTIATE_TEST_SUITE_P(, Recordings, testing::ValuesIn(law_cases(true)), [](const auto& i) { return i.param.name; });

TEST_P(Recordings, GiveWhatTheOrdinaryEngineGives) {
  for (const DType kv : {DType::f32, DType::bf16}) {
    const auto plain = load({.threads = 2, .kv = kv}, false), traced = load({.threads = 2, .kv = kv}, true);
    const auto run = [&](Engine& e) {
      std::vector<float> all, seen;
      e.observe([&](const char*, int, std::span<const float> x) { seen.insert(seen.end(), x.begin(), x.end()); });
      auto a = e.create(), b = e.create();
      const auto ids = test_ids(kTokens, 1), more = test_ids(9, 2);
      const auto add = [&](std::span<const float> x) { all.insert(all.end(), x.begin(), x.end()); };
      add(e.prefill(*a, ids, Want::all, 23));
      std::vector<Step> steps = {{a.get(), std::span(more).first(1), Want::all}, {b.get(), more, Want::last}};
      e.forward(steps);
      add(steps[0].logits), add(steps[1].logits), add(seen);
      ModelState<int> state;
      model_state(GetParam().spec, state,
                  [&](int layer, const char* name, int&, const StateSpec&) { add(a->read(layer, name)); });
      return all;
    };
    const auto want = run(*plain), got = run(*traced);
    // A state is a sum over all tokens: 1e-5 is an ulp of what reaches 128.
    EXPECT_LE(worst_difference(want, got, /*unit=*/1), 1e-5) << name_of(kv);
  }
}

TEST_P(Laws, AnySplitGivesTheSame) {
  // With bf16 rows, a sum taken in another order can round a key to its neighbour.
  for (const auto& [kv, tolerance] : {std::pair{DType::f32, 1e-4}, {DType::bf16, 2e-2}}) {
    const auto e = engine(kv);
    const auto ids = test_ids(kTokens, 1);
    const auto whole = logits(*e, ids);
    ASSERT_EQ(whole.size(), size_t{kTokens} * 61);
    double size = 0;
    for (const float x : whole) size = std::max(size, std::abs(double{x}));
    EXPECT_GT(size, 0.5);
    for (const std::vector<int>& chunks :
         std::vector<std::vector<int>>{{1}, {1, 6, 7, 43}, {13, 3, 41}, {kTokens - 1, 1}, {2}, {40, 1, 2, 3}}) {
      EXPECT_LE(worst_difference(whole, logits(*e, ids, chunks)), tolerance) << "first chunk " << chunks[0];
    }
  }
}

TEST_P(Laws, ExactPassesGiveTheSameToTheBit) {
  for (const DType kv : {DType::f32, DType::bf16, DType::i8}) {
    const auto e = load({.threads = 2, .kv = kv, .exact = true}, GetParam().traced);
    const auto ids = test_ids(kMost, 1), others = test_ids(40, 3);
    const auto whole = logits(*e, ids);
    EXPECT_GT(worst_difference(whole, std::vector<float>(whole.size())), 0.5);
    for (const std::vector<int>& chunks : std::vector<std::vector<int>>{{1}, {1, 6, 7, 43}, {13, 3, 41}, {70, 1, 2, 3}})
      EXPECT_EQ(whole, logits(*e, ids, chunks)) << "first chunk " << chunks[0];
    // Token by token, beside prompts and other single tokens.
    auto s = e->create(), prompt = e->create();
    std::vector<std::unique_ptr<Sequence>> beside;
    std::vector<float> all;
    for (int t = 0; t < kMost; ++t) {
      std::vector<Step> steps = {{s.get(), std::span(ids).subspan(t, 1)}};
      if (t % 8 == 0) beside.push_back(e->create());
      for (const auto& b : beside) steps.push_back({b.get(), std::span(others).subspan(t % 40, 1)});
      if (t % 5 == 0) prompt->reset(), steps.push_back({prompt.get(), std::span(others).first(1 + t % 40)});
      std::swap(steps.front(), steps[t % steps.size()]);
      e->forward(steps);
      const auto& row = steps[t % steps.size()].logits;
      all.insert(all.end(), row.begin(), row.end());
    }
    EXPECT_EQ(whole, all) << name_of(kv);
  }
}

TEST_P(Laws, SmallerStatesStayNear) {
  const auto ids = test_ids(kTokens, 1);
  const auto exact = logits(*engine(), ids);
  double size = 0;
  for (const float x : exact) size = std::max(size, std::abs(double{x}));
  for (const auto& [kv, state] : {std::pair{DType::i8, DType::f32}, {DType::f32, DType::bf16}}) {
    const auto e = engine(kv, 2, state);
    EXPECT_LE(worst_difference(exact, logits(*e, ids, {7, 1, 30})), 0.1 * size) << name_of(kv) << " " << name_of(state);
    auto s = e->create();
    e->prefill(*s, ids, Want::nothing);
    EXPECT_EQ(s->bytes(), s->fork()->bytes());
    EXPECT_LE(e->sequence_bytes(kTokens), engine()->sequence_bytes(kTokens));
  }
}

TEST_P(Laws, ThePastDoesNotSeeTheFuture) {
  const auto e = engine();
  auto ids = test_ids(kTokens, 2);
  const auto before = logits(*e, ids);
  ids[30] = (ids[30] + 1) % 61;
  const auto after = logits(*e, ids);
  const size_t n = 30 * 61;
  EXPECT_LE(worst_difference({before.data(), n}, {after.data(), n}), 1e-6);
  EXPECT_GT(worst_difference({before.data() + n, 61}, {after.data() + n, 61}), 1e-4);
  const double next = worst_difference({before.data() + n + 61, 61}, {after.data() + n + 61, 61});
  if (cache_bytes(GetParam().spec, kTokens) > 0) {
    EXPECT_GT(next, 1e-6);
  } else {  // nothing is carried: each token stands alone
    EXPECT_LE(next, 1e-6);
  }
}

TEST_P(Laws, ARowDoesNotSeeItsNeighbours) {
  const auto e = engine();
  const int lengths[] = {19, 1, 7, 33}, pasts[] = {0, 20, 3, 9};
  std::vector<std::vector<int32_t>> ids;
  std::vector<std::unique_ptr<Sequence>> sequences;
  std::vector<Step> steps;
  for (int i = 0; i < 4; ++i) {
    ids.push_back(test_ids(pasts[i] + lengths[i], 10 + i));
    sequences.push_back(e->create());
    if (pasts[i] > 0) e->prefill(*sequences[i], std::span(ids[i]).first(pasts[i]), Want::nothing);
    steps.push_back({sequences[i].get(), std::span(ids[i]).subspan(pasts[i]), i == 2 ? Want::last : Want::all});
  }
  e->forward(steps);
  std::vector<std::vector<float>> got;
  for (const Step& s : steps) got.emplace_back(s.logits.begin(), s.logits.end());
  for (int i = 0; i < 4; ++i) {
    const auto alone = logits(*e, ids[i]);
    const size_t rows = i == 2 ? 1 : lengths[i];
    EXPECT_EQ(got[i].size(), rows * 61);
    const std::span<const float> want(alone.end() - static_cast<ptrdiff_t>(rows * 61), alone.end());
    EXPECT_LE(worst_difference(want, got[i]), 1e-4) << "sequence " << i;
    EXPECT_EQ(sequences[i]->length(), pasts[i] + lengths[i]);
  }
}

TEST_P(Laws, SaveRestoreForkAndResetChangeNothing) {
  for (const auto& [kv, state] :
       {std::pair{DType::f32, DType::f32}, {DType::bf16, DType::bf16}, {DType::i8, DType::f32}}) {
    const auto e = engine(kv, 2, state);
    const auto ids = test_ids(kTokens, 3);
    const std::span head(ids.data(), 41), tail(ids.data() + 41, kTokens - 41);
    auto original = e->create();
    e->prefill(*original, head, Want::nothing, 11);
    const std::string path = folder_.path() + "/state.safetensors";
    original->save(path);
    auto fork = original->fork();
    const auto undisturbed = prefilled(*e, *original, tail, Want::all);
    EXPECT_EQ(prefilled(*e, *fork, tail, Want::all), undisturbed);

    const auto other = engine(kv, 2, state);
    auto restored = other->create();
    other->prefill(*restored, tail, Want::nothing);
    restored->load(path);
    EXPECT_EQ(restored->length(), 41);
    // Rows may lie elsewhere in a ring than they did, so blocks of keys are cut elsewhere.
    EXPECT_LE(worst_difference(other->prefill(*restored, tail, Want::all), undisturbed),
              kv == DType::f32 ? 1e-5 : 2e-2);

    original->reset();
    EXPECT_EQ(original->length(), 0);
    EXPECT_LE(worst_difference(logits(*e, *original, ids, {512}), logits(*e, ids)), 1e-6);
  }
}

TEST_P(Laws, RollingBackLeavesNoTrace) {
  for (const DType kv : {DType::f32, DType::bf16}) {
    const auto e = engine(kv);
    for (const int length : {0, 3, 20}) {  // before and after the windows are full
      const auto a = test_ids(length, 1), b = test_ids(23, 2), c = test_ids(30, 3);
      auto s = e->create(), undisturbed = e->create();
      if (length > 0) {
        e->prefill(*s, a, Want::nothing);
        e->prefill(*undisturbed, a, Want::nothing);
      }
      const SequenceCheckpoint checkpoint = s->checkpoint();
      const auto want = prefilled(*e, *undisturbed, c, Want::all, 7);
      for (const int chunk : {23, 1}) {
        e->prefill(*s, b, Want::nothing, chunk);
        s->rollback(checkpoint);
        EXPECT_EQ(s->length(), length);
        EXPECT_EQ(prefilled(*e, *s, c, Want::all, 7), want) << "after " << length << " tokens";
        s->rollback(checkpoint);
      }
      auto fork = s->fork();
      e->prefill(*fork, b, Want::nothing);
      fork->rollback(checkpoint);
      EXPECT_EQ(prefilled(*e, *fork, c, Want::all, 7), want);
    }
  }
}

TEST_P(Laws, EveryVisitedParameterIsUsed) {
  const ModelSpec& spec = GetParam().spec;
  for (const std::string& name : parameter_names(spec)) {
    TemporaryFolder poisoned;
    write_test_model(poisoned.path(), spec, name);
    const auto e = Engine::load(poisoned.path(), {.threads = 1, .kv = DType::f32, .traced = GetParam().traced});
    auto s = e->create();
    const auto last = e->prefill(*s, test_ids(3, 4));
    for (const float x : last) ASSERT_TRUE(std::isnan(x)) << name << " does not reach the logits";
  }
}

TEST_P(Laws, EveryStateIsUsedAndNamedOnce) {
  const auto e = engine();
  auto a = e->create(), b = e->create();
  e->prefill(*a, test_ids(9, 5), Want::nothing);
  e->prefill(*b, test_ids(9, 6), Want::nothing);
  struct Nothing {};
  ModelState<Nothing> state;
  std::set<std::string> seen;
  model_state(GetParam().spec, state, [&](int layer, const char* name, Nothing&, const StateSpec& p) {
    EXPECT_TRUE(seen.insert(std::to_string(layer) + name).second);
    const int64_t rows = p.kind != StateSpec::rows ? 1 : p.window > 0 ? std::min(9, p.window) : 9;
    EXPECT_EQ(a->read(layer, name).size(), static_cast<size_t>(numel(p.shape) * rows));
    EXPECT_GT(worst_difference(a->read(layer, name), b->read(layer, name)), 1e-6) << layer << " " << name;
  });
  EXPECT_GE(a->bytes(), cache_bytes(GetParam().spec, 9, 4));
}

TEST_P(Laws, ThreadsDoNotMatter) {
  const auto ids = test_ids(kTokens, 8);
  EXPECT_LE(worst_difference(logits(*engine(DType::f32, 1), ids), logits(*engine(DType::f32, 3), ids)), 1e-5);
}

TEST_P(Laws, BadInputLeavesSequencesAsTheyWere) {
  const auto e = engine();
  const auto ids = test_ids(20, 9);
  auto s = e->create(), t = e->create(), undisturbed = e->create();
  e->prefill(*s, ids, Want::nothing);
  e->prefill(*undisturbed, ids, Want::nothing);
  const std::vector<int32_t> good = {1, 2}, negative = {1, -1}, outside = {61}, long_one = test_ids(77, 1), none;
  for (const auto* bad : {&negative, &outside, &long_one, &none}) {
    std::vector<Step> steps = {{s.get(), good}, {t.get(), *bad}};
    if (bad == &long_one) steps = {{t.get(), good}, {s.get(), *bad}};
    EXPECT_THROW(e->forward(steps), Error);
    EXPECT_THROW(e->prefill(bad == &long_one ? *s : *t, *bad, Want::last, 3), Error);
  }
  std::vector<Step> twice = {{s.get(), good}, {s.get(), good}}, nobody = {{nullptr, good}};
  EXPECT_THROW(e->forward(twice), Error);
  EXPECT_THROW(e->forward(nobody), Error);
  auto foreign = engine()->create();
  EXPECT_THROW(e->prefill(*foreign, good), Error);
  EXPECT_EQ(s->length(), 20);
  EXPECT_EQ(t->length(), 0);
  EXPECT_EQ(prefilled(*e, *s, good), prefilled(*e, *undisturbed, good));
}

}  // namespace
}  // namespace jet
