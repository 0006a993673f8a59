// How a text is drawn and where it ends: options that generate and chat share.
#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

#include "jet/engine/generate.h"

namespace jet {

struct SamplingArguments {
  GenerateOptions generate{};
  SamplingSettings asked{};
  std::vector<std::string> logit_bias{};  // ID=VALUE

  /// Reads logit_bias; throws Error on options outside their range, before a model is loaded.
  void check();
  /// The options with the model's settings where the caller left them open.
  GenerateOptions settled(const Engine& engine, const Tokenizer& tokenizer) const;
};

void add_sampling_options(CLI::App& c, SamplingArguments& arguments);

/// As the option --NAME VALUE: temperature, top-k, ..., seed, max-new-tokens. Throws Error on another name.
void set_sampling(SamplingArguments& arguments, const std::string& name, const std::string& value);
/// What set_sampling takes, as it stands.
std::string sampling_text(const GenerateOptions& settled);

}  // namespace jet
