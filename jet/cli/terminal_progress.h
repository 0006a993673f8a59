// Progress as one line on stderr: rewritten in place on a terminal, printed at most every ten seconds elsewhere.
//
//   postnas 4/9 placement               23%      61 paths     0.4/s  beam        ETA 8m02s (run 45m10s)
#pragma once

#include <chrono>

#include "jet/base/progress.h"

namespace jet {

class TerminalProgress : public ProgressSink {
 public:
  TerminalProgress();
  void show(const ProgressState& state) override;
  void give_up() override;

 private:
  std::chrono::steady_clock::time_point shown_{};
  bool terminal_, open_ = false;  // open: the line has no end yet
};

/// Shows all progress of this process so, from now on.
void show_progress();

}  // namespace jet
