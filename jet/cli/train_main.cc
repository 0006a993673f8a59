// jet-train: the commands that need libtorch. `jet` runs it for them, mpirun or srun as many times as told.
#include <torch/version.h>

#include <CLI/CLI.hpp>

#include <chrono>
#include <cstdio>
#include <memory>
#include <thread>

#include "jet/cli/cases.h"
#include "jet/cli/commands.h"
#include "jet/cli/options.h"
#include "jet/cli/pass_on.h"
#include "jet/cli/program.h"
#include "jet/cli/terminal_progress.h"
#include "jet/model/shapes.h"
#include "jet/search/postnas.h"
#include "jet/search/report.h"
#include "jet/search/study.h"
#include "jet/search/train_bench.h"
#include "jet/train/verify.h"
#include "jet/train/world.h"

namespace {

std::string typed;  // the command line, for the report

// Joins the other processes of the run; the first one alone tells what they do.
void join() {
  jet::join_world();
  if (jet::world().first()) return;
  jet::set_progress_sink(nullptr);
  jet::require(std::freopen("/dev/null", "w", stdout) != nullptr, "/dev/null: cannot be opened");
}

// What fails in all processes alike is told by the first, once, which ends the others while they wait.
void tell(const std::string& line) {
  jet::World& world = jet::world();
  if (!world.first()) std::this_thread::sleep_for(std::chrono::seconds(1));
  jet::tell_error(world.alone() ? line : fmt::format("process {} of {}: {}", world.rank(), world.size(), line));
  if (!world.alone()) world.end_all(jet::kError);
}

constexpr const char* kTrialsHelp =
    "share trainings out with other processes started on the same --out (docs/many_processes.md)";

void add_recipe_and_out(CLI::App& c, std::string& recipe, std::string& out) {
  c.add_option("--recipe", recipe, "settings (TOML)")->required();
  c.add_option("--out", out, "folder of the run: ledger, checkpoints, report, model")->required();
}

void add_pretrain(CLI::App& c, int&) {
  struct Arguments {
    std::string tokenizer, recipe, out;
  };
  auto a = std::make_shared<Arguments>();
  c.add_option("tokenizer", a->tokenizer, "folder that holds the tokenizer (a model folder)")->required();
  add_recipe_and_out(c, a->recipe, a->out);
  c.callback([a] {
    join();
    fmt::print("{}", jet::run_pretrain(a->tokenizer, a->recipe, a->out));
  });
}

void add_postnas(CLI::App& c, int&) {
  auto o = std::make_shared<jet::PostnasOptions>();
  o->command = typed;
  c.add_option("base", o->base, "folder of the pre-trained full-attention model")->required();
  add_recipe_and_out(c, o->recipe, o->out);
  c.add_option("--only", o->only, fmt::format("one stage: {}", fmt::join(jet::stage_names(), " ")));
  c.add_option("--until", o->until, "the last stage to run");
  c.add_flag("--trials", o->trials, kTrialsHelp);
  c.callback([o] {
    if (!o->trials) join();
    fmt::print("{}", jet::run_postnas(*o));
  });
}

void add_distill(CLI::App& c, int&) {
  auto o = std::make_shared<jet::DistillOptions>();
  o->command = typed;
  c.add_option("teacher", o->teacher, "folder of the full-attention model")->required();
  c.add_option("--student", o->student, "folder of the hybrid")->required();
  add_recipe_and_out(c, o->recipe, o->out);
  c.callback([o] {
    join();
    fmt::print("{}", jet::run_distill(*o));
  });
}

void add_study(CLI::App& c, int&) {
  struct Arguments {
    std::string recipe, out;
    bool trials = false;
  };
  auto a = std::make_shared<Arguments>();
  c.add_option("recipe", a->recipe, "settings (TOML)")->required();
  c.add_option("--out", a->out, "folder of the run: ledger, study.json, study.svg")->required();
  c.add_flag("--trials", a->trials, kTrialsHelp);
  c.callback([a] { fmt::print("{}", jet::run_study(a->recipe, a->out, a->trials)); });
}

void add_report(CLI::App& c, int&) {
  auto folder = std::make_shared<std::string>();
  c.add_option("run", *folder, "folder of a run")->required();
  c.callback([folder] {
    const jet::Json j = jet::with_tables(jet::read_json(*folder + "/report.json"));
    jet::write_report(*folder, j);
    fmt::print("{}\n{}/report.html\n", jet::report_text(j), *folder);
  });
}

void add_bench_train(CLI::App& c, int&) {
  auto o = std::make_shared<jet::TrainBenchOptions>();
  auto json = std::make_shared<std::string>();
  c.add_option("model", o->model, "model folder, mapped");
  c.add_option("--shape", o->shape,
               fmt::format("instead: random weights in a shape, {}", fmt::join(jet::shape_names(), ", ")));
  c.add_option("--student", o->student, "stages 1 and 2: a shape (of jet-2b for qwen2.5-1.5b)");
  c.add_option("--block", o->blocks, "instead: the base with these blocks")->capture_default_str();
  jet::add_number(c, "--full", o->full, "and so many of its layers left", 0);
  c.add_option("--branch", o->branch, "the supernet's block")->capture_default_str();
  c.add_option("--lines", o->lines, fmt::format("of {}", fmt::join(jet::train_bench_lines(), ", ")))->delimiter(',');
  jet::add_number(c, "--rows", o->rows, "of a step", 1);
  jet::add_number(c, "--length", o->length, "tokens of a row", 2);
  jet::add_number(c, "--steps", o->steps, "of each line", 1);
  c.add_flag("--keep-activations", o->keep_activations, "instead of running layers again");
  c.add_flag("--on-disk", o->on_disk, "what is trained lies in files in TMPDIR, with gradients and moments");
  c.add_option("--device", o->device, "cpu, cuda, cuda:N, auto: cuda where there is one")->capture_default_str();
  c.add_option("--precision", o->precision, "of products: fp32, bf16, auto")
      ->check(CLI::IsMember({"fp32", "bf16", "auto"}));
  jet::add_threads(c, o->threads);
  jet::add_number(c, "--seed", o->seed, "of weights and ids", 0);
  c.add_option("--json", *json, "write everything to this file; -: print it instead of the table");
  c.callback([o, json] {
    const jet::Json report = jet::train_bench(*o);
    if (!json->empty() && *json != "-") jet::write_file(*json, jet::json_text(report, 2) + "\n");
    fmt::print("{}", *json == "-" ? jet::json_text(report, 2) + "\n" : jet::train_bench_text(report));
  });
}

constexpr jet::Command kBenchCommands[] = {
    {"train", "tokens/s and memory of training steps, beside the cost model", add_bench_train}};

void add_bench(CLI::App& c, int& code) { jet::add_commands(c, kBenchCommands, code); }

void add_verify(CLI::App& c, int& code) {
  auto folder = std::make_shared<std::string>();
  auto json = std::make_shared<bool>(false);
  c.add_option("golden_dir", *folder, "a folder with golden.safetensors, or one that holds such folders")->required();
  c.add_flag("--json", *json, "print JSON, a line for each path");
  c.callback([folder, json, &code] { code = jet::print_cases("torch", jet::verify_torch(*folder), *json); });
}

constexpr jet::Command kCommands[] = {
    {"pretrain", jet::train_help("pretrain"), add_pretrain},
    {"postnas", jet::train_help("postnas"), add_postnas},
    {"distill", jet::train_help("distill"), add_distill},
    {"study", jet::train_help("study"), add_study},
    {"report", "write RUN/report.html again from RUN/report.json", add_report},
    {"bench", "bench train: speed and memory of training steps", add_bench},
    {"verify", "the torch path against golden outputs and gradients", add_verify},
};

int run(const std::vector<std::string>& line) {
  typed = fmt::format("jet {}", fmt::join(line, " "));
  CLI::App app("jet-train: training and search (started by `jet`)", "jet");
  app.set_version_flag(
      "--version",
      fmt::format("jet {}, libtorch {}, {}, {}", JET_VERSION, TORCH_VERSION, jet::mpi_version(), jet::nccl_version()),
      "versions, and what joins many processes");
  try {
    const int code = jet::run_commands(app, kCommands, line);
    jet::leave_world();
    return code;
  } catch (const c10::Error& e) { jet::fail("libtorch: {}", e.what_without_backtrace()); }
}

}  // namespace

int main(int argc, char** argv) {
  jet::show_progress();
  return jet::run_program([&] { return run(jet::command_line(argc, argv)); }, tell);
}
