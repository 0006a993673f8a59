// jet-train: the commands that need libtorch. `jet` runs it for them, mpirun or srun as many times as told.
#include <torch/version.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <thread>

#include "jet/cli/cases.h"
#include "jet/cli/terminal_progress.h"
#include "jet/model/shapes.h"
#include "jet/search/postnas.h"
#include "jet/search/report.h"
#include "jet/search/study.h"
#include "jet/search/train_bench.h"
#include "jet/train/verify.h"
#include "jet/train/world.h"

namespace {

std::string typed(int argc, char** argv) {
  std::string line = "jet";
  for (int i = 1; i < argc; ++i) line += std::string(" ") + argv[i];
  return line;
}

// Joins the other processes of the run; the first one alone tells what they do.
void join() {
  jet::join_world();
  if (jet::world().first()) return;
  jet::set_progress_sink(nullptr);
  jet::require(std::freopen("/dev/null", "w", stdout) != nullptr, "/dev/null: cannot be opened");
}

// One line, once: what fails in all processes alike is told by the first, which ends the others while they wait.
int complain(const std::string& message) {
  jet::World& world = jet::world();
  if (!world.first()) std::this_thread::sleep_for(std::chrono::seconds(1));
  const std::string who = world.alone() ? "" : fmt::format("process {} of {}: ", world.rank(), world.size());
  fmt::print(stderr, "jet: {}{}\n", who, message);
  world.end_all(2);
  return 2;
}

constexpr const char* kTrialsHelp =
    "share trainings out with other processes started on the same --out (docs/many_processes.md)";

void add_postnas(CLI::App& app, jet::PostnasOptions& o) {
  auto* c = app.add_subcommand("postnas", "search a hybrid of BASE and distil it: all stages, resumable");
  c->add_option("base", o.base, "folder of the pre-trained full-attention model")->required();
  c->add_option("--recipe", o.recipe, "settings (TOML)")->required();
  c->add_option("--out", o.out, "folder of the run: ledger, checkpoints, report, model")->required();
  c->add_option("--only", o.only, fmt::format("one stage: {}", fmt::join(jet::stage_names(), " ")));
  c->add_option("--until", o.until, "the last stage to run");
  c->add_flag("--trials", o.trials, kTrialsHelp);
  c->callback([&o] {
    if (!o.trials) join();
    fmt::print("{}", jet::run_postnas(o));
  });
}

void add_bench(CLI::App& app) {
  auto o = std::make_shared<jet::TrainBenchOptions>();
  auto json = std::make_shared<std::string>();
  auto* bench = app.add_subcommand("bench", "bench train: speed and memory of training steps");
  bench->require_subcommand(1);
  auto* c = bench->add_subcommand("train", "tokens/s and memory of training steps, beside the cost model");
  c->add_option("model", o->model, "model folder, mapped");
  c->add_option("--shape", o->shape,
                fmt::format("instead: random weights in a shape, {}", fmt::join(jet::shape_names(), ", ")));
  c->add_option("--student", o->student, "stages 1 and 2: a shape (of jet-2b for qwen2.5-1.5b)");
  c->add_option("--block", o->blocks, "instead: the base with these blocks")->delimiter(',')->capture_default_str();
  c->add_option("--full", o->full, "and so many of its layers left")->capture_default_str();
  c->add_option("--branch", o->branch, "the supernet's block")->capture_default_str();
  c->add_option("--lines", o->lines, fmt::format("of {}", fmt::join(jet::train_bench_lines(), ", ")))->delimiter(',');
  c->add_option("--rows", o->rows, "of a step")->capture_default_str();
  c->add_option("--length", o->length, "tokens of a row")->capture_default_str();
  c->add_option("--steps", o->steps, "of each line")->capture_default_str();
  c->add_flag("--keep-activations", o->keep_activations, "instead of running layers again");
  c->add_flag("--on-disk", o->on_disk, "what is trained lies in files in TMPDIR, with gradients and moments");
  c->add_option("--device", o->device, "cpu, cuda, cuda:N, auto: cuda where there is one")->capture_default_str();
  c->add_option("--precision", o->precision, "of products: fp32, bf16, auto")
      ->check(CLI::IsMember({"fp32", "bf16", "auto"}));
  c->add_option("--threads", o->threads, "0: all cores");
  c->add_option("--seed", o->seed, "of weights and ids")->capture_default_str();
  c->add_option("--json", *json, "write everything to this file; -: print it instead of the table");
  c->callback([o, json] {
    const jet::Json report = jet::train_bench(*o);
    if (!json->empty() && *json != "-") jet::write_file(*json, report.dump(2) + "\n");
    fmt::print("{}", *json == "-" ? report.dump(2) + "\n" : jet::train_bench_text(report));
  });
}

void add_verify(CLI::App& app, int& code) {
  auto folder = std::make_shared<std::string>();
  auto json = std::make_shared<bool>(false);
  auto* c = app.add_subcommand("verify", "the torch path against golden outputs and gradients");
  c->add_option("golden_dir", *folder, "a folder with golden.safetensors, or one that holds such folders")->required();
  c->add_flag("--json", *json, "print JSON");
  c->callback([folder, json, &code] { code = jet::print_cases("torch", jet::verify_torch(*folder), *json); });
}

}  // namespace

