// The program `jet`: a table of commands. Those that need torch live in a second program, jet-train, which takes over
// with all arguments.
#include <CLI/CLI.hpp>

#include <iterator>
#include <vector>

#include "jet/cli/commands.h"
#include "jet/cli/pass_on.h"
#include "jet/cli/program.h"
#include "jet/cli/terminal_progress.h"

namespace {

constexpr jet::Command kCommands[] = {
    {"info", "layers, parameters, cache and FLOPs by context (keys and values in bf16)", jet::add_info_command},
    {"chat", "talk with a model", jet::add_chat_command},
    {"serve", "answer over HTTP, as OpenAI's API does", jet::add_serve_command},
    {"generate", "continue a prompt, or many at once", jet::add_generate_command},
    {"tokenize", "the tokens of a text, or the text of ids", jet::add_tokenize_command},
    {"template", "a conversation as the text that a model's chat template makes of it", jet::add_template_command},
    {"logits", "logits of given token ids, file to file", jet::add_logits_command},
    {"verify", "check the engine, and the torch path where built, against golden numbers", jet::add_verify_command},
    {"eval", "accuracy on tasks, and the loss on texts", jet::add_eval_command},
    {"bench", "speed of prefill and decode, and what fraction of the machine it is; bench train: of training",
     jet::add_bench_command},
    {"plan", "a training run on GPUs, on paper: FLOPs, memory of each, hours", jet::add_plan_command},
    {"quantize", "a model folder with its matrices in a smaller type", jet::add_quantize_command},
    {"export", "a model in our own layout or the official one of Jet-Nemotron", jet::add_export_command},
    {"import", "a model folder out of a GGUF file", jet::add_import_command},
    {"report", "the tables and the page of a run; --serve DIR: watch runs in a browser", jet::add_report_command},
    {"cache", "imports of GGUF files that other commands made: list, clear", jet::add_cache_command},
    {"data", "folders of tokens to train on: build, info, check", jet::add_data_command},
};

int run(const std::vector<std::string>& line) {
  if (jet::is_train_command(line)) jet::become_train_program(line);
  std::vector<jet::Command> commands(std::begin(kCommands), std::end(kCommands));
  for (const auto& c : jet::kTrainCommands) commands.push_back({c.name, c.help, nullptr});
  CLI::App app("jet: hybrid language models, searched and run", "jet");
  app.set_version_flag("--version", "jet " JET_VERSION);
  return jet::run_commands(app, commands, line);
}

}  // namespace

int main(int argc, char** argv) {
  jet::show_progress();
  return jet::run_program([&] { return run(jet::command_line(argc, argv)); }, jet::tell_error);
}
