// jet data build INPUT...: text into a folder of tokens; jet data sample MODEL: a model's own text into one; jet data
// info DIR: what is in one; jet data check DIR: whether it is whole, and which graded items share text with it;
// jet data needles MODEL: RULER's needles in texts of any length.
#include <algorithm>
#include <map>
#include <memory>

#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include "jet/base/progress.h"
#include "jet/base/threads.h"
#include "jet/cli/commands.h"
#include "jet/cli/options.h"
#include "jet/data/build.h"
#include "jet/data/document_reader.h"
#include "jet/data/needles.h"
#include "jet/eval/sample_text.h"
#include "jet/eval/tasks.h"

namespace jet {
namespace {

/// One line of progress a stage.
class Stages {
 public:
  void update(const std::string& stage, const char* unit, int64_t done, int64_t total) {
    if (stage != stage_) {
      finish();
      stage_ = stage;
      line_ = std::make_unique<Progress>(stage, total, unit, done);
    }
    line_->update(done);
  }
  void finish() {
    if (line_) line_->finish();
    line_.reset();
  }

 private:
  std::string stage_;
  std::unique_ptr<Progress> line_;
};

std::vector<GradedItem> graded_items(const std::string& path, const Tokenizer& tokenizer) {
  std::vector<GradedItem> items;
  for (const auto& file : task_files(path)) {
    const Task task = load_task(file, tokenizer);
    int64_t number = 0;
    for (const auto& item : task.items)
      items.push_back({task.name, ++number, item.text.prompt + task.format.delimiter + item.text.answers[0]});
  }
  return items;
}

struct BuildCommand {
  BuildOptions build;
  std::string decontaminate;
  int threads = 0;
  bool json = false;
};

void print_manifest(const std::string& folder, const Manifest& m) {
  const auto count = [](int64_t n) { return format_count(static_cast<double>(n)); };
  fmt::print("{}: {} documents, {} tokens in {} shards of uint{}\n", folder, m.documents, m.tokens, m.shards.size(),
             8 * m.token_bytes());
  fmt::print("{:<10} {:>10} documents {:>10} tokens\n", "train",
             m.documents - m.held_out.documents - m.dropped.documents,
             count(m.tokens - m.held_out.tokens - m.dropped.tokens));
  fmt::print("{:<10} {:>10} documents {:>10} tokens\n", "held out", m.held_out.documents, count(m.held_out.tokens));
  if (!m.settings.graded.empty())
    fmt::print("{:<10} {:>10} documents {:>10} tokens, shared text with graded items (hash {})\n", "dropped",
               m.dropped.documents, count(m.dropped.tokens), m.settings.graded);
  fmt::print("tokenizer  {} (hash {}), vocabulary {}\n", m.tokenizer.path, m.tokenizer.hash, m.tokenizer.vocab_size);
  for (const auto& s : m.sources)
    fmt::print("source     {}: {} bytes, {} documents, {} tokens, hash {}\n", s.path, s.bytes, s.documents, s.tokens,
               s.hash);
}

void tell_manifest(const std::string& folder, const Manifest& m, bool json) {
  if (json) {
    fmt::print("{}\n", json_text(to_json_fields(m), 2));
  } else {
    print_manifest(folder, m);
  }
}

void run_build(BuildCommand& o) {
  Stages stages;
  o.build.threads = threads_asked(o.threads);
  if (!o.decontaminate.empty()) o.build.graded = graded_items(o.decontaminate, Tokenizer::load(o.build.tokenizer));
  o.build.progress = [&](const std::string& stage, const char* unit, int64_t done, int64_t total) {
    stages.update(stage, unit, done, total);
  };
  const Manifest m = build_tokens(o.build);
  stages.finish();
  tell_manifest(o.build.out, m, o.json);
}

struct CheckCommand {
  std::string folder, tokenizer, eval;
  int ngram = 13, common = 10, threads = 0, examples = 1;
  bool json = false;
};

struct TaskOverlap {
  int64_t items = 0, contaminated = 0, half = 0, too_short = 0;  // half: that share half of their runs or more
  Json examples = Json::array();
};

std::map<std::string, TaskOverlap> by_task(const TokenStore& store, const std::vector<GradedItem>& items,
                                           const Overlap& o, int examples) {
  std::map<std::string, TaskOverlap> tasks;
  for (const auto& item : items) ++tasks[item.task].items;
  for (const size_t i : o.too_short) ++tasks[items[i].task].too_short;
  for (const auto& hit : o.hits) {
    auto& task = tasks[items[hit.item].task];
    ++task.contaminated;
    task.half += 2 * hit.shared >= hit.runs;
    if (static_cast<int>(task.examples.size()) >= examples) continue;
    task.examples.push_back({{"item", items[hit.item].number},
                             {"shared_runs", hit.shared},
                             {"runs", hit.runs},
                             {"document", hit.document},
                             {"source", store.manifest().sources[store.source_of(hit.document)].path},
                             {"words", hit.words}});
  }
  return tasks;
}

void print_overlap(const CheckCommand& o, const TokenStore& store, const Overlap& overlap,
                   const std::map<std::string, TaskOverlap>& tasks) {
  fmt::print("runs of {} words that stand in training documents{}:\n", o.ngram,
             o.common > 0 ? fmt::format(" (in at most {}: {} runs stand in more)", o.common, overlap.common_runs) : "");
  for (const auto& [name, t] : tasks) {
    fmt::print("{:<16} {} of {} items contaminated, {} by half of their runs or more{}\n", name, t.contaminated,
               t.items, t.half, t.too_short > 0 ? fmt::format(", {} too short to tell", t.too_short) : "");
    for (const auto& e : t.examples)
      fmt::print("  item {} shares {} of {} runs; document {} ({}): {}\n", e["item"].get<int64_t>(),
                 e["shared_runs"].get<int64_t>(), e["runs"].get<int64_t>(), e["document"].get<int64_t>(),
                 e["source"].get<std::string>(), e["words"].get<std::string>());
  }
  fmt::print("{} of {} training documents share such text\n", overlap.documents.size(), store.train_documents());
}

void run_check(const CheckCommand& o) {
  const TokenStore store(o.folder);
  store.verify(threads_asked(o.threads));
  Json report = {{"folder", o.folder}, {"documents", store.documents()}, {"whole", true}};
  if (!o.json) fmt::print("{}: {} shards are whole\n", o.folder, store.manifest().shards.size());
  if (!o.eval.empty()) {
    const Tokenizer tokenizer = Tokenizer::load(o.tokenizer.empty() ? store.manifest().tokenizer.path : o.tokenizer);
    const auto items = graded_items(o.eval, tokenizer);
    Stages stages;
    const auto progress = [&](int64_t done, int64_t total) { stages.update("check", "documents", done, total); };
    const Overlap overlap =
        find_overlap(store, tokenizer, items, {o.ngram, o.common, threads_asked(o.threads), progress});
    stages.finish();
    const auto tasks = by_task(store, items, overlap, o.examples);
    for (const auto& [name, t] : tasks)
      report["tasks"][name] = {{"items", t.items},
                               {"contaminated", t.contaminated},
                               {"half", t.half},
                               {"too_short", t.too_short},
                               {"examples", t.examples}};
    report["ngram"] = o.ngram, report["common"] = o.common, report["common_runs"] = overlap.common_runs;
    report["shared_documents"] = overlap.documents.size();
    if (!o.json) print_overlap(o, store, overlap, tasks);
  }
  if (o.json) fmt::print("{}\n", json_text(report, 2));
}

void add_runs(CLI::App& c, int& ngram, int& common) {
  add_number(c, "--ngram", ngram, "words of a run that counts as shared", 1, 1000);
  add_number(c, "--common", common, "runs in more documents than this are turns of phrase; 0: every run counts", 0);
}

void add_build(CLI::App& c, int&) {
  auto o = std::make_shared<BuildCommand>();
  c.add_option("inputs", o->build.inputs, ".txt or .jsonl, plain, .gz or .zst; .parquet")->required();
  c.add_option("--tokenizer", o->build.tokenizer, "folder that holds the tokenizer (a model folder)")->required();
  c.add_option("--out", o->build.out, "folder to make")->required();
  c.add_option("--field", o->build.field, "key of the text in JSONL, column in Parquet")->capture_default_str();
  add_number(c, "--held-out", o->build.held_out_tokens, "tokens to hold out of training", 0);
  add_number(c, "--shard-tokens", o->build.shard_tokens, "tokens of a shard", 1);
  c.add_option("--decontaminate", o->decontaminate, "drop documents that share text with these tasks (*.jsonl)");
  add_runs(c, o->build.ngram, o->build.common);
  add_threads(c, o->threads);
  c.add_flag("--json", o->json, "print the manifest");
  c.callback([o] { run_build(*o); });
}

void add_check(CLI::App& c, int&) {
  auto o = std::make_shared<CheckCommand>();
  c.add_option("folder", o->folder, "folder of tokens")->required();
  c.add_option("--eval", o->eval, "tasks to look for: a folder of *.jsonl, or one such file");
  c.add_option("--tokenizer", o->tokenizer, "folder of the tokenizer, where it is no longer where it was");
  add_runs(c, o->ngram, o->common);
  add_number(c, "--examples", o->examples, "contaminated items to show of each task", 0);
  add_threads(c, o->threads);
  c.add_flag("--json", o->json, "print one JSON object");
  c.callback([o] { run_check(*o); });
}

void add_info(CLI::App& c, int&) {
  auto folder = std::make_shared<std::string>();
  auto json = std::make_shared<bool>(false);
  c.add_option("folder", *folder, "folder of tokens")->required();
  c.add_flag("--json", *json, "print the manifest");
  c.callback([folder, json] {
    const TokenStore store(*folder);
    tell_manifest(*folder, store.manifest(), *json);
  });
}

struct SampleCommand {
  SampleOptions sample;
  bool json = false;
};

void run_sample(SampleCommand& o) {
  Stages stages;
  o.sample.progress = [&](int64_t done, int64_t total) { stages.update("sample", "tokens", done, total); };
  const Manifest m = sample_text(o.sample);
  stages.finish();
  tell_manifest(o.sample.out, m, o.json);
}

void add_sample(CLI::App& c, int&) {
  auto o = std::make_shared<SampleCommand>();
  SampleOptions& s = o->sample;
  c.add_option("model", s.model, "model folder or GGUF file")->required();
  c.add_option("--out", s.out, "folder to make")->required();
  add_number(c, "--tokens", s.tokens, "tokens to draw", 1)->required();
  c.add_option("--from", s.from, "start, chat, text, in turn (start, and chat where there is a template)")
      ->delimiter(',');
  c.add_option("--text", s.text, "file whose pieces --from text goes on from");
  add_number(c, "--held-out", s.held_out_tokens, "tokens to hold out of training", 0);
  add_number(c, "--length", s.length, "most tokens of a document", 65);
  add_number(c, "--temperature", s.temperature, "of the draws", 0);
  add_number(c, "--top-p", s.top_p, "draws from the likeliest that have so much probability together", 0, 1);
  add_number(c, "--at-once", s.at_once, "documents", 1, 4096);
  add_number(c, "--seed", s.seed, "of the draws", 0);
  add_threads(c, s.threads);
  c.add_flag("--json", o->json, "print the manifest");
  c.callback([o] { run_sample(*o); });
}

struct NeedlesCommand {
  std::string model, out, text;
  std::vector<std::string> kinds;
  std::vector<int64_t> lengths = {4096};
  NeedleOptions needles;
};

void run_needles(const NeedlesCommand& o) {
  const Tokenizer tokenizer = Tokenizer::load(o.model);
  NeedleOptions n = o.needles;
  if (!o.text.empty()) n.text = read_text(o.text);
  Stages stages;
  const auto kinds = o.kinds.empty() ? needle_kinds(!o.text.empty()) : o.kinds;
  int64_t done = 0;
  const int64_t total = std::ssize(kinds) * std::ssize(o.lengths);
  for (const auto& kind : kinds) {
    for (const int64_t length : o.lengths) {
      stages.update("needles", "tasks", done++, total);
      n.kind = kind, n.max_length = length;
      std::string rows;
      for (const Json& item : needles(n, tokenizer)) rows += json_text(item) + "\n";
      write_file(fmt::format("{}/ruler/niah_{}_{}.jsonl", o.out, kind, length), rows);
    }
  }
  stages.update("needles", "tasks", total, total);
  stages.finish();
  fmt::print("{} tasks of {} items: jet eval MODEL --suite ruler --data {}\n", total, n.items, o.out);
}

void add_needles(CLI::App& c, int&) {
  auto o = std::make_shared<NeedlesCommand>();
  c.add_option("model", o->model, "model folder whose tokenizer counts")->required();
  c.add_option("--out", o->out, "folder of data; they go into its ruler/")->required();
  c.add_option("--kinds", o->kinds,
               fmt::format("of {} (those that need no text; all with --text)", fmt::join(needle_kinds(true), ", ")))
      ->delimiter(',');
  add_number(c, "--lengths", o->lengths, "tokens of input and answer", 1, 1 << 24);
  c.add_option("--text", o->text, "file whose sentences are the haystack, from its beginning");
  add_number(c, "--items", o->needles.items, "of each task", 1, 100000);
  add_number(c, "--seed", o->needles.seed, "of the draws", 0);
  c.callback([o] { run_needles(*o); });
}

constexpr Command kDataCommands[] = {
    {"build", "text files into a folder of tokens; killed, it goes on where it was", add_build},
    {"sample", "training text from a model itself: documents that it draws, as a folder of tokens", add_sample},
    {"info", "what is in a folder of tokens", add_info},
    {"check", "is a folder of tokens whole, and does it hold text of graded items", add_check},
    {"needles", "facts hidden in long texts, RULER's, for jet eval --suite ruler", add_needles},
};

}  // namespace

void add_data_command(CLI::App& c, int& code) { add_commands(c, kDataCommands, code); }

}  // namespace jet
