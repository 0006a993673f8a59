// A trained candidate as a row of a table, and how rows of equal size and budget are ranked.
#pragma once

#include "jet/search/student.h"

namespace jet {

/// The figures of train_candidate's result that tables show: accuracy by task, loss, speeds, cache.
Json row_of(const Json& candidate);
/// Accuracy averaged over the tasks.
double mean_accuracy(const Json& row);
/// By "score" where both have one, else by mean accuracy; ties by held-out loss.
bool better_row(const Json& a, const Json& b);

}  // namespace jet
