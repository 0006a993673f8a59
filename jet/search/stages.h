// The stages of PostNAS, in order. Each takes the run, does its part (or finds it done in the ledger) and returns its
// section of the report (keys: web/report.html).
#pragma once

#include "jet/search/placement.h"
#include "jet/search/run.h"
#include "jet/search/supernet.h"

namespace jet {

/// Where full attention and sliding windows go; everything else is linear.
struct Placement {
  std::set<int> full, swa;
};
Json to_json(const Placement& p);
Placement placement_from_json(const Json& j);
/// The layers of a placement, with `linear(attention)` in all others; `window` 0: the recipe's.
std::vector<MixerSpec> placed_layers(const Run& run, const Placement& p,
                                     const std::function<MixerSpec(const Attention::Config&)>& linear, int window = 0);

Json measure_base(Run& run);
Json train_supernet(Run& run, Supernet& net);
Json heat_map(Run& run, Supernet& net);
/// {"full", "swa", "beam", "selectors", ...}
Json find_placement(Run& run, Supernet& net);
/// Placements distilled alike, over seeds: {"rows", "spearman", "curve", ...}, or null where the recipe asks for none.
Json validate_placements(Run& run, Supernet& net);
/// {"candidates", "chosen", "baselines": {all_linear, uniform}}
Json select_block(Run& run, const Placement& p);
/// {"candidates", "pruned", "chosen": {kind, heads, dk, dv, conv, window, lr}}
Json search_dimensions(Run& run, const Placement& p, const Json& blocks);
/// A placement's layers with a block in dimensions that the search chose.
std::vector<MixerSpec> with_dimensions(const Run& run, const Placement& p, const std::string& kind, const Json& chosen);
/// Both stages; writes `folder`/model. {"stage1", "stage2"}
Json distill_stages(Run& run, const Placement& p, const Json& blocks, const Json& dimensions);
/// Engine figures of base and hybrid: generated tasks, tokens/s and cache by context.
Json final_evaluation(Run& run);

}  // namespace jet
