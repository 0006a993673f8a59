// A task is data: a file of items, and beside it a definition of how they are asked and graded.
//
//   NAME.jsonl       {"question": "...", "options": ["...", "..."], "answer": 1}                    one item a line
//   NAME.task.json   {"prompt": "Question: {question}\nAnswer:", "choices": "options", "delimiter": " ", ...}
//
//   what a model reads    | description | shot | between | shot | between | prompt |
//   what it is asked of                                                            | delimiter answer |
//                                                                                    or each choice
//   a shot                | prompt delimiter answer |      of another file, by the same templates
//
//   request    the model gives                          metric         normalisation
//   choices    log p of every choice                    accuracy       none, bytes (of the choice: acc_norm)
//   text       log p of the answer's tokens             accuracy       none          every token is the likeliest
//              the same; an empty prompt: of a text     perplexity     none (a token), bytes, words
//   generate   its own text up to a stop, greedy        exact_match    none, squad
//                                                       f1             none, squad
//
// A file without a definition has {"prompt": "...", "answer": " 64", "choices": [" 12", " 64"]?, "n": 8?} on each line:
// items with choices are asked for these, others for their answer. Prompt, answer and choices are tokenised apart,
// without BOS. docs/data.md has the definition's keys.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "jet/base/json.h"
#include "jet/text/tokenizer.h"

namespace jet {

/// Worked examples before every prompt: the first `count` items of another file.
struct Shots {
  std::string items;  // as seen from the definition's folder
  int count = 0;
  std::string between = "\n\n";
  template <class V>
  static void fields(Shots& s, V&& v) {
    v("items", s.items), v("count", s.count), v("between", s.between);
  }
};

/// A definition. In templates, {field} stands for an item's field, {{ and }} for braces.
struct TaskFormat {
  std::string items;  // the file, as seen from the definition's folder; empty: NAME.jsonl
  std::string skill;  // what it asks for; "retrieval" is what full attention is placed by
  std::string description, prompt = "{prompt}", answer = "{answer}", delimiter;
  Json choices = "choices";  // the field that lists them, or a list of templates
  Shots shots{};
  std::string request;                                      // empty: choices for items that have some, text for others
  std::string metric = "accuracy", normalisation = "none";  // not given: the request's first metric
  std::vector<std::string> until{};                         // generate: what ends the text beside the model's own end
  int most = 64;                                            // generate: tokens
  template <class V>
  static void fields(TaskFormat& f, V&& v) {
    v("items", f.items), v("skill", f.skill), v("description", f.description), v("prompt", f.prompt);
    v("answer", f.answer), v("delimiter", f.delimiter), v("choices", f.choices), v("shots", f.shots);
    v("request", f.request), v("metric", f.metric), v("normalisation", f.normalisation), v("until", f.until);
    v("most", f.most);
  }
};

/// An item as it was written; prompts with their shots, answers and choices without the delimiter.
struct ItemText {
  std::string prompt;
  std::vector<std::string> answers;  // any of them is right where text is generated; the first is asked for elsewhere
  std::vector<std::string> choices;
};

struct Item {
  std::vector<int32_t> prompt, answer;
  std::vector<std::vector<int32_t>> choices;  // empty: a free answer; otherwise the answer is one of them
  int n = 0;                                  // what the item is grouped by: facts in the context, digits, ...
  ItemText text{};
};

struct Task {
  std::string name;
  std::vector<Item> items;
  TaskFormat format{};

  bool generates() const { return format.request == "generate"; }
  bool asks_retrieval() const { return format.skill == "retrieval"; }
  bool has_choices() const;
};

/// A task's items after its first `skip`, at most `limit` (0: all). `path`: a definition, or a file of items, which the
/// definition beside it describes where there is one. The task is named after the file.
/// Throws Error with file, line and key on what is not understood.
Task load_task(const std::string& path, const Tokenizer& tokenizer, int limit = 0, int skip = 0);
/// The tasks of a folder, by name, each by its definition or, where it has none, its items; or `path` itself where it
/// is a file. Files of items that a definition names, as its items or shots, are no tasks of their own.
std::vector<std::string> task_files(const std::string& path);

/// All files that such a task is made of: its items, and where there are some its definition and shots.
std::vector<std::string> files_of_task(const std::string& path);

}  // namespace jet
