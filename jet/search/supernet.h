// The supernet (Jet-Nemotron section 2.2): beside every searched attention layer stands a linear branch that starts
// from the attention's own q, k, v, o. The base is frozen. A path names one branch per layer; each step trains a
// random path.
#pragma once

#include <optional>

#include "jet/search/run.h"
#include "jet/search/shared_layers.h"

namespace jet {

enum class Branch : char { full = 'F', swa = 'S', linear = 'L', none = 'N' };

/// One branch per layer; "FLLLSLLL" as text.
using Path = std::vector<Branch>;
std::string to_string(const Path& p);

/// Of all search items, as the recipe bounds them.
SharedLayers shared_layers_of(const Run& run);

class Supernet {
 public:
  /// `paths`: which are trained, others than the recipe's (path_sampling.h); its results are kept apart then.
  explicit Supernet(Run& run, const std::string& paths = "");
  /// Alignment of all linear branches, then random paths by feature and KL loss. Resumable.
  SupernetResult train();
  /// A path's score on one of the run's search tasks, {"accuracy", "nll", ...}: on all items, or on those of the rounds
  /// up to `round`. Each round's is remembered in the ledger.
  Json score(const Path& path, const std::string& task);
  Json score(const Path& path, const std::string& task, int round);
  /// Gives back what is kept for questions (shared_layers.h).
  void forget() { shared_.forget(), asked_.reset(); }
  int layers() const { return run_.teacher.spec().n_layers(); }
  /// Those that have branches (searched_layers); in the others every path has the base's own mixer.
  const std::vector<int>& searched() const { return searched_; }
  /// The model that a path is.
  ModelSpec spec(const Path& path) const;

  /// KL of a path to the base, mean over fixed batches of the texts; remembered in the ledger.
  double kl(const Path& path);
  /// What an objective's term counts of a path: score(), or kl() as {"nll"}, which the first round asks.
  Json term(const Path& path, const std::string& task, std::optional<int> round = {});
  /// Tokens of those batches.
  int64_t probe_tokens() const;
  /// One branch of a layer on h [B, T, hidden], in the pass that `ops` began.
  at::Tensor mixer(TorchOps& ops, Branch branch, int layer, const at::Tensor& h, States states = nullptr);

 private:
  Json remembered(const std::string& key, double passes, const std::function<Json(RunProgress::Doing&)>& f);
  std::string kl_key(const Path& path) const;
  struct Asked {
    TorchModel base, linear, window;
    at::Tensor head;
  };
  const Asked& asked();
  TaskScore ask(const Path& path, const Task& part);
  Json score_round(const Path& path, const std::string& task, int round, bool planned);
  Json score_rounds(const Path& path, const std::string& task, int last, bool all_planned);
  at::Tensor hidden(const Path& path, const TokenRows& rows);
  at::Tensor path_loss(const Part& part);
  Run& run_;
  std::string paths_, name_;
  std::vector<int> searched_;
  TorchModel linear_, window_;  // the base with a linear branch, or a sliding window, in every searched layer
  NamedTensors trained_;
  std::optional<Asked> asked_;  // the models as questions read them
  SharedLayers shared_;
};

/// The base with the branches of the recipe's supernet as they were trained in the run's folder.
TorchModel trained_branches(const Run& run);

/// The same of a recipe.
int64_t probe_tokens(const Recipe& recipe);
/// The mean KL to the base over the probe batches, of a model by what its head reads.
double probe_kl(Run& run, const std::function<at::Tensor(const TokenRows&)>& hidden);

}  // namespace jet
