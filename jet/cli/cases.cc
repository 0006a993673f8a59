#include "jet/cli/cases.h"

#include <algorithm>
#include <cmath>

#include "jet/base/json.h"

namespace jet {

int print_cases(const std::string& path, const std::vector<VerifyCase>& cases, bool json) {
  const bool ok = std::all_of(cases.begin(), cases.end(), [](const VerifyCase& c) { return c.ok; });
  if (json) {
    Json list = Json::array();
    for (const auto& c : cases) {
      list.push_back(
          {{"name", c.name}, {"error", c.error}, {"tolerance", c.tolerance}, {"ok", c.ok}, {"note", c.note}});
    }
    fmt::print("{}\n", json_text(Json{{"path", path}, {"cases", list}}));
    return ok ? 0 : 1;
  }
  size_t width = 0, bad = 0, skipped = 0;
  for (const auto& c : cases) width = std::max(width, c.name.size());
  for (const auto& c : cases) {
    const bool skip = c.note.starts_with("skipped");
    bad += c.ok ? 0 : 1;
    skipped += skip ? 1 : 0;
    if (skip || (std::isinf(c.error) && !c.note.empty())) {  // nothing was compared
      fmt::print("{} {:<{}}  {}\n", skip ? "skip" : "FAIL", c.name, width, c.note);
    } else {
      fmt::print("{} {:<{}}  {:.2e} <= {:.0e}  {}\n", c.ok ? "ok  " : "FAIL", c.name, width, c.error, c.tolerance,
                 c.note);
    }
  }
  fmt::print("{}: {} of {} cases ok, {} skipped\n", path, cases.size() - bad - skipped, cases.size() - skipped,
             skipped);
  return ok ? 0 : 1;
}

}  // namespace jet
