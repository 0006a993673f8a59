#include "jet/eval/tasks.h"

#include <gtest/gtest.h>

#include <cmath>

#include "jet/base/error.h"
#include "jet/base/file.h"
#include "jet/engine/generate.h"
#include "jet/engine/test_models.h"
#include "jet/eval/text_metrics.h"

namespace jet {
namespace {

const Tokenizer& base_tokenizer() {
  static const Tokenizer t = Tokenizer::load("models/base");
  return t;
}

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

/// A model that finds id 7 most likely everywhere: log p = -1 for 7, -(10 + id) for others.
float stub_logprob(int32_t id) { return id == 7 ? -1.0f : -10.0f - static_cast<float>(id); }

struct Stub {
  std::vector<std::vector<size_t>> batches;  // the lengths of each call's queries

  ScoreFn fn() {
    return [this](const std::vector<Query>& queries) {
      batches.emplace_back();
      std::vector<QueryScore> scores;
      for (const auto& q : queries) {
        batches.back().push_back(q.ids.size());
        QueryScore s;
        for (size_t i = q.from; i < q.ids.size(); ++i) {
          s.argmax.push_back(7);
          s.logprob.push_back(stub_logprob(q.ids[i]));
        }
        for (const int32_t id : q.alternatives) s.alternatives.push_back(stub_logprob(id));
        scores.push_back(s);
      }
      return scores;
    };
  }
};

TEST(ScoreTask, FreeAnswersNeedEveryTokenRight) {
  Stub stub;
  const Task task{"t", {{{1}, {7}, {}, 1}, {{1, 2}, {7, 7}, {}, 1}, {{1}, {7, 8}, {}, 2}}};
  const TaskScore s = score_task(task, stub.fn());
  EXPECT_EQ(s.name, "t");
  EXPECT_EQ(s.credits.correct, 2);
  EXPECT_EQ(s.credits.total, 3);
  EXPECT_DOUBLE_EQ(s.credits.mean(), 2.0 / 3);
  EXPECT_NEAR(s.credits.standard_error(), std::sqrt(2.0 / 9 / 3), 1e-12);
  EXPECT_NEAR(s.nll, (4 * 1.0 + 18.0) / 5, 1e-6);  // tokens 7 7 7 7 8
  EXPECT_EQ(s.by_n.at(1).correct, 2);
  EXPECT_EQ(s.by_n.at(2).total, 1);
  const Json j = s.to_json();
  EXPECT_EQ(j["by_n"]["2"]["total"], 1);
  EXPECT_NEAR(j["accuracy"].get<double>(), s.credits.mean(), 1e-12);
  EXPECT_FALSE(j.contains("metric"));
}

TEST(ScoreTask, ChoicesGoByLikelihood) {
  Stub stub;
  const std::vector<std::vector<int32_t>> single = {{3}, {5}, {9}}, longer = {{7, 9}, {9}, {7, 7, 7}};
  const auto correct = [&](const auto& choices, std::vector<int32_t> answer) {
    const Task task{"t", {{{1}, answer, choices, 0}}};
    const auto right = score_task(task, stub.fn()).credits.correct;
    EXPECT_EQ(question_count(task), stub.batches.back().size());
    return right;
  };
  EXPECT_EQ(correct(single, {3}), 1);         // not the argmax 7, which is no choice
  EXPECT_EQ(stub.batches.back().size(), 1u);  // one row prices all
  EXPECT_EQ(correct(single, {5}), 0);
  EXPECT_EQ(correct(longer, {7, 7, 7}), 1);
  EXPECT_EQ(correct(longer, {9}), 0);
  EXPECT_EQ(stub.batches.back().size(), 3u);  // the answer is one of the choices
}

TEST(ScoreTask, BatchesAreSortedByLengthAndFull) {
  Stub stub;
  Task task{"t", {}};
  for (int i = 0; i < 10; ++i) task.items.push_back({std::vector<int32_t>(1 + (i * 7) % 10, 1), {7}, {}, i});
  const TaskScore s = score_task(task, stub.fn(), 4);
  EXPECT_EQ(s.credits.correct, 10);
  EXPECT_EQ(stub.batches, (std::vector<std::vector<size_t>>{{2, 3, 4, 5}, {6, 7, 8, 9}, {10, 11}}));
  EXPECT_THROW(score_task(task, stub.fn(), 0), Error);
  EXPECT_THROW(score_task(task, [](const auto&) { return std::vector<QueryScore>{}; }), Error);
  EXPECT_THROW(score_task(task, [](const auto& q) { return std::vector<QueryScore>(q.size()); }), Error);
}

TEST(ScoreTask, RefusesWhatIsNoNumber) {
  const Task task{"t", {{{1}, {7, 7}, {{5}, {7}}, 0}}};
  for (const float bad : {NAN, -INFINITY}) {
    for (const bool in_choices : {false, true}) {
      const ScoreFn damaged = [&](const std::vector<Query>& queries) {
        auto scores = Stub().fn()(queries);
        (in_choices ? scores[0].alternatives : scores[0].logprob).back() = bad;
        return scores;
      };
      EXPECT_THROW(score_task(task, damaged), Error) << bad << in_choices;
    }
  }
}

/// One number in the last norm makes every logit NaN.
TEST(ScoreTask, DamagedModelsHaveNoScore) {
  const TemporaryFolder folder;
  write_test_model(folder.path(), test_models().front().spec, "model.norm.weight");
  const auto engine = Engine::load(folder.path());
  const Task task{"t", {{{1, 2}, {3, 4}, {}, 0}, {{5}, {6}, {{6}, {7}}, 0}}};
  const auto message = [](const auto& f) {
    try {
      f();
    } catch (const Error& e) { return std::string(e.what()); }
    return std::string("no error");
  };
  EXPECT_HAS(message([&] { score_task(task, engine_scorer(*engine)); }), "weights are damaged");
  EXPECT_HAS(message([&] { generate_task(task, *engine); }), "weights are damaged");
  EXPECT_HAS(message([&] { held_out_loss(*engine, {1, 3, {1, 2, 3}, {}}); }), "weights are damaged");
}

TEST(ScoreRow, GivesLogProbabilities) {
  const std::vector<float> logits = {1, 3, 3, 1000};
  EXPECT_EQ(score_row(logits).argmax, 3);
  EXPECT_DOUBLE_EQ(score_row(logits).log_sum, 1000);
  const auto row = score_row(std::span(logits).first(3));
  EXPECT_EQ(row.argmax, 1);  // the first of equals
  EXPECT_NEAR(row.log_sum, std::log(std::exp(1.0) + 2 * std::exp(3.0)), 1e-6);
}

TEST(ScoreTask, ChoicesMayGoByTheirLikelihoodAByte) {
  Task task{"t", {{{1}, {7, 7, 7}, {{9}, {7, 7, 7}}, 0, {"", {"seventy"}, {"9", "seventy"}}}}};
  const ScoreFn flat = [](const std::vector<Query>& queries) {  // each choice costs 4 nats
    std::vector<QueryScore> scores;
    for (const auto& q : queries) {
      const size_t n = q.ids.size() - q.from;
      scores.push_back({std::vector<int32_t>(n), std::vector<float>(n, -4.0f / static_cast<float>(n))});
    }
    return scores;
  };
  EXPECT_EQ(score_task(task, flat).credits.correct, 0);  // the first of equals
  task.format.normalisation = "bytes";
  EXPECT_EQ(score_task(task, flat).credits.correct, 1);
}

TEST(ScoreTask, PerplexityIsPerTokenByteOrWord) {
  Task task{"t", {{{1}, {7, 7}, {}, 0, {"", {"ab cd e"}, {}}}, {{1}, {7}, {}, 0, {"", {"f"}, {}}}}};
  task.format.request = "text", task.format.metric = "perplexity";
  for (const auto& [unit, count] : {std::pair{"none", 3}, {"bytes", 8}, {"words", 4}}) {
    task.format.normalisation = unit;
    const Json j = score_task(task, Stub().fn()).to_json();
    EXPECT_NEAR(j["perplexity"].get<double>(), std::exp(3.0 / count), 1e-9) << unit;
    EXPECT_NEAR(j["nll"].get<double>(), 1, 1e-9);
    EXPECT_FALSE(j.contains("accuracy") || j.contains("by_n"));
    EXPECT_EQ(j["total"], 2);
  }
}

TEST(ScoreTask, TextsAreGradedAgainstAllAnswers) {
  Task task{"t",
            {{{1}, {7}, {}, 2, {"", {"Paris", "the city of Paris"}, {}}}, {{2, 3}, {7}, {}, 3, {"", {"Rome"}, {}}}}};
  task.format.request = "generate", task.format.metric = "exact_match", task.format.normalisation = "squad";
  task.format.until = {"\n"}, task.format.most = 5;
  std::vector<Prompt> asked;
  const GenerateFn generate = [&](const std::vector<Prompt>& prompts) {
    asked.insert(asked.end(), prompts.begin(), prompts.end());
    return std::vector<std::string>(prompts.size(), " City of  Paris.");
  };
  const Json exact = score_task(task, Stub().fn(), 1, generate).to_json();
  EXPECT_EQ(exact["metric"], "exact_match");
  EXPECT_EQ(exact["accuracy"], 0.5);
  EXPECT_EQ(exact["by_n"]["3"]["correct"], 0);
  EXPECT_FALSE(exact.contains("nll"));
  ASSERT_EQ(asked.size(), 2u);
  EXPECT_EQ(asked[1].ids, (std::vector<int32_t>{2, 3}));
  EXPECT_EQ(asked[1].most, 5);
  task.format.metric = "f1", task.items[0].text.answers = {"Paris"};
  const TaskScore f = score_task(task, Stub().fn(), 2, generate);
  EXPECT_NEAR(f.credits.mean(), 0.25, 1e-12);  // P = 1/3, R = 1
  EXPECT_NEAR(f.credits.standard_error(), 0.25 / std::sqrt(2), 1e-12);
  EXPECT_THROW(score_task(task, Stub().fn()), Error);
}

TEST(TextMetrics, FollowTheirDefinitions) {
  EXPECT_EQ(exact_match(" 64\n", {"63", "64"}, "none"), 1);
  EXPECT_EQ(exact_match("The Cat", {"cat"}, "none"), 0);
  EXPECT_EQ(exact_match("\u00c9t\u00e9, the  \"Cat\"!", {"\u00e9t\u00e9 a cat"}, "squad"), 1);
  EXPECT_DOUBLE_EQ(f1("a b b c", {"b b d", "x"}, "none"), 4.0 / 7);
  EXPECT_EQ(f1("", {"x"}, "none"), 0);
}

class EngineScorer : public testing::Test {
 protected:
  std::shared_ptr<Engine> engine_ = Engine::load("models/base", {.exact = true});
};

TEST_F(EngineScorer, StepByStepAgreesWithAtOnce) {
  std::vector<Query> queries;
  for (const auto& item : load_task("data/eval/recall.jsonl", base_tokenizer(), 5).items) {
    queries.push_back({item.prompt, static_cast<int>(item.prompt.size()), {5, 6}});
    queries.back().ids.insert(queries.back().ids.end(), item.answer.begin(), item.answer.end());
  }
  queries.push_back({{4095, 20, 30, 40}, 1});
  const auto once = engine_scorer(*engine_)(queries), steps = engine_scorer(*engine_, Feed::step_by_step)(queries);
  for (size_t i = 0; i < queries.size(); ++i) {
    ASSERT_EQ(once[i].logprob.size(), queries[i].ids.size() - queries[i].from);
    ASSERT_EQ(once[i].alternatives.size(), queries[i].alternatives.size());
    for (size_t t = 0; t < once[i].logprob.size(); ++t) {
      EXPECT_NEAR(once[i].logprob[t], steps[i].logprob[t], 0.05) << "query " << i << " token " << t;
    }
  }
}

TEST_F(EngineScorer, TheBaseModelHasItsSkills) {
  const Task recall = load_task("data/eval/recall.jsonl", base_tokenizer(), 20);
  EXPECT_GE(score_task(recall, engine_scorer(*engine_)).credits.mean(), 0.9);
  EXPECT_GE(generate_task(recall, *engine_).credits.mean(), 0.9);
}

/// What greedy decoding by passes of one token writes, to the stop and without.
TEST_F(EngineScorer, TextsEndAtTheirStops) {
  const auto generate = engine_generator(*engine_, base_tokenizer());
  const auto ids = base_tokenizer().encode("7 + 1 = 8\n8 + 4 = 12\n7 + 1 =");
  const auto texts = generate({{ids, {}, 12}, {ids, {"\n"}, 12}, {ids, {"never", "8"}, 12}, {ids, {}, 1}});
  EXPECT_EQ(texts[1], " 8");
  EXPECT_EQ(texts[0].substr(0, 3), " 8\n");
  EXPECT_EQ(texts[2], " ");
  EXPECT_EQ(texts[3], " ");  // digits are tokens of their own
  const auto s = engine_->create();
  EXPECT_EQ(texts[0], base_tokenizer().decode(jet::generate(*engine_, *s, ids, {.max_new_tokens = 12}).ids));
}

TEST_F(EngineScorer, HeldOutLossIsTheMeanOverAllRows) {
  const auto ids = base_tokenizer().encode("Once upon a time there was a little girl who lived in a village.");
  const auto half = static_cast<int>(ids.size() / 2);
  const auto loss = [&](int from) {
    return held_out_loss(*engine_, {1, half, {ids.begin() + from, ids.begin() + from + half}, {}});
  };
  const TokenBatch both{2, half, {ids.begin(), ids.begin() + 2 * half}, {}};
  EXPECT_NEAR(held_out_loss(*engine_, both), (loss(0) + loss(half)) / 2, 1e-3);
  EXPECT_THROW(held_out_loss(*engine_, {1, 1, {5}, {}}), Error);
  EXPECT_THROW(engine_scorer(*engine_)({{{1, 2, 3}, 0}}), Error);
  EXPECT_THROW(engine_scorer(*engine_)({{{1, 5000, 3}, 1}}), Error);
}

}  // namespace
}  // namespace jet
