// What a search will take, stage by stage, as far as its recipe says: the units that each stage counts, and its work in
// passes (run_progress.h). Where a stage may end early or finds results in the ledger, these are upper bounds.
#pragma once

#include <vector>

#include "jet/search/run.h"

namespace jet {

// Passes of a training, a token: the teacher's, the student's, and a backward pass for each of the student's that needs
// one. Aligned mixers are about a third of a model.
double align_passes(const TrainConfig& c);
double distill_passes(const DistillConfig& c);
double gates_passes(const TrainConfig& c);
/// Of a candidate's and the base's speeds in the engine.
double candidate_speed_passes(const Recipe& r);

std::vector<StageWork> plan_of(const Run& run);
/// Rates of the trainings that the ledger has the results of.
void learn_rates(Run& run);

}  // namespace jet
