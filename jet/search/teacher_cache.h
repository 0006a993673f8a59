// What the teacher says, kept on disk for runs that repeat data: all candidates of a run see the same texts in the same
// order, so it needs to run once for all of them. A file a row, written as a whole or not at all, by any process:
//
//   RUN/teacher/<stream>-<length>-<k>/<step>-<row>.safetensors:  ids [T - 1, k] i32, log_p [T - 1, k], log_rest [T - 1]
#pragma once

#include "jet/search/run.h"

namespace jet {

/// The targets of the part's rows: read, or, where a row is not there, made by the teacher and written. `rows` are the
/// part's.
Targets teacher_targets(Run& run, const std::string& stream, const Part& part, const TorchBatch& rows, int k);

}  // namespace jet
