// How both programs print the cases of `verify`.
#pragma once

#include <string>
#include <vector>

#include "jet/model/golden.h"

namespace jet {

/// Prints the cases of `path` ("engine", "torch"), as lines or as one line of JSON; returns the exit code: 0, or 1
/// where one failed.
int print_cases(const std::string& path, const std::vector<VerifyCase>& cases, bool json);

}  // namespace jet
