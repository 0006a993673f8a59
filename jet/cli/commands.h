// The commands of `jet`: each adds itself to the parser and runs from its callback; main() catches what it throws.
#pragma once

namespace CLI {
class App;
}

namespace jet {

void add_info_command(CLI::App& app);      // layers, parameters, cache by context
void add_generate_command(CLI::App& app);  // text from a prompt
void add_logits_command(CLI::App& app);    // a file of ids -> a file of logits
void add_verify_command(CLI::App& app);    // a golden folder against the engine and the torch path
void add_eval_command(CLI::App& app);      // accuracy per task, held-out loss per text
void add_bench_command(CLI::App& app);     // tokens/s, and what fraction of the machine that is
void add_plan_command(CLI::App& app);      // a training run on GPUs, on paper
void add_quantize_command(CLI::App& app);  // a model folder with its matrices in bf16, int8 or int4
void add_export_command(CLI::App& app);    // a model folder in our own layout or the official one
void add_data_command(CLI::App& app);      // text files into folders of tokens, and what is in those

/// What main() returns where nothing was thrown: 0, or 1 where a check did not hold.
inline int& exit_code() {
  static int code = 0;
  return code;
}

}  // namespace jet
