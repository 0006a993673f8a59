#include "jet/eval/tasks.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "jet/base/error.h"
#include "jet/base/file.h"

namespace jet {
namespace {

const Tokenizer& tokenizer() {
  static const Tokenizer t = Tokenizer::load("models/base");
  return t;
}

/// Writes `text` as a task file, loads it, and gives the error or "no error".
std::string load_error(const std::string& text, int limit = 0, int skip = 0) {
  const std::string path = testing::TempDir() + "jet_broken_task.jsonl";
  write_file(path, text);
  try {
    load_task(path, tokenizer(), limit, skip);
  } catch (const Error& e) { return e.what(); }
  return "no error";
}

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST(LoadTask, TokenisesPromptAndAnswerApart) {
  const Task task = load_task("data/eval/recall.jsonl", tokenizer(), 3);
  EXPECT_EQ(task.name, "recall");
  ASSERT_EQ(task.items.size(), 3u);
  const auto& item = task.items[0];
  EXPECT_EQ(tokenizer().decode(item.prompt).substr(0, 7), "Record.");
  EXPECT_EQ(tokenizer().decode(item.answer).front(), ' ');
  EXPECT_TRUE(item.choices.empty());
  EXPECT_GT(item.n, 0);

  const Task mcq = load_task("data/eval/mcq.jsonl", tokenizer(), 2);
  ASSERT_EQ(mcq.items[0].choices.size(), 4u);
  EXPECT_EQ(mcq.items[0].choices[0], tokenizer().encode(" A"));
}

TEST(LoadTask, SkipAndLimitCutOneList) {
  const auto prompts = [](int limit, int skip) {
    std::vector<std::vector<int32_t>> p;
    for (const auto& item : load_task("data/eval/math.jsonl", tokenizer(), limit, skip).items) p.push_back(item.prompt);
    return p;
  };
  const auto all = prompts(10, 0);
  auto parts = prompts(4, 0);
  for (const auto& p : prompts(6, 4)) parts.push_back(p);
  EXPECT_EQ(parts, all);
}

TEST(LoadTask, ErrorsNameFileAndLine) {
  const std::string good = R"({"prompt": "1 + 1 =", "answer": " 2", "n": 0})"
                           "\n";
  EXPECT_EQ(load_error(good + "\n" + good), "no error");
  EXPECT_HAS(load_error(good + "{\"prompt\": \"x\"\n"), "jet_broken_task.jsonl:2: not valid JSON");
  EXPECT_HAS(load_error(good + good + "[1]\n"), ":3: expected an object");
  EXPECT_HAS(load_error(R"({"prompt": "", "answer": " 2"})"), ":1: the prompt is empty");
  EXPECT_HAS(load_error(R"({"prompt": "x"})"), ":1: the answer is empty");
  EXPECT_HAS(load_error(R"({"prompt": "x", "answer": 2})"), ":1: key 'answer' has the wrong type");
  EXPECT_HAS(load_error(R"({"prompt": "x", "answer": "y", "chioces": []})"), ":1: unknown key 'chioces'");
  EXPECT_HAS(load_error(R"({"prompt": "x", "answer": "y", "choices": ["a", "b"]})"), "is not among the 2 choices");
  EXPECT_HAS(load_error(good, 0, 1), "no items after the first 1; the file holds 1");
  EXPECT_HAS(load_error(good, -1), "must be 0 or more");
  EXPECT_THROW(load_task("data/eval/absent.jsonl", tokenizer()), Error);
  EXPECT_THROW(task_files("data/absent"), Error);
  EXPECT_EQ(task_files("data/eval").size(), 3u);
}

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
  EXPECT_EQ(s.correct, 2);
  EXPECT_EQ(s.total, 3);
  EXPECT_DOUBLE_EQ(s.accuracy(), 2.0 / 3);
  EXPECT_NEAR(s.stderr_(), std::sqrt(2.0 / 9 / 3), 1e-12);
  EXPECT_NEAR(s.nll, (4 * 1.0 + 18.0) / 5, 1e-6);  // tokens 7 7 7 7 8
  EXPECT_EQ(s.by_n.at(1), (std::pair{2, 2}));
  EXPECT_EQ(s.by_n.at(2), (std::pair{0, 1}));
  const Json j = s.to_json();
  EXPECT_EQ(j["by_n"]["2"]["total"], 1);
  EXPECT_NEAR(j["accuracy"].get<double>(), s.accuracy(), 1e-12);
}

TEST(ScoreTask, ChoicesGoByLikelihood) {
  Stub stub;
  const std::vector<std::vector<int32_t>> single = {{3}, {5}, {9}}, longer = {{7, 9}, {9}, {7, 7, 7}};
  const auto correct = [&](const auto& choices, std::vector<int32_t> answer) {
    return score_task(Task{"t", {{{1}, answer, choices, 0}}}, stub.fn()).correct;
  };
  EXPECT_EQ(correct(single, {3}), 1);         // not the argmax 7, which is no choice
  EXPECT_EQ(stub.batches.back().size(), 1u);  // one row prices all
  EXPECT_EQ(correct(single, {5}), 0);
  EXPECT_EQ(correct(longer, {7, 7, 7}), 1);
  EXPECT_EQ(correct(longer, {9}), 0);
  EXPECT_EQ(stub.batches.back().size(), 4u);
}

TEST(ScoreTask, BatchesAreSortedByLengthAndFull) {
  Stub stub;
  Task task{"t", {}};
  for (int i = 0; i < 10; ++i) task.items.push_back({std::vector<int32_t>(1 + (i * 7) % 10, 1), {7}, {}, i});
  const TaskScore s = score_task(task, stub.fn(), 4);
  EXPECT_EQ(s.correct, 10);
  EXPECT_EQ(stub.batches, (std::vector<std::vector<size_t>>{{2, 3, 4, 5}, {6, 7, 8, 9}, {10, 11}}));
  EXPECT_THROW(score_task(task, stub.fn(), 0), Error);
  EXPECT_THROW(score_task(task, [](const auto&) { return std::vector<QueryScore>{}; }), Error);
  EXPECT_THROW(score_task(task, [](const auto& q) { return std::vector<QueryScore>(q.size()); }), Error);
}

TEST(ScoreRow, GivesLogProbabilities) {
  const std::vector<float> logits = {1, 3, 3, 1000};
  EXPECT_EQ(score_row(logits).argmax, 3);
  EXPECT_DOUBLE_EQ(score_row(logits).log_sum, 1000);
  const auto row = score_row(std::span(logits).first(3));
  EXPECT_EQ(row.argmax, 1);  // the first of equals
  EXPECT_NEAR(row.log_sum, std::log(std::exp(1.0) + 2 * std::exp(3.0)), 1e-6);
}

class EngineScorer : public testing::Test {
 protected:
  std::shared_ptr<Engine> engine_ = Engine::load("models/base", {.exact = true});
};

TEST_F(EngineScorer, StepByStepAgreesWithAtOnce) {
  std::vector<Query> queries;
  for (const auto& item : load_task("data/eval/recall.jsonl", tokenizer(), 5).items) {
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
  const Task recall = load_task("data/eval/recall.jsonl", tokenizer(), 20);
  EXPECT_GE(score_task(recall, engine_scorer(*engine_)).accuracy(), 0.9);
  EXPECT_GE(generate_task(recall, *engine_).accuracy(), 0.9);
}

TEST_F(EngineScorer, HeldOutLossIsTheMeanOverAllRows) {
  const auto ids = tokenizer().encode("Once upon a time there was a little girl who lived in a village.");
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
