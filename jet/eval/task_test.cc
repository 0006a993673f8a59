// Task files: the plain format, definitions, templates, shots, and what is wrong in them.
#include "jet/eval/task.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "jet/base/error.h"
#include "jet/base/file.h"

namespace jet {
namespace {

namespace fs = std::filesystem;

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

TEST(LoadTask, PromptsBeginAsTheTokenizerBeginsTexts) {
  const std::string folder = testing::TempDir() + "jet_task_tokenizer";
  fs::create_directories(folder);
  Json j = read_json("models/base/tokenizer.json");
  j["post_processor"] = parse_json(R"({"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "special_tokens": {"<s>": {"id": "<s>", "ids": [7], "tokens": ["<s>"]}}})",
                                   "test");
  write_file(folder + "/tokenizer.json", json_text(j));
  const Task task = load_task("data/eval/recall.jsonl", Tokenizer::load(folder), 1);
  const Task plain = load_task("data/eval/recall.jsonl", tokenizer(), 1);
  EXPECT_EQ(task.items[0].prompt.front(), 7);
  EXPECT_EQ(std::vector<int32_t>(task.items[0].prompt.begin() + 1, task.items[0].prompt.end()), plain.items[0].prompt);
  EXPECT_EQ(task.items[0].answer, plain.items[0].answer);
}

TEST(LoadTask, NamesAreValidTextAndFilesKeepTheirs) {
  const std::string path = testing::TempDir() + "t\xe9.jsonl";
  write_file(path, R"({"prompt": "1 + 1 =", "answer": " 2"})");
  EXPECT_EQ(load_task(path, tokenizer()).name, "t\ufffd");
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

/// A folder of tasks.
class TaskFolder : public testing::Test {
 protected:
  TaskFolder() {
    fs::remove_all(path_);
    fs::create_directories(path_);
  }
  ~TaskFolder() override { fs::remove_all(path_); }
  void put(const std::string& name, const std::string& text) const { write_file(path_ + "/" + name, text); }
  Task load(const std::string& name) const { return load_task(path_ + "/" + name, tokenizer()); }
  std::string error(const std::string& definition, const std::string& items = R"({"q": "x", "a": "y"})") const {
    put("wrong.task.json", definition), put("wrong.jsonl", items);
    try {
      load("wrong.task.json");
    } catch (const Error& e) { return e.what(); }
    return "no error";
  }
  const std::string path_ = testing::TempDir() + "jet_tasks";
};

TEST_F(TaskFolder, DefinitionsSayHowItemsAreAsked) {
  put("arc.task.json", R"({"prompt": "Q {{{number}}}: {question}\nA:", "choices": "options", "answer": "{label}",
      "delimiter": " ", "normalisation": "bytes", "description": "Facts.\n\n",
      "shots": {"items": "arc_dev.jsonl", "count": 1}})");
  put("arc.jsonl", R"({"question": "Wet?", "options": ["fire", "water"], "label": 1, "number": 7})");
  put("arc_dev.jsonl", R"({"question": "Hot?", "options": ["fire", "ice"], "label": "fire", "number": 3})"
                       "\n{not read}\n");
  const Task task = load("arc.task.json");
  EXPECT_EQ(task.name, "arc");
  ASSERT_EQ(task.items.size(), 1u);
  const Item& item = task.items[0];
  EXPECT_EQ(item.text.prompt, "Facts.\n\nQ {3}: Hot?\nA: fire\n\nQ {7}: Wet?\nA:");
  EXPECT_EQ(item.prompt, tokenizer().encode(item.text.prompt));
  EXPECT_EQ(item.text.choices, (std::vector<std::string>{"fire", "water"}));
  EXPECT_EQ(item.text.answers, std::vector<std::string>{"water"});
  EXPECT_EQ(item.answer, tokenizer().encode(" water"));
  EXPECT_EQ(item.choices[0], tokenizer().encode(" fire"));
  EXPECT_TRUE(task.has_choices());
  EXPECT_EQ(load("arc.jsonl").items[0].text.prompt, item.text.prompt);  // the definition beside it counts
}

TEST_F(TaskFolder, ChoicesMayBeTemplates) {
  put("bool.task.json", R"({"prompt": "{q}?", "choices": [" no", " {yes}"], "answer": " {yes}"})");
  put("bool.jsonl", R"({"q": "Is it", "yes": "yes"})");
  EXPECT_EQ(load("bool.task.json").items[0].text.choices, (std::vector<std::string>{" no", " yes"}));
}

