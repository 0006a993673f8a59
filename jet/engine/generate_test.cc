#include "jet/engine/generate.h"

#include <gtest/gtest.h>

#include "jet/base/file.h"
#include "jet/engine/beam.h"
#include "jet/engine/prompt_lookup.h"
#include "jet/engine/scheduler.h"
#include "jet/engine/test_models.h"
#include "jet/text/utf8.h"

namespace jet {
namespace {

using Ids = std::vector<int32_t>;

TEST(Generate, StopsWhereItShould) {
  ModelSpec spec = test_models().front().spec;
  const auto prompt = test_ids(10, 1);
  const auto plain = Engine::random(spec, 1, DType::f32);
  const auto run = [&](Engine& e, const GenerateOptions& o, const OnToken& f = {}) {
    return generate(e, *e.create(), prompt, o, f);
  };
  const auto expect = [](const Generated& made, size_t tokens, Finish finish) {
    EXPECT_EQ(made.ids.size(), tokens);
    EXPECT_EQ(made.finish, finish) << name_of(made.finish);
    EXPECT_EQ(made.text, "");
  };
  const Ids free = run(*plain, {.max_new_tokens = 8}).ids;
  expect(run(*plain, {.max_new_tokens = 8}), 8, Finish::length);
  expect(run(*plain, {.max_new_tokens = 0}), 0, Finish::length);
  expect(run(*plain, {.max_new_tokens = 87}), 87, Finish::length);  // the last token is made, not run
  expect(run(*plain, {.max_new_tokens = 1000}), 87, Finish::context);
  expect(run(*plain, {.max_new_tokens = 8}, [](const NewToken&) { return false; }), 1, Finish::stopped);
  EXPECT_THROW(generate(*plain, *plain->create(), {}, {}), Error);
  EXPECT_THROW(run(*plain, {.max_new_tokens = -1}), Error);
  EXPECT_THROW(run(*plain, {.stop_strings = {"stop"}}), Error) << "without a tokenizer";

  spec.eos_token_id = {free[0]};
  const auto ending = Engine::random(spec, 1, DType::f32);
  expect(run(*ending, {.max_new_tokens = 8}), 0, Finish::eos);
  EXPECT_EQ(run(*ending, {.max_new_tokens = 8, .ignore_eos = true}).ids, free);
  const GenerateOptions hot{.max_new_tokens = 20,
                            .sampler = {.temperature = 1.5f, .top_k = 20, .top_p = 0.9f, .seed = 4}};
  EXPECT_EQ(run(*plain, hot).ids, run(*plain, hot).ids);
}

TEST(Generate, CountsWhatTheSequenceHolds) {
  const auto e = Engine::random(test_models().front().spec, 1, DType::f32);
  auto s = e->create();
  e->prefill(*s, test_ids(50, 2), Want::nothing);
  const Generated made = generate(*e, *s, test_ids(10, 1), {.max_new_tokens = 1000});
  EXPECT_EQ(made.ids.size(), 96u - 60 + 1);
  EXPECT_EQ(made.finish, Finish::context);
  EXPECT_EQ(s->length(), 96);
}

TEST(Generate, TellsTheListenerEverything) {
  const auto e = Engine::random(test_models().front().spec, 1, DType::f32);
  Ids ids;
  const Generated made = generate(*e, *e->create(), test_ids(10, 1),
                                  {.max_new_tokens = 6, .sampler = {.top_logprobs = 2}}, [&](const NewToken& t) {
                                    ids.push_back(t.id);
                                    EXPECT_EQ(t.top.size(), 2u);
                                    EXPECT_EQ(t.top[0], std::pair(t.id, t.logprob)) << "greedy";
                                    return true;
                                  });
  EXPECT_EQ(made.ids, ids);
}

/// The ends of text are those of generation_config.json, for everything that decodes.
TEST(Generate, EndsWhereTheModelsMakersSay) {
  ModelSpec spec = test_models().front().spec;
  const auto prompt = test_ids(10, 1);
  const TemporaryFolder folder;
  write_test_model(folder.path(), spec);
  const auto load = [&](const Json& file) {
    write_file(folder.path() + "/generation_config.json", file.dump());
    return Engine::load(folder.path(), {.threads = 1, .kv = DType::f32});
  };
  const auto plain = load(Json::object());
  const Ids free = generate(*plain, *plain->create(), prompt, {.max_new_tokens = 30}).ids;
  const int32_t end = free[20];
  const auto first = std::find(free.begin(), free.end(), end);
  const Ids want(free.begin(), first);
  for (const Json& eos : {Json(end), Json({60, end})}) {
    const auto e = load({{"eos_token_id", eos}});
    const Generated made = generate(*e, *e->create(), prompt, {.max_new_tokens = 30});
    EXPECT_EQ(made.ids, want);
    EXPECT_EQ(made.finish, Finish::eos);
    EXPECT_EQ(generate(*e, *e->create(), prompt, {.max_new_tokens = 30, .ignore_eos = true}).ids, free);
    EXPECT_EQ(generate_with_lookup(*e, *e->create(), prompt, {.max_new_tokens = 30}, {}).ids, want);
    Scheduler scheduler(*e, {});
    const auto scheduled = scheduler.submit({.prompt = prompt, .options = {.max_new_tokens = 30}});
    while (scheduler.step()) continue;
    EXPECT_EQ(scheduled->ids, want);
    const auto beam = beam_search(*e, *e->create(), prompt, {.num_beams = 1, .max_new_tokens = 30})[0];
    EXPECT_EQ(beam.ids, want);
    EXPECT_EQ(beam.finish, Finish::eos);
  }
}

/// Random models over a real vocabulary: their texts are full of broken characters.
class Texts : public testing::Test {
 protected:
  Texts() : tokenizer_(Tokenizer::load("models/base")) {
    ModelSpec spec = test_models().back().spec;
    spec.vocab_size = 4096;
    engine_ = Engine::random(spec, 1, DType::f32, {.threads = 1, .kv = DType::f32});
  }
  static Ids prompt() { return test_ids(9, 1, 4096); }
  GenerateOptions options(std::vector<std::string> stop_strings, uint64_t seed = 1) const {
    return {.max_new_tokens = 40,
            .sampler = {.temperature = 1, .seed = seed},
            .tokenizer = &tokenizer_,
            .stop_strings = std::move(stop_strings)};
  }
  /// generate(), whose listener must hear the beginning of the text, and the same from whatever else decodes.
  Generated run(const GenerateOptions& o) {
    std::string heard;
    const Generated made = generate(*engine_, *engine_->create(), prompt(), o, [&](const NewToken& t) {
      heard += t.text;
      return true;
    });
    EXPECT_TRUE(made.text.starts_with(heard));
    const auto lookup = generate_with_lookup(*engine_, *engine_->create(), prompt(), o, {.draft = 3, .ngram = 1});
    Scheduler scheduler(*engine_, {});
    const auto scheduled = scheduler.submit({.prompt = prompt(), .options = o});
    while (scheduler.step()) continue;
    for (const Generated& other : {Generated(lookup), Generated(*scheduled)}) {
      EXPECT_EQ(other.ids, made.ids);
      EXPECT_EQ(other.text, made.text);
      EXPECT_EQ(other.finish, made.finish);
    }
    return made;
  }
  Tokenizer tokenizer_;
  std::shared_ptr<Engine> engine_;
};

TEST_F(Texts, AreThoseOfTheTokenizer) {
  for (uint64_t seed = 0; seed < 4; ++seed) {
    const Generated made = run(options({}, seed));
    EXPECT_EQ(made.text, tokenizer_.decode(made.ids, /*skip_special_tokens=*/true));
    EXPECT_EQ(made.finish, Finish::length);
  }
}

TEST_F(Texts, EndBeforeAStopString) {
  const Generated free = run(options({}));
  ASSERT_GT(free.text.size(), 60u);
  int stopped = 0;
  for (size_t at = 5; at + 12 < free.text.size(); at += 7) {
    for (const size_t length : {1, 4, 11}) {
      const std::string stop = free.text.substr(at, length);
      if (!is_valid_utf8(stop) || stop.find("\xef\xbf\xbd") != std::string::npos) continue;  // a broken character
      const Generated made = run(options({stop, "no such text"}));
      EXPECT_EQ(made.finish, Finish::stop_string);
      EXPECT_EQ(made.text, free.text.substr(0, free.text.find(stop)));
      EXPECT_TRUE(std::equal(made.ids.begin(), made.ids.end(), free.ids.begin()));
      EXPECT_NE(tokenizer_.decode(made.ids).find(stop), std::string::npos) << "the ids hold it";
      ++stopped;
    }
  }
  EXPECT_GT(stopped, 10);
  const std::string last = free.text.substr(free.text.size() - 1) + "never whole";
  EXPECT_EQ(run(options({last})).text, free.text) << "what was held back comes at the end";
}

TEST_F(Texts, EndAtASpecialTokenThatIsNamed) {
  ASSERT_TRUE(tokenizer_.is_special(4095));
  GenerateOptions o = options({tokenizer_.bytes_of(4095)});
  o.ignore_eos = true;
  o.sampler.logit_bias = {{4095, 1000}};
  const Generated made = run(o);
  EXPECT_EQ(made.ids, Ids{4095});
  EXPECT_EQ(made.text, "");
  EXPECT_EQ(made.finish, Finish::stop_string);
}

}  // namespace
}  // namespace jet
