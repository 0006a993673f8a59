// How the programs end: what they do is a function, and whatever it throws becomes one line on stderr.
//
//   exit code   0   done
//               1   done, and a check did not hold (jet verify)
//               2   an error; nothing half-written is left
#pragma once

#include <functional>
#include <string>

namespace jet {

inline constexpr int kDone = 0, kCheckFailed = 1, kError = 2;

/// Prints "jet: <line>" to stderr.
void tell_error(const std::string& line);

/// What main() returns: what `work` does, or kError where it throws, or what it printed could not be written; `tell` is
/// then given the line.
int run_program(const std::function<int()>& work, const std::function<void(const std::string& line)>& tell);

}  // namespace jet
