// The gains table: what each step of a search gave, one row a step; and what is to be said of it in words. Both are
// read from the results of the stages (`results`: stage -> its result, as in a report); a figure that is not there is
// left out of its row, and tables show a dash for it. A stage at work has the rows that it has found so far.
//
//   {"step": "+ placement", "note": "gla, ...", "accuracy": {"TASK": 0.63, ...}, "loss": 3.5,
//    "cache_bytes": 1024, "decode_tps": 90.0, "speedup": 1.9}
#pragma once

#include <string>
#include <vector>

#include "jet/base/json.h"
#include "jet/search/recipe.h"

namespace jet {

/// A row for every step that there are results of; empty before the base is measured.
Json gains_table(const Recipe& recipe, const Json& results);
/// The tasks that any of the rows has a figure of under `key`, in the order in which they first come.
std::vector<std::string> tasks_of(const Json& rows, const char* key = "accuracy");
/// What the figures mean and how far they can be trusted, a sentence or two each.
Json remarks(const Recipe& recipe, const Json& results, const Json& gains);
/// The result of a stage, or null.
Json stage_result(const Json& results, const char* stage);

}  // namespace jet
