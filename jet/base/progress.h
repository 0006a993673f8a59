// How far long work is. The work says it through a Progress; the program sets a sink, which shows it:
//
//   train(), a stage, ...  -> Progress -> ProgressSink     a line on a terminal (jet/cli/terminal_progress.h), or
//                                                          a run, which adds what it knows and passes it on
//
// Without a sink nobody is told.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace jet {

/// What a Progress tells, in units (tokens, paths, items).
struct ProgressState {
  std::string stage, note;
  const char* unit = "";
  int64_t done = 0, total = 0;
  int64_t before = 0;  // of `done`: what was there when this work was taken up again
  double seconds = 0;  // since then
  double left = -1;    // seconds until this work is done, and until all is that it is a part of; negative: unknown
  double whole_left = -1;
  bool finished = false;
  /// Units a second.
  double rate() const { return seconds > 0 ? static_cast<double>(done - before) / seconds : 0; }
};

class ProgressSink {
 public:
  virtual ~ProgressSink() = default;
  /// Called often; a sink shows what it has time for, and every state that is `finished`.
  virtual void show(const ProgressState& state) = 0;
  /// The work that was shown last ended by an error.
  virtual void give_up() {}
};

/// Whom all work of this process tells from now on; null: nobody. Returns who it was.
ProgressSink* set_progress_sink(ProgressSink* sink);

class Progress {
 public:
  /// `done` > 0 when work is taken up again.
  Progress(std::string stage, int64_t total, const char* unit = "tokens", int64_t done = 0);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void update(int64_t done, const std::string& note = {});
  void finish(const std::string& note = {});

 private:
  void tell();
  ProgressState state_;
  std::chrono::steady_clock::time_point start_;
};

/// "1h02m", "3m05s", "12s".
std::string format_duration(double seconds);
/// "1.2M", "34k", "17".
std::string format_count(double n);

}  // namespace jet
