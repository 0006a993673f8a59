// jet eval MODEL: accuracy with its standard error per task, and mean nats per token of each text's end; benchmarks.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>

#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include "jet/base/file.h"
#include "jet/base/progress.h"
#include "jet/base/threads.h"
#include "jet/cli/commands.h"
#include "jet/cli/eval_suites.h"
#include "jet/cli/options.h"
#include "jet/data/document_reader.h"
#include "jet/eval/tasks.h"

namespace jet {
namespace {

struct EvalOptions {
  std::string model, tasks = "data/eval", by = "likelihood";
  std::vector<std::string> texts;
  int limit = 0, batch = 32, text_tokens = 2048, length = 256;
  EngineArguments engine;
  SuiteArguments suite;
  bool json = false;
};

/// A scorer or a generator, with a line of progress over what it was asked.
template <class Answers, class Questions>
auto with_progress(std::function<Answers(const Questions&)> ask, Progress& progress) {
  return [ask = std::move(ask), &progress, done = int64_t{0}](const Questions& questions) mutable {
    Answers answers = ask(questions);
    progress.update(done += std::ssize(questions));
    return answers;
  };
}

TaskScore run_task(const EvalOptions& o, const std::string& file, const Tokenizer& tokenizer, Engine& engine) {
  const Task task = load_task(file, tokenizer, o.limit);
  Progress progress("eval " + task.name, question_count(task), "queries");
  const Feed feed = o.by == "generation" ? Feed::step_by_step : Feed::at_once;
  TaskScore score = score_task(task, with_progress(engine_scorer(engine, feed), progress), o.batch,
                               with_progress(engine_generator(engine, tokenizer), progress));
  progress.finish();
  return score;
}

/// Rows of the text's last documents, which training holds out; of a text that is one document, its first tokens. The
/// latter begin as the tokenizer begins texts.
TokenBatch text_rows(const EvalOptions& o, const std::string& path, const Tokenizer& tokenizer) {
  const int rows = std::max(1, o.text_tokens / o.length);
  SourceConfig source;
  source.name = std::filesystem::path(path).stem().string(), source.path = path;
  const std::string text = read_text(path);
  if (text.find("\n<|endoftext|>") != std::string::npos) {
    const int64_t held_out = int64_t{rows} * o.length;
    return Corpus::load(tokenizer, {source}, held_out, threads_asked(o.engine.threads))
        .held_out(source.name, rows, o.length);
  }
  auto ids = encode_rows(tokenizer, text, o.length, rows);
  const auto whole = static_cast<int>(ids.size() / o.length);
  require(whole > 0, "{}: {} tokens do not fill one row of {}; lower --length", path, ids.size(), o.length);
  return {whole, o.length, std::move(ids), {}};
}

void print_score(const TaskScore& s) {
  std::string groups;
  if (s.by_n.size() > 1 && !s.perplexity) {
    for (const auto& [n, c] : s.by_n) groups += fmt::format("  n={} {:.3f}", n, c.mean());
  }
  const std::string figure = s.perplexity
                                 ? fmt::format("{:<15.3f}", *s.perplexity)
                                 : fmt::format("{:.3f} +- {:.3f}", s.credits.mean(), s.credits.standard_error());
  const std::string nll = std::isfinite(s.nll) ? fmt::format("  {:.3f} nats/token", s.nll) : "";
  fmt::print("{:<16} {}  {:>6} items{}{}{}\n", s.name, figure, s.credits.total, nll,
             s.metric == "accuracy" ? "" : "  " + s.metric, groups);
}

void run(const EvalOptions& o) {
  if (o.suite.list) return list_suites(o.json);
  require(!o.model.empty(), "name a model folder: jet eval MODEL");
  if (!o.suite.suites.empty()) return run_suites(o.suite, o.model, o.limit, o.batch, o.json, o.engine);
  const auto tokenizer = Tokenizer::load(o.model);
  const auto engine = o.engine.load(o.model);

  Json report = {{"model", o.model}, {"by", o.by}, {"tasks", Json::object()}, {"loss", Json::object()}};
  for (const auto& file : task_files(o.tasks)) {
    const TaskScore score = run_task(o, file, tokenizer, *engine);
    report["tasks"][score.name] = score.to_json();
    if (!o.json) print_score(score);
  }
  for (const auto& path : o.texts) {
    const TokenBatch rows = text_rows(o, path, tokenizer);
    const double loss = held_out_loss(*engine, rows);
    const std::string name = std::filesystem::path(path).stem().string();
    report["loss"][name] = loss;
    if (!o.json) fmt::print("{:<16} {:.3f} nats/token over {} tokens\n", name, loss, rows.ids.size());
  }
  if (o.json) fmt::print("{}\n", json_text(report, 2));
}

void add_suite_options(CLI::App& c, SuiteArguments& a) {
  c.add_option("--suite", a.suites, "benchmarks, parted by commas (docs/benchmarks.md), or files of definitions");
  c.add_option("--data", a.data, "folder of their files")->capture_default_str();
  c.add_flag("--list", a.list, "what each benchmark needs, and where it is published");
  add_number(c, "--num-fewshot", a.num_fewshot, "worked examples; left out: the benchmark's", 0)->default_str("");
  add_number(c, "--max-length", a.max_length, "tokens of prompt and answer (0: the model's)", 0);
  c.add_option("--out", a.out, "file of results (JSON); a run that was killed goes on from FILE.part");
  c.add_flag("--permute-choices", a.permute_choices,
             "each question with lettered options once for every rotation of them: acc is the mean, acc_circular those "
             "right in all");
  c.add_flag("--log-samples", a.log_samples, "every answer, in files beside --out");
  c.add_flag("--run-code", a.run_code, "run programs that the model writes, shut off from the system");
}

}  // namespace

void add_eval_command(CLI::App& c, int&) {
  auto o = std::make_shared<EvalOptions>();
  c.add_option("model", o->model, "model folder");
  c.add_option("--tasks", o->tasks, "folder of tasks (*.jsonl, *.task.json), or one such file")->capture_default_str();
  c.add_option("--text", o->texts, "text files to measure the loss on");
  add_number(c, "--text-tokens", o->text_tokens, "tokens of each text", 2);
  add_number(c, "--length", o->length, "tokens a row of text", 2);
  add_number(c, "--limit", o->limit, "items of each task (0: all)", 0);
  c.add_option("--by", o->by, "free answers by generation or by likelihood")
      ->check(CLI::IsMember({"generation", "likelihood"}))
      ->capture_default_str();
  add_number(c, "--batch", o->batch, "queries in flight", 1);
  add_engine_options(c, o->engine);
  add_suite_options(c, o->suite);
  c.add_flag("--json", o->json, "print one JSON object");
  c.callback([o] { run(*o); });
}

}  // namespace jet
