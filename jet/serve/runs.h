// A folder of runs as their searches write it (jet/search/run_watch.h), for those who watch them.
//
//   DIR/NAME/progress.json   where the run stands; it may lack, as of runs of earlier versions
//   DIR/NAME/report.json     its report, as far as it is
//   DIR/NAME/claims          the first byte is locked while a process works in the run (jet/search/ledger.h)
//
// Names are those of folders in DIR. No link is followed below DIR, so nothing else is ever read.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "jet/base/json.h"
#include "jet/serve/routes.h"

namespace jet {

class RunsFolder {
 public:
  /// Throws where `path` is no folder, or is itself a run.
  explicit RunsFolder(std::string path);

  /// A row for each run, those at work first, then the newest:
  ///   {"name", "state": "running" | "finished" | "stopped", "finished": bool, "updated"} and, where it is known,
  ///   {"stage", "unit", "at", "of", "done", "total", "share", "stage_eta_s", "eta_s", "work", "note",
  ///    "tokens_per_second", "started", "error",
  ///    "report_changed": milliseconds of the epoch}
  Json list();
  /// The text of a run's report.json. Throws ApiError 404 where there is none.
  std::string report(const std::string& name) const;

 private:
  struct Seen {
    int64_t changed = 0, size = 0;
    bool has_final = false;
  };
  Json row(const std::string& name);
  bool has_final(const std::string& name, int folder);

  std::string path_;
  std::mutex mutex_;
  std::map<std::string, Seen> seen_;  // reports of runs that have no progress.json
};

/// GET /runs and /runs/NAME; 404 where `runs` is null.
void add_run_routes(Routes& routes, const std::shared_ptr<RunsFolder>& runs);

}  // namespace jet
