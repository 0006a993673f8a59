// Which k layers keep full attention: one question, many answers. Every selector is a function in one list
// (list.cc), is given the same supernet and objective, and is charged for what it asks: scores that an earlier selector
// paid for are charged again.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "jet/search/placement.h"
#include "jet/search/supernet.h"

namespace jet {

/// The question, and the ways to ask the supernet.
class SelectionInput {
 public:
  SelectionInput(Run& run, Supernet& net, std::vector<int> allowed, int k);

  /// The placement objective (recipe: placement.full_objective) of `full` layers, all others linear.
  Score score(const LayerSet& full);
  /// The same on the items up to a round's (halving.h). Charges that round's.
  Score score(const LayerSet& full, int round);
  /// KL of a path to the base on the run's probe batches; remembered in the ledger.
  double kl(const Path& path);
  ScoreLayers scorer() {
    return [this](const LayerSet& s) { return score(s); };
  }
  /// Scores by rounds of the items, one where the recipe does not halve.
  ScoreRounds rounds();
  /// Of a beam, which asks by these rounds.
  LayerBeamOptions beam_options();
  /// Charges `tokens`, in rows of `length`, forward and backward through `paths`, and forward through a teacher. No
  /// weight is trained: a backward pass that only carries gradients through costs what the forward pass did.
  void charge_training(int64_t tokens, int length, const std::vector<Path>& paths, bool taught);
  void charge_kl(const Path& path);
  const PlacementConfig& config() const { return run.recipe.placement; }
  int layers() const { return net.layers(); }

  Run& run;
  Supernet& net;
  std::vector<int> allowed;
  int k;
  Spent spent;
  BeamSoFar so_far{};
};

struct Selected {
  LayerSet layers;
  SelectionTrace trace{};
  std::string note{};
};

/// What a selector asks for at most: paths judged by the objective, and the training of gates.
struct SelectorBound {
  int64_t paths = 0;
  bool gates = false;
  std::vector<AskedDepth> depths{};  // of the paths those of a beam, which are asked by successive halving
};

struct Selector {
  const char* name;
  Selected (*select)(SelectionInput& in);
  SelectorBound (*at_most)(int64_t layers, int64_t k, const PlacementConfig& c);
};

/// All selectors, the default (beam) first.
const std::vector<Selector>& selectors();
const Selector& selector_named(const std::string& name);
/// What a selector chooses; that of the recipe's own selector made better by swaps where placement.swaps says so.
Selected select_layers(const std::string& name, SelectionInput& in);
/// What that asks for at most.
SelectorBound select_at_most(const std::string& name, int64_t layers, int64_t k, const PlacementConfig& c);
/// Those that a recipe wants: the one whose choice counts, then the others, each once; uniform and last always.
std::vector<std::string> asked_selectors(const PlacementConfig& c);

/// One path per layer set: `full` full, `swa` windowed, `none` without a mixer, all others linear.
Path path_of(int layers, const LayerSet& full, const LayerSet& swa = {}, const LayerSet& none = {});
/// The k layers with the greatest value; of equals, the first.
LayerSet top_layers(const std::vector<int>& allowed, const std::vector<double>& value, int k);
/// Weighted tasks as one score: sum of weight * accuracy, and of weight * loss, over the sum of weights. Terms that go
/// by loss have exp(-loss) of their mean in the place of accuracies: the probability of an answer's token. `of`: a
/// task's {"accuracy", "nll"}.
Score objective_score(const std::vector<TaskWeight>& objective, const std::function<Json(const std::string& task)>& of);
/// The same of a path of the supernet, on all search items or on those up to a round's (halving.h).
Score objective_score(Supernet& net, const Path& path, const std::vector<TaskWeight>& objective,
                      std::optional<int> round = {});
/// "kv", or "kv + 0.5 arc_easy (loss)".
std::string objective_text(const std::vector<TaskWeight>& objective);

// Selectors with a file of their own.
Selected select_restore(SelectionInput& in);
Selected select_swap_drop(SelectionInput& in);
Selected select_importance(SelectionInput& in);
Selected select_gates(SelectionInput& in);
Selected select_beam_gates(SelectionInput& in);

}  // namespace jet
