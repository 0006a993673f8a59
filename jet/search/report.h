// The report of a run: report.json (all figures) and report.html (one self-contained page, web/report.html around it).
#pragma once

#include <string>

#include "jet/base/json.h"
#include "jet/search/ledger.h"
#include "jet/search/recipe.h"

namespace jet {

/// The sections that the run has so far -> the report's JSON, with gains table and remarks. `device`: that of its
/// trainings. `so_far`: of a stage that is at work, its result as far as it is; "unfinished" names it.
Json build_report(const Recipe& recipe, const Ledger& ledger, const std::string& device, const std::string& command,
                  const Json& so_far = {});
/// The report with gains table and remarks ("gains", "notes") made of the recipe and the results of stages in it.
Json with_tables(Json report);
/// Writes report.json and report.html into the run's folder.
void write_report(const std::string& folder, const Json& report);
/// The gains table, and the curve over the number of full layers where there is one, as people read them in a terminal.
std::string report_text(const Json& report);

}  // namespace jet
