// Programs that a model wrote, run in a child process that can do little:
//
//   jet --fork--> namespaces: user, network (none), processes, mounts (all read-only but a small folder in memory), ipc
//        --fork--> process 1 there: limits on time, memory, files, processes; then python3 -I -  <  the program
//
// When process 1 ends, or is killed after `seconds`, the system ends all that it started. Where the system allows no
// such namespaces, nothing is run.
#pragma once

#include <cstdint>
#include <string>

namespace jet {

struct CodeLimits {
  int seconds = 3;  // of the clock, as lm-evaluation-harness
  int64_t memory = int64_t{4} << 30, file = int64_t{16} << 20;
  int processes = 64;
};

/// Why programs cannot be run here; empty where they can.
std::string cannot_run_code();
/// Whether a Python program ends with status 0. Throws Error where cannot_run_code() says why.
bool run_python(const std::string& program, const CodeLimits& limits = {});

}  // namespace jet
