// jet report RUN: a run's tables and page again, which jet-train makes. jet report --serve DIR: runs in a browser.
#include <CLI/CLI.hpp>

#include <memory>

#include "jet/cli/commands.h"
#include "jet/cli/pass_on.h"
#include "jet/cli/serving.h"

namespace jet {

void add_report_command(CLI::App& c, int&) {
  struct Arguments {
    std::string run, folder;
    ServeOptions serve;
  };
  auto o = std::make_shared<Arguments>();
  c.add_option("run", o->run, "folder of a run: write its report.html again from report.json, and print the tables");
  c.add_option("--serve", o->folder, "instead: show the runs in this folder in a browser, as they go on");
  add_address(c, o->serve);
  c.callback([o] {
    require(o->run.empty() != o->folder.empty(), "jet report wants the folder of a run, or --serve DIR");
    if (!o->folder.empty()) return serve_runs(o->folder, o->serve);
    become_train_program({"report", o->run});
  });
}

}  // namespace jet
