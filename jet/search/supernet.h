// The supernet (Jet-Nemotron section 2.2): beside every attention layer stands a linear branch that starts from the
// attention's own q, k, v, o. The base is frozen. A path names one branch per layer; each step trains a random path.
#pragma once

#include "jet/search/run.h"

namespace jet {

enum class Branch : char { full = 'F', swa = 'S', linear = 'L', none = 'N' };

/// One branch per layer; "FLLLSLLL" as text.
using Path = std::vector<Branch>;
std::string to_string(const Path& p);

class Supernet {
 public:
  /// `paths`: which are trained, others than the recipe's (path_sampling.h); its results are kept apart then.
  explicit Supernet(Run& run, const std::string& paths = "");
  /// Alignment of all linear branches, then random paths by feature and KL loss. Resumable.
  SupernetResult train();
  /// A path's score on one of the run's search tasks: {"accuracy", "nll", ...}; remembered in the ledger.
  Json score(const Path& path, const std::string& task);
  int layers() const { return run_.teacher.spec().n_layers(); }
  /// The model that a path is.
  ModelSpec spec(const Path& path) const;

  /// KL of a path to the base, mean over fixed batches of the texts; remembered in the ledger.
  double kl(const Path& path);
  /// What an objective's term counts of a path: score(), or kl() as {"nll"}.
  Json term(const Path& path, const std::string& task);
  /// Tokens of those batches.
  int64_t probe_tokens() const;
  /// One branch of a layer on h [B, T, hidden], in the pass that `ops` began.
  at::Tensor mixer(TorchOps& ops, Branch branch, int layer, const at::Tensor& h, States states = nullptr);

 private:
  Json remembered(const std::string& key, double passes, const std::function<Json()>& f);
  at::Tensor hidden(const Path& path, const TokenRows& rows);
  at::Tensor path_loss(const Part& part);
  Run& run_;
  std::string paths_, name_;
  TorchModel linear_, window_;  // the base with a linear branch, or a sliding window, in every layer
  NamedTensors trained_;
};

/// The same of a recipe.
int64_t probe_tokens(const Recipe& recipe);

}  // namespace jet
