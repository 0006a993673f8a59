// The stages of PostNAS, in order. Each takes the run, does its part (or finds it done in the ledger) and returns what
// the ledger keeps of it (results.h).
#pragma once

#include <functional>
#include <optional>

#include "jet/search/results.h"
#include "jet/search/run.h"
#include "jet/search/supernet.h"

namespace jet {

/// The layers of a placement, with `linear(attention)` in all others; `window` 0: the recipe's.
std::vector<MixerSpec> placed_layers(const Run& run, const Placement& p,
                                     const std::function<MixerSpec(const Attention::Config&)>& linear, int window = 0);

BaseResult measure_base(Run& run);
SupernetResult train_supernet(Run& run, Supernet& net);
HeatMap heat_map(Run& run, Supernet& net);
PlacementResult find_placement(Run& run, Supernet& net);
/// Placements distilled alike, over seeds; nothing where the recipe asks for none.
std::optional<ValidationResult> validate_placements(Run& run, Supernet& net);
BlocksResult select_block(Run& run, const Placement& p);
DimensionsResult search_dimensions(Run& run, const Placement& p, const BlocksResult& blocks);
/// A placement's layers with a block in dimensions that the search chose.
std::vector<MixerSpec> with_dimensions(const Run& run, const Placement& p, const std::string& kind,
                                       const Dimensions& d);
/// Both stages from where `start` puts the student, which is asked for where they are not done; writes the run's model.
DistillResult distill_stages(Run& run, const std::function<TorchModel()>& start);
/// The same of what the search chose.
DistillResult distill_chosen(Run& run, const Placement& p, const BlocksResult& blocks,
                             const DimensionsResult& dimensions);
/// Engine figures of base and hybrid: generated tasks, tokens/s and cache by context.
FinalResult final_evaluation(Run& run);

}  // namespace jet