int main(int argc, char** argv) {
  jet::show_progress();
  CLI::App app{"jet-train: training and search (started by `jet`)", "jet"};
  app.require_subcommand(1);
  app.set_version_flag(
      "--version",
      fmt::format("jet {}, libtorch {}, {}, {}", JET_VERSION, TORCH_VERSION, jet::mpi_version(), jet::nccl_version()),
      "versions, and what joins many processes");
  jet::PostnasOptions postnas;
  postnas.command = typed(argc, argv);
  add_postnas(app, postnas);
  add_bench(app);
  int code = 0;
  add_verify(app, code);

  std::string model, recipe, out, student, run_folder;
  auto* pretrain = app.add_subcommand("pretrain", "train a small full-attention base from nothing");
  pretrain->add_option("tokenizer", model, "folder that holds the tokenizer (a model folder)")->required();
  pretrain->add_option("--recipe", recipe, "settings (TOML)")->required();
  pretrain->add_option("--out", out, "folder of the run")->required();
  pretrain->callback([&] {
    join();
    fmt::print("{}", jet::run_pretrain(model, recipe, out));
  });

  auto* distill = app.add_subcommand("distill", "both distillation stages for a hybrid that exists");
  distill->add_option("teacher", model, "folder of the full-attention model")->required();
  distill->add_option("--student", student, "folder of the hybrid")->required();
  distill->add_option("--recipe", recipe, "settings (TOML)")->required();
  distill->add_option("--out", out, "folder of the run")->required();
  distill->callback([&] {
    join();
    fmt::print("{}", jet::run_distill(model, student, recipe, out));
  });

  auto* study = app.add_subcommand("study", "train small models of every kind on made-up tasks: lab/README.md");
  study->add_option("recipe", recipe, "settings (TOML)")->required();
  study->add_option("--out", out, "folder of the run: ledger, study.json, study.svg")->required();
  bool trials = false;
  study->add_flag("--trials", trials, kTrialsHelp);
  study->callback([&] { fmt::print("{}", jet::run_study(recipe, out, trials)); });

  auto* report = app.add_subcommand("report", "write RUN/report.html again from RUN/report.json");
  report->add_option("run", run_folder, "folder of a run")->required();
  report->callback([&] {
    const jet::Json j = jet::with_tables(jet::read_json(run_folder + "/report.json"));
    jet::write_report(run_folder, j);
    fmt::print("{}\n{}/report.html\n", jet::report_text(j), run_folder);
  });

  try {
    app.parse(argc, argv);
    jet::leave_world();
    return code;
  } catch (const CLI::Success& e) { return app.exit(e); } catch (const CLI::ParseError& e) {
    return complain(e.what());
  } catch (const c10::Error& e) {
    return complain(std::string("libtorch: ") + e.what_without_backtrace());
  } catch (const std::exception& e) { return complain(e.what()); }
}
