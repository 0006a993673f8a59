// `jet eval --suite` and `--list`: benchmarks (jet/eval/suite.h).
#pragma once

#include <string>

#include "jet/cli/options.h"

namespace jet {

struct SuiteArguments {
  std::string suites, data = "data/suites", out;
  int num_fewshot = -1, max_length = 0;
  bool list = false, log_samples = false, run_code = false, permute_choices = false;
};

/// Every suite: what it asks, its files, where they are published and under which licence.
void list_suites(bool json);
/// Asks, prints the table, and writes what --out names.
void run_suites(const SuiteArguments& a, const std::string& model, int limit, int batch, bool json,
                const EngineArguments& engine);

}  // namespace jet
