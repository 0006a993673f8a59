// Candidates: students that are trained and compared with each other on one budget.
#pragma once

#include "jet/search/student.h"

namespace jet {

/// `seed` 0 is the recipe's; others draw other first values and other texts.
struct Candidate {
  std::string name;
  std::vector<MixerSpec> layers;
  double lr = 0;  // of the alignment
  uint64_t seed = 0;
  const BudgetConfig* budget = nullptr;  // null: the recipe's for blocks
  bool inherit = true;                   // false: first values of its own, nothing of the attention that it replaces
  bool speed = true;                     // measure the engine with it
};

/// Trains a candidate, then evaluates it on the reported items; one that diverged is marked and has no scores. The
/// student itself can be had again with load_candidate.
CandidateResult train_candidate(Run& run, const Candidate& c);
/// Trains all of them; where processes share the run, each takes those that no other one is at. Returns when every
/// candidate is done, by whomever; `so_far` is called after each.
void train_candidates(Run& run, const std::vector<Candidate>& candidates, const std::function<void()>& so_far);
/// The result of a candidate that has been trained.
std::optional<CandidateResult> find_candidate(const Run& run, const Candidate& c);
/// The candidate as a row of a table, with its speed in the engine where it wants that measured.
Row candidate_row(Run& run, const Candidate& c);
TorchModel load_candidate(Run& run, const Candidate& c);

}  // namespace jet
