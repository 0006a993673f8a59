// jet serve MODEL: OpenAI's API over HTTP. jet serve --runs DIR: searches to watch, beside it or alone.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <filesystem>
#include <memory>

#include "jet/cli/commands.h"
#include "jet/cli/options.h"
#include "jet/cli/serving.h"
#include "jet/serve/server.h"

namespace jet {
namespace {

struct ServeArguments {
  std::string model, name, runs;
  ServeOptions serve;
  EngineArguments engine;
  int most_new_tokens = 4096;
  double timeout = 600;
};

void run(ServeArguments& o) {
  if (o.model.empty()) {
    require(!o.runs.empty(), "jet serve wants a model, a folder of runs (--runs), or both");
    return serve_runs(o.runs, o.serve);
  }
  keep_heap_small();
  if (!o.runs.empty()) o.serve.runs = std::make_shared<RunsFolder>(o.runs);
  const auto tokenizer = Tokenizer::load(o.model);
  auto chat = ChatTemplate::find(o.model);
  const auto engine = o.engine.load(o.model);
  std::filesystem::path folder = std::filesystem::absolute(o.model).lexically_normal();
  if (folder.filename().empty()) folder = folder.parent_path();
  if (o.name.empty()) o.name = folder.filename().string();
  o.serve.api_key = api_key(o.serve.api_key);
  PrefixFolderOptions& kept = o.serve.engine.folder;
  if (!kept.path.empty() || !o.serve.slots.empty()) kept.owner.model = model_files_hash(o.model);
  kept.tell = [](const std::string& line) { fmt::print(stderr, "{}\n", line); };
  const ServedModel model{.name = o.name,
                          .version = JET_VERSION,
                          .engine = *engine,
                          .tokenizer = tokenizer,
                          .chat = std::move(chat),
                          .grammars = std::make_shared<GrammarCompiler>(tokenizer, engine->spec().vocab_size,
                                                                        engine->generation().eos_token_id),
                          .created = now_in_seconds(),
                          .most_new_tokens = o.most_new_tokens,
                          .most_seconds = o.timeout};
  ModelServer made(*engine, model, o.serve);
  stop_by_signals(made.http());
  tell_address(o.name, o.serve.http, made.port(), model.chat ? "" : "  (no chat template: /v1/completions only)");
  made.serve();
}

}  // namespace

void add_serve_command(CLI::App& c, int&) {
  auto o = std::make_shared<ServeArguments>();
  c.add_option("model", o->model, "model folder; none: --runs alone");
  c.add_option("--runs", o->runs, "folder of searches to watch at /#/runs");
  add_address(c, o->serve);
  c.add_option("--name", o->name, "of the model, as clients see it (default: its folder's)");
  add_size(c, "--memory", o->serve.engine.scheduler.cache_bytes, "for keys, values and states of what runs");
  add_size(c, "--cache", o->serve.engine.cache_bytes, "for what was read before: beginnings that come again");
  add_number(c, "--cache-stride", o->serve.engine.cache_stride,
             "tokens between its checkpoints (default: 64, or 256 where they take memory)", 0);
  c.add_option("--cache-dir", o->serve.engine.folder.path, "folder for what does not stay in --cache, or outlives it");
  add_size(c, "--cache-dir-size", o->serve.engine.folder.bytes,
           "for its files; for those of saved slots as much again");
  c.add_option("--slot-save-path", o->serve.slots, "folder of POST /slots/ID?action=save (default: in --cache-dir)");
  add_number(c, "--most-running", o->serve.engine.scheduler.most_running, "texts at once", 1, 4096);
  add_number(c, "--most-waiting", o->serve.engine.most_waiting, "texts of a client that wait; more get 429", 0);
  add_number(c, "--prefill-tokens", o->serve.engine.scheduler.prefill_tokens, "of prompts, in one pass", 1);
  add_number(c, "-n,--max-new-tokens", o->most_new_tokens, "where a request does not say", 0);
  add_number(c, "--timeout", o->timeout, "seconds of a request, in all", 0.001);
  add_engine_options(c, o->engine);
  c.callback([o] { run(*o); });
}

}  // namespace jet
