// Work whose cost cannot be known before, done in a child process first: one that takes too long, too much memory, or
// the whole stack, ends there.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace jet {

struct RehearsalLimits {
  int seconds = 10;                  // of processor time
  int64_t bytes = int64_t{1} << 30;  // beside what the program has (not in builds with sanitizers)
};

/// What went wrong with `work` in a child process: what it threw, or which limit it met; empty where it ended well. The
/// child has this thread alone and no open files: `work` must wait for no other thread, nor for a lock that one holds.
std::string rehearse(const std::function<void()>& work, const RehearsalLimits& limits);

}  // namespace jet
