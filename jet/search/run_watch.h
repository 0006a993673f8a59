// What a run leaves for those who watch it as it goes on (jet serve --runs, jet report --serve: jet/serve/runs.h):
//
//   progress.json   {"run": "postnas", "stage": "placement", "done": 61, ..., "started": 1767225600, "updated": ...,
//                    "finished": false, "error": "..."}      RunStanding, times in seconds of the epoch
//   report.json     the report, with what the stage at work has found so far under the stage's name
//
// Each is replaced as a whole, at most once in one and in three seconds, and seldomer where writing takes more than a
// hundredth of the time; JET_WATCH_SECONDS sets the times. Nothing of the run depends on them.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "jet/search/run_progress.h"

namespace jet {

class RunWatch {
 public:
  /// Begins to write into `folder`; until then all that follows does nothing. `report` makes the report of what is
  /// finished and of `so_far`, stage -> its result as far as it is.
  void open(const std::string& folder, std::function<Json(const Json& so_far)> report);

  void stands(const RunStanding& standing);
  /// What a stage has found so far: `result` is asked for when it is time to write, and may lack what is not known yet.
  void found(const char* stage, const std::function<Json()>& result);
  /// All stages are done, or those that were asked for.
  void end(bool finished);
  void fail(const std::string& error);

 private:
  using Clock = std::chrono::steady_clock;
  struct File {
    std::chrono::duration<double> pause{};
    Clock::time_point next{};
  };
  void write(File& file, const std::string& name, const std::function<Json()>& content);
  void write_standing();
  Json progress() const;

  std::string folder_;
  std::function<Json(const Json&)> report_;
  RunStanding standing_;
  int64_t started_ = 0;
  bool finished_ = false;
  std::string error_;
  File progress_, results_;
};

}  // namespace jet
