// A study: small models of one kind of block each, trained from nothing on made-up tasks (synthetic.h), compared at
// equal state. One TOML recipe, one command, results that go on after a kill.
//
//   every kind at every learning rate from the first seed; the best by accuracy on validation rows counts;
//   at that rate the other seeds; reported: accuracy on test rows, by load, mean and spread over the seeds
//
// A model is `first` (where given, the same for every kind, to hand each token its neighbour), then `layers` layers of
// the kind, each with an MLP, heads x dk x dv numbers of state a layer; attention gets heads x dk.
#pragma once

#include "jet/model/spec.h"
#include "jet/search/synthetic.h"

namespace jet {

struct StudyModel {
  std::string first;  // a kind with options, "attention:window=2"; empty: none
  int layers = 2, hidden = 64, mlp = 128, heads = 2, dk = 16, dv = 16;
  template <class V>
  static void fields(StudyModel& c, V&& v) {
    v("first", c.first), v("layers", c.layers, at_least(1, 1e4)), v("hidden", c.hidden, at_least(1, 1e6));
    v("mlp", c.mlp, at_least(1, 1e7)), v("heads", c.heads, at_least(1, 1e5)), v("dk", c.dk, at_least(1, 1e5));
    v("dv", c.dv, at_least(1, 1e5));
  }
};

struct StudyRecipe {
  std::string title = "Study";
  uint64_t seed = 1;
  int seeds = 3, threads = 1;
  std::vector<std::string> kinds;
  std::vector<double> lrs = {1e-3, 3e-3, 1e-2};
  int steps = 1000, step_tokens = 768;  // as many rows a step as fill step_tokens
  int test_rows = 256;                  // a load
  double warmup = 0.1, weight_decay = 0.01;
  StudyModel model{};
  std::vector<SyntheticTask> tasks;
  template <class V>
  static void fields(StudyRecipe& c, V&& v) {
    v("title", c.title), v("seed", c.seed, at_least(0, 0x1p63)), v("seeds", c.seeds, at_least(1, 1e6));
    v("threads", c.threads, at_least(0, 1e4)), v("kinds", c.kinds), v("lrs", c.lrs, above(0));
    v("steps", c.steps, at_least(1)), v("step_tokens", c.step_tokens, at_least(1, 1e8));
    v("test_rows", c.test_rows, at_least(2)), v("warmup", c.warmup, share_below_one());
    v("weight_decay", c.weight_decay, at_least(0)), v("model", c.model), v("tasks", c.tasks);
  }
  void check(const std::string& where) const;
};

/// Throws with file, line and key on anything that is not understood.
StudyRecipe read_study(const std::string& path);
/// The model of `kind` for `t`.
ModelSpec study_spec(const StudyModel& m, const std::string& kind, const SyntheticTask& t);
/// Numbers of recurrent state (without convolution tails) of a sequence; 0 where it only grows (attention).
int64_t recurrent_numbers(const ModelSpec& s);

/// Runs everything, writes OUT/study.json and OUT/study.svg, returns the tables. `trials`: shares the trainings with
/// other processes that were started on the same folder.
std::string run_study(const std::string& recipe, const std::string& out, bool trials = false);

}  // namespace jet
