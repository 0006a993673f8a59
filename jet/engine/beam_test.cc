#include "jet/engine/beam.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "jet/base/json.h"
#include "jet/engine/test_models.h"
#include "jet/engine/test_samplers.h"

namespace jet {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<int32_t>;

BeamOptions options_of(const Json& run) {
  const Json& early = run["early_stopping"];
  return {.num_beams = run["num_beams"],
          .length_penalty = run["length_penalty"],
          .early_stopping = early_stopping_from(early.is_string() ? early.get<std::string>() : early.dump()),
          .max_new_tokens = run["max_new_tokens"],
          .ignore_eos = run["eos"].empty()};
}

/// The engine of a folder, its eos ids replaced.
std::shared_ptr<Engine> engine_with_eos(const std::string& folder, const Json& eos) {
  const TemporaryFolder copy;
  for (const auto& file : fs::directory_iterator(folder)) {
    const std::string name = file.path().filename().string();
    if (name == "model.safetensors") fs::create_symlink(fs::absolute(file.path()), copy.path() + "/" + name);
  }
  for (const char* name : {"config.json", "generation_config.json"}) {
    Json j;
    std::ifstream(folder + "/" + name) >> j;
    if (eos.empty()) {
      j.erase("eos_token_id");
    } else {
      j["eos_token_id"] = eos;
    }
    std::ofstream(copy.path() + "/" + name) << j;
  }
  return Engine::load(copy.path(), {.threads = 1, .kv = DType::f32});
}

/// Every run of the fixture with this model, on the engine; returns how many beams ended in an eos.
int compare_with_transformers(const std::string& model, const std::string& folder) {
  Json all;
  std::ifstream("tests/fixtures/beams.json") >> all;
  int ended = 0;
  std::map<std::string, std::shared_ptr<Engine>> engines;
  for (const Json& run : all.at("models").at(model)) {
    auto& e = engines[run["eos"].dump()];
    if (!e) e = engine_with_eos(folder, run["eos"]);
    const Ids prompt = run["prompt"], eos = run["eos"];
    const auto beams = beam_search(*e, *e->create(), prompt, options_of(run));
    EXPECT_EQ(beams.size(), run["beams"].size());
    for (size_t i = 0; i < std::min(beams.size(), run["beams"].size()); ++i) {
      Ids want = run["beams"][i]["ids"];
      const bool ends = std::find(eos.begin(), eos.end(), want.back()) != eos.end();
      if (ends) want.pop_back();
      EXPECT_EQ(beams[i].ids, want) << model << " beam " << i << " of " << run.dump().substr(0, 200);
      EXPECT_EQ(beams[i].finish, ends ? Finish::eos : Finish::length);
      const double score = run["beams"][i]["score"];
      EXPECT_NEAR(beams[i].score, score, 1e-4 * std::max(1.0, std::abs(score)));
      ended += ends;
    }
  }
  return ended;
}

TEST(Beams, AreThoseOfTransformers) { EXPECT_GT(compare_with_transformers("qwen2", "tests/fixtures/qwen2"), 20); }

TEST(Beams, AreThoseOfTransformersForEveryFamily) {
  const std::string families = "../shared/golden/families/";
  if (!fs::is_directory(families)) GTEST_SKIP() << "skipped: ../shared/golden is absent";
  for (const char* model : {"llama3_rope", "gemma3_text"}) {
    EXPECT_GT(compare_with_transformers(model, families + model), 20);
  }
}

TEST(Beams, OneBeamIsGreedyOnEveryModel) {
  for (const auto& [name, spec] : test_models()) {
    const auto e = Engine::random(spec, 1, DType::f32, {.threads = 1, .kv = DType::f32, .poison = true});
    const Ids prompt = test_ids(9, 1);
    const Generated greedy = generate(*e, *e->create(), prompt, {.max_new_tokens = 200});  // to the context's end
    auto s = e->create();
    const auto one = beam_search(*e, *s, prompt, {.num_beams = 1, .max_new_tokens = 200});
    ASSERT_EQ(one.size(), 1u);
    EXPECT_EQ(one[0].ids, greedy.ids) << name;
    EXPECT_EQ(one[0].finish, Finish::context);
    EXPECT_EQ(greedy.finish, Finish::context);
    EXPECT_EQ(s->length(), 9);
    const auto many = beam_search(*e, *e->create(), prompt, {.num_beams = 6, .max_new_tokens = 12});
    ASSERT_EQ(many.size(), 6u);
    const auto few = beam_search(*e, *e->create(), prompt, {.num_beams = 1, .max_new_tokens = 12});
    EXPECT_GE(many[0].score, few[0].score - 1e-5f) << name;
  }
}

TEST(Beams, TakeTheStepsThatChangeLogits) {
  const auto e = Engine::random(test_models().back().spec, 1, DType::f32, {.threads = 1, .kv = DType::f32});
  const Ids prompt = test_ids(9, 1);
  const auto run = [&](int num_beams, const SamplerOptions& o) {
    return beam_search(*e, *e->create(), prompt, {.num_beams = num_beams, .max_new_tokens = 20, .sampler = o});
  };
  // Adding and masking do the same to logits and to their log softmax, so that one beam is greedy decoding.
  for (const SamplerOptions& o : {SamplerOptions{.presence_penalty = 0.7f, .frequency_penalty = 0.4f},
                                  {.logit_bias = {{3, 1.5f}, {7, -2}}},
                                  {.grammar = by_turns(61)}}) {
    const Generated greedy = generate(*e, *e->create(), prompt, {.max_new_tokens = 20, .sampler = o});
    EXPECT_EQ(run(1, o)[0].ids, greedy.ids);
    EXPECT_NE(run(1, {})[0].ids, greedy.ids);
  }
  for (const Beam& b : run(4, {.grammar = by_turns(61)})) {
    for (size_t i = 0; i < b.ids.size(); ++i) EXPECT_EQ(b.ids[i] % 3, static_cast<int>(i % 3));
  }
  // Log-probabilities are below 0: what was there is multiplied, and comes again less often.
  const Ids often = run(4, {})[0].ids, seldom = run(4, {.repetition_penalty = 4})[0].ids;
  const auto kinds = [](const Ids& ids) { return std::set<int32_t>(ids.begin(), ids.end()).size(); };
  EXPECT_GT(kinds(seldom), kinds(often));
}

TEST(Beams, RefuseWhatMakesNoSense) {
  const auto e = Engine::random(test_models().front().spec, 1, DType::f32);
  const auto run = [&](const BeamOptions& o, const Ids& prompt = {1, 2}) {
    return beam_search(*e, *e->create(), prompt, o);
  };
  EXPECT_THROW(run({.num_beams = 0}), Error);
  EXPECT_THROW(run({.num_beams = 40}), Error);
  EXPECT_THROW(run({.length_penalty = NAN}), Error);
  EXPECT_THROW(run({.max_new_tokens = -1}), Error);
  EXPECT_THROW(run({.sampler = {.repetition_penalty = -1}}), Error);
  EXPECT_THROW(run({.sampler = {.logit_bias = {{61, 1}}}}), Error);
  EXPECT_THROW(run({}, {}), Error);
  EXPECT_THROW(early_stopping_from("maybe"), Error);
  EXPECT_EQ(run({.max_new_tokens = 0}).at(0).ids, Ids{});
}

}  // namespace
}  // namespace jet
