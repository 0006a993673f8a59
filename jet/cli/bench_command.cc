// jet bench MODEL: tokens/s at several depths, and what fraction of the machine each is. The machine is probed before
// and after, in this very run; percentages are of the better probe.
#include <algorithm>
#include <memory>

#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include "jet/base/progress.h"
#include "jet/base/threads.h"
#include "jet/cli/commands.h"
#include "jet/eval/speed.h"
#include "jet/model/checkpoint.h"

namespace jet {
namespace {

struct BenchOptions {
  std::string model, random_config, weights = "bf16", kv = "bf16";
  std::vector<int64_t> contexts;
  SpeedOptions speed;
  int threads = 0;
  bool json = false;
};

struct Probe {
  Rate read, fma;
};

Probe probe(int threads) {
  ThreadPool pool(threads);
  return {read_bandwidth(pool), fma_peak(pool)};
}

Json to_json(const Probe& p) {
  return {{"read_gbs", p.read.best * 1e-9},
          {"read_gbs_median", p.read.median * 1e-9},
          {"fma_gflops", p.fma.best * 1e-9},
          {"fma_gflops_median", p.fma.median * 1e-9}};
}

std::shared_ptr<Engine> open(const BenchOptions& o) {
  const EngineOptions options{.threads = o.threads, .kv = dtype_from_name(o.kv, "--kv")};
  if (o.random_config.empty()) {
    require(!o.model.empty(), "name a model folder, or --random-config and a folder with a config.json");
    return Engine::load(o.model, options);
  }
  require(o.model.empty(), "a model folder and --random-config exclude each other");
  return Engine::random(read_spec(o.random_config), 1, dtype_from_name(o.weights, "--weights"), options);
}

/// "812 B", "3.5 KiB", "1.50 GiB".
std::string format_bytes(double bytes) {
  const char* units[] = {"B", "KiB", "MiB", "GiB"};
  int u = 0;
  for (; u < 3 && bytes >= 1024; ++u) bytes /= 1024;
  return u == 0 ? fmt::format("{:.0f} B", bytes) : fmt::format("{:.2f} {}", bytes, units[u]);
}

void print_probe(const char* when, const Probe& p) {
  fmt::print("{:<7} read {:.1f} GB/s (median {:.1f}), fp32 FMA {:.0f} GFLOP/s (median {:.0f})\n", when,
             p.read.best * 1e-9, p.read.median * 1e-9, p.fma.best * 1e-9, p.fma.median * 1e-9);
}

void print_table(const BenchOptions& o, const std::vector<SpeedPoint>& points, double read, double fma) {
  fmt::print("{:>8}  {:>12} {:>9} {:>5}  {:>12} {:>6} {:>5}  {:>11}\n", "context", fmt::format("pp{}", o.speed.prefill),
             "GFLOP/s", "peak", fmt::format("tg{}", o.speed.decode), "GB/s", "read", "cache");
  for (const auto& p : points) {
    fmt::print("{:>8}  {:>6.1f} tok/s {:>9.1f} {:>4.0f}%  {:>6.1f} tok/s {:>6.1f} {:>4.0f}%  {:>11}\n", p.context,
               p.prefill_tps, p.prefill_flops * 1e-9, 100 * p.prefill_flops / fma, p.decode_tps, p.decode_gbs,
               100 * p.decode_gbs * 1e9 / read, format_bytes(static_cast<double>(p.cache_bytes)));
  }
}

Json report_of(const BenchOptions& o, const Engine& engine, const Probe& before, const Probe& after) {
  return {{"machine", machine_name(o.threads)},
          {"threads", o.threads},
          {"parameters", parameter_count(engine.spec())},
          {"weight_bytes", engine.weight_bytes()},
          {"kv", o.kv},
          {"prefill", o.speed.prefill},
          {"decode", o.speed.decode},
          {"repeats", o.speed.repeats},
          {"before", to_json(before)},
          {"after", to_json(after)},
          {"points", Json::array()}};
}

void choose_contexts(BenchOptions& o, const ModelSpec& spec) {
  if (!o.contexts.empty()) return;
  const int64_t deepest = std::max<int64_t>(0, deepest_context(spec, o.speed));
  for (const int64_t c : {0, 1024, 4096}) o.contexts.push_back(std::min(c, deepest));
}

std::vector<SpeedPoint> measure_with_progress(BenchOptions& o, Engine& engine) {
  Progress progress("bench", tokens_to_measure(o.contexts, o.speed));
  int64_t done = 0;
  o.speed.on_tokens = [&](int64_t tokens) { progress.update(done += tokens); };
  auto points = measure(engine, o.contexts, o.speed);
  o.speed.on_tokens = {};
  progress.finish();
  return points;
}

void run(BenchOptions o) {
  if (o.threads == 0) o.threads = default_threads();
  const auto engine = open(o);
  choose_contexts(o, engine->spec());
  if (!o.json) {
    const bool random = !o.random_config.empty();
    fmt::print("{}\n{} {}, {:.2f} M parameters, {} of weights, KV {}\n", machine_name(o.threads),
               random ? "random weights in the shapes of" : "model", random ? o.random_config : o.model,
               static_cast<double>(parameter_count(engine->spec())) * 1e-6,
               format_bytes(static_cast<double>(engine->weight_bytes())), o.kv);
  }
  const Probe before = probe(o.threads);
  const auto points = measure_with_progress(o, *engine);
  const Probe after = probe(o.threads);
  const double read = std::max(before.read.best, after.read.best), fma = std::max(before.fma.best, after.fma.best);

  if (o.json) {
    Json report = report_of(o, *engine, before, after);
    for (const auto& p : points) {
      Json j = p.to_json();
      j["fma_share"] = p.prefill_flops / fma;
      j["read_share"] = p.decode_gbs * 1e9 / read;
      report["points"].push_back(j);
    }
    fmt::print("{}\n", report.dump(2));
    return;
  }
  print_probe("before", before);
  print_probe("after", after);
  print_table(o, points, read, fma);
  if (points.empty() || points.back().context < *std::max_element(o.contexts.begin(), o.contexts.end())) {
    fmt::print("deeper contexts left out: to fill them takes more than {:.0f} s (--fill-seconds)\n",
               o.speed.fill_seconds);
  }
}

}  // namespace

void add_bench_command(CLI::App& app) {
  auto o = std::make_shared<BenchOptions>();
  auto* c = app.add_subcommand("bench", "speed of prefill and decode, and what fraction of the machine it is");
  c->add_option("model", o->model, "model folder");
  c->add_option("--random-config", o->random_config,
                "instead: random weights in the shapes of this folder's config.json");
  c->add_option("--weights", o->weights, "type of random weights: f32, bf16 or f16")->capture_default_str();
  c->add_option("--kv", o->kv, "type of KV rows: bf16 or f32")->capture_default_str();
  c->add_option("--contexts", o->contexts, "depths in tokens (0,1024,4096 as far as the model reaches)")
      ->delimiter(',');
  c->add_option("--prompt", o->speed.prefill, "tokens of a timed prompt")->capture_default_str();
  c->add_option("--decode", o->speed.decode, "timed steps")->capture_default_str();
  c->add_option("--repeats", o->speed.repeats, "medians of so many")->capture_default_str();
  c->add_option("--fill-seconds", o->speed.fill_seconds, "time to reach the depths")->capture_default_str();
  c->add_option("--threads", o->threads, "0: all cores");
  c->add_flag("--json", o->json, "print one JSON object");
  c->callback([o] { run(*o); });
}

}  // namespace jet
