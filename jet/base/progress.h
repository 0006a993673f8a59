// One line on stderr that long work rewrites: stage, share done, tokens, tokens/s, loss, ETA. On a terminal it is
// rewritten in place; elsewhere a line is printed at most every ten seconds.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace jet {

class Progress {
 public:
  /// Set in a process whose lines another one prints already.
  static inline bool quiet = false;

  /// `total` and `done` are in units (tokens, items); `done` > 0 when work is resumed.
  Progress(std::string stage, int64_t total, const char* unit = "tokens", int64_t done = 0);
  ~Progress();
  void update(int64_t done, const std::string& note = {});
  void finish(const std::string& note = {});
  double seconds() const;

 private:
  void print(bool last);
  using Clock = std::chrono::steady_clock;
  std::string stage_, note_;
  const char* unit_;
  int64_t total_, first_, done_;
  Clock::time_point start_, printed_;
  bool terminal_, finished_ = false;
};

/// "1h02m", "3m05s", "12s".
std::string format_duration(double seconds);
/// "1.2M", "34k", "17".
std::string format_count(double n);

}  // namespace jet
