// What needs no training and no search: attention everywhere, but each token of a searched layer sees only the last
// ones of a window and the row's first few (attention sinks, StreamingLLM). Positions are those of the text: here no
// row is longer than the base's context, so none has to be counted anew within the window, as for texts without end.
#pragma once

#include "jet/search/run.h"

namespace jet {

inline constexpr int kSinks = 4;
/// "window of 64 + 4 sinks".
std::string sinks_name(const Run& run);
/// The base's score on a task of an objective (or "kl") so; {"accuracy", "nll"}.
Json sinks_term(Run& run, const std::string& task);
/// On the reported items, with its cache at the context where candidates are measured; layers of `full` stay whole.
Row sinks_row(Run& run, const LayerSet& full = {});

}  // namespace jet
