// What the terms of an objective go by. A task's accuracy says what is wanted, but nothing where it is at its floor or
// at its ceiling for every set that a search looks at; the loss of the answers tells everywhere.
#pragma once

#include <string>
#include <vector>

#include "jet/search/selectors/selector.h"

namespace jet {

struct SettledObjective {
  std::vector<TaskWeight> terms;  // each by accuracy or by loss
  std::vector<std::string> why;   // a sentence for each that was left to us
  template <class V>
  static void fields(SettledObjective& o, V&& v) {
    v("terms", o.terms), v("why", o.why);
  }
};

/// Whether accuracies over `items` differ by more than chance would have them: their variance is over twice the
/// binomial one at their mean.
bool accuracy_tells(const std::vector<double>& accuracies, int items);

/// Terms left to "auto" go by accuracy where that tells the paths apart that the search looks at first, else by loss.
/// Remembered in the ledger under objective/`name`.
SettledObjective settle_objective(Run& run, Supernet& net, const std::string& name,
                                  const std::vector<TaskWeight>& objective, const std::vector<Path>& first);
/// placement.full_objective, settled by the first depth of the recipe's selector: every layer alone, or, top down, all
/// layers but each. Written into the run's recipe.
SettledObjective settle_full_objective(Run& run, Supernet& net);

}  // namespace jet