TEST_F(TaskFolder, TextsWithoutAPromptFollowTheFirstToken) {
  put("text.task.json", R"({"prompt": "", "answer": "{text}", "request": "text", "metric": "perplexity"})");
  put("text.jsonl", R"({"text": "Once upon a time."})");
  const Item item = load("text.task.json").items[0];
  EXPECT_EQ(item.prompt.size(), 1u);
  EXPECT_EQ(item.answer, tokenizer().encode("Once upon a time."));
}

TEST_F(TaskFolder, AnswersMayBeSeveral) {
  put("qa.task.json", R"({"prompt": "{q}", "answer": "{a}", "request": "generate", "metric": "f1", "until": ["\n"]})");
  put("qa.jsonl", R"({"q": "x", "a": ["one", "two"]})");
  const Task task = load("qa.task.json");
  EXPECT_TRUE(task.generates());
  EXPECT_EQ(task.items[0].text.answers, (std::vector<std::string>{"one", "two"}));
}

TEST_F(TaskFolder, FoldersListEachTaskOnce) {
  put("b.task.json", R"({"items": "items.jsonl", "shots": {"items": "dev.jsonl", "count": 1}})");
  for (const char* file : {"a.jsonl", "c.jsonl", "items.jsonl", "dev.jsonl"})
    put(file, R"({"prompt": "x", "answer": "y"})");
  put("c.task.json", "{}");
  put("._a.jsonl", "\x01"), put("._c.task.json", "\x01");  // no tasks
  EXPECT_EQ(task_files(path_),
            (std::vector<std::string>{path_ + "/a.jsonl", path_ + "/b.task.json", path_ + "/c.task.json"}));
  put("b.jsonl", R"({"prompt": "z", "answer": "y"})");
  EXPECT_EQ(load("b.jsonl").items[0].text.prompt, "z");  // the definition of this name is of other items
  EXPECT_THROW(task_files(path_), Error);
}

TEST_F(TaskFolder, ErrorsNameTheFault) {
  const std::string asks = R"("prompt": "{q}", "answer": "{a}")";
  const auto with = [&](const std::string& more) { return "{" + asks + ", " + more + "}"; };
  EXPECT_EQ(error("{" + asks + "}"), "no error");
  EXPECT_HAS(error(R"({"promt": "x"})"), "wrong.task.json: unknown key 'promt'");
  EXPECT_HAS(error(R"({"prompt": "{x}"})"),
             "wrong.jsonl:1: has no field 'x', which the task's definition names (fields: q, a)");
  EXPECT_HAS(error(R"({"prompt": "{q"})"), "a brace without its other one");
  EXPECT_HAS(error(R"({"prompt": "q}"})"), "a brace without its other one");
  EXPECT_HAS(error(with(R"("request": "guess")")), "do not go together (known: none accuracy");
  EXPECT_HAS(error(with(R"("request": "generate", "metric": "accuracy")")), "do not go together");
  EXPECT_HAS(error(with(R"("normalisation": "squad")")), "do not go together");
  EXPECT_HAS(error(with(R"("request": "choices")")), "has no field 'choices'");
  EXPECT_HAS(error(with(R"("choices": "q")")), "field 'q' is no list of choices");
  EXPECT_HAS(error(with(R"("choices": 3)")), "neither a field nor a list of templates");
  EXPECT_HAS(error(with(R"("shots": {"count": 1})")), "names no file");
  EXPECT_HAS(error(with(R"("shots": {"count": 2, "items": "wrong.jsonl"})")), "2 shots asked for, the file holds 1");
  EXPECT_HAS(error(with(R"("until": [""])")), "a stop is empty");
  EXPECT_HAS(error(with(R"("most": 0)")), "most is 0");
  EXPECT_HAS(error("{" + asks + "}", R"({"q": 1.5, "a": "y"})"), "neither text nor a whole number");
  EXPECT_HAS(error("{" + asks + "}", R"({"q": "x", "a": []})"), "the list of answers is empty");
  EXPECT_HAS(error("{" + asks + "}", R"({"q": "x", "a": 2, "choices": ["1", "2"]})"), "choice 2 of 2, counted from 0");
  EXPECT_HAS(error("[]"), "expected a table of keys");
}

}  // namespace
}  // namespace jet
