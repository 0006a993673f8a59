// jet bench MODEL, or --shape NAME: tokens/s at several depths and batches, and what fraction of the machine each is;
// jet bench --compare OLD NEW: two such reports side by side.
#include <algorithm>
#include <memory>

#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include "jet/base/file.h"
#include "jet/base/progress.h"
#include "jet/base/threads.h"
#include "jet/cli/commands.h"
#include "jet/cli/options.h"
#include "jet/eval/bench_report.h"
#include "jet/eval/machine_info.h"
#include "jet/model/model_cost.h"
#include "jet/model/shapes.h"

namespace jet {
namespace {

struct BenchOptions {
  std::string model, shape, type, json;
  std::vector<std::string> compare;
  BenchPlan plan;
  EngineArguments engine;
};

/// The nearest type of weights by their bytes: a model's small parameters may be of others.
DType type_of(const Engine& engine) {
  const double bits =
      8.0 * static_cast<double>(engine.weight_bytes()) / static_cast<double>(parameter_count(engine.spec()));
  return bits > 24 ? DType::f32 : bits > 12 ? DType::bf16 : bits > 7 ? DType::q8 : DType::q4;
}

std::shared_ptr<Engine> open(BenchOptions& o) {
  if (o.shape.empty()) {
    require(!o.model.empty(), "name a model folder, or --shape and one of {}", fmt::join(shape_names(), ", "));
    require(o.type.empty(), "--type is for --shape; {} has a type of its own (jet quantize makes others)", o.model);
    auto engine = o.engine.load(o.model);
    o.plan.type = type_of(*engine);
    return engine;
  }
  require(o.model.empty(), "a model folder and --shape exclude each other");
  o.plan.type = dtype_from_name(o.type.empty() ? "bf16" : o.type, "--type");
  ModelSpec spec = shape_spec(o.shape);
  const int64_t bytes = weight_bytes(spec, engine_types(o.plan.type)), available = available_memory();
  require(bytes <= available, "{} in {} needs {:.2f} GB, {:.2f} GB of memory are available; choose a smaller --type",
          o.shape, name_of(o.plan.type), static_cast<double>(bytes) * 1e-9, static_cast<double>(available) * 1e-9);
  // A shape is not bound to the context that its model was trained for.
  int64_t positions = spec.max_position_embeddings;
  for (const Stage& s : stages_of(o.plan)) positions = std::max(positions, positions_of(s, o.plan.speed));
  require(positions <= 1 << 30, "a depth of {} tokens is beyond what an engine takes ({})", positions, 1 << 30);
  spec.max_position_embeddings = static_cast<int>(positions);
  return Engine::random(spec, o.plan.speed.seed, o.plan.type, o.engine.options());
}

BenchRun run_with_progress(const BenchOptions& o, Engine& engine) {
  const auto stages = static_cast<int64_t>(stages_of(o.plan).size());
  Progress progress("bench", stages, "stages");
  int64_t done = 0;
  BenchRun run = run_bench(engine, o.plan, [&](const Stage& s) { progress.update(done++, s.label()); });
  progress.update(stages);
  progress.finish();
  return run;
}

void run(BenchOptions o) {
  if (!o.compare.empty()) {
    require(o.model.empty() && o.shape.empty(),
            "--compare reads two reports and measures nothing; leave the model out");
    fmt::print("{}", compare_benches(read_json(o.compare[0]), read_json(o.compare[1])));
    return;
  }
  o.engine.threads = threads_asked(o.engine.threads);
  const auto engine = open(o);
  const BenchRun done = run_with_progress(o, *engine);
  const Json report = bench_report(o.shape.empty() ? o.model : o.shape, *engine, o.plan, done);
  if (o.json == "-") {
    fmt::print("{}\n", json_text(report, 2));
    return;
  }
  if (!o.json.empty()) write_file(o.json, json_text(report, 2) + "\n");
  fmt::print("{}", bench_text(report));
}

}  // namespace

void add_bench_command(CLI::App& c, int&) {
  auto o = std::make_shared<BenchOptions>();
  c.add_option("model", o->model, "model folder");
  c.add_option(
      "--shape", o->shape,
      fmt::format("instead: random weights in a shape, {} or a folder's config.json", fmt::join(shape_names(), ", ")));
  c.add_option("--type", o->type, "type of a shape's weights: f32, bf16 (the default), int8 or int4");
  add_number(c, "--depths", o->plan.depths, "tokens before the timed steps", 0, 1 << 30);
  add_number(c, "--batch", o->plan.batches, "sequences decoded at once; 0: none", 0);
  add_number(c, "--prefill", o->plan.prefill, "tokens of the timed prompts; 0: none", 0, 1 << 30);
  add_number(c, "--prefill-depths", o->plan.prefill_depths, "tokens before them", 0, 1 << 30);
  add_number(c, "--steps", o->plan.speed.decode, "timed steps", 1);
  add_number(c, "--repeats", o->plan.speed.repeats, "of which the median counts", 1);
  add_number(c, "--seed", o->plan.speed.seed, "of weights, ids and states", 0);
  add_engine_options(c, o->engine);
  c.add_flag("--predict", o->plan.predict,
             "beside each measurement, what the cost model predicts and how far off it is");
  c.add_option("--json", o->json, "write everything to this file; -: print it instead of the tables");
  c.add_option("--compare", o->compare, "two such files, old and new: print their ratios")->expected(2);
  c.callback([o] { run(*o); });
}

}  // namespace jet
