// Made-up tasks that tell token mixers apart. Every row is a pure function of (task, load, seed, label, step, row).
// Some positions are asked: their target is what the model has to say there; it is never an input that comes later.
//
//   mqar          k1 v1 k2 v2 ... kP vP | q1 ... qP           load: pairs P. Each key is asked once, in random order
//   noisy_recall  the same, a share `noise` of the context is noise between the pairs
//   needle        the same with `pairs` pairs in a context of `load` tokens
//   copy          s1 ... sn | s1 ... s(n-1)                   load: symbols n. From the bar on: the next symbol
//   parity        b1 ... bn                                   load: bits n. b1 xor ... xor bi at every i; in tests only
//                                                             in the second half, where a short memory does not help
//
// Tokens: keys [0, V), values [V, 2V), noise [2V, 2V + noise_tokens); symbols [0, V), the bar V; bits 0 and 1.
#pragma once

#include <string>
#include <vector>

#include "jet/base/json.h"
#include "jet/base/rng.h"

namespace jet {

struct SyntheticTask {
  std::string kind = "mqar";
  std::vector<int> train = {8}, test;  // loads: trained on in turn, a step each; measured (empty: those of train)
  int vocabulary = 64, noise_tokens = 16, pairs = 1;
  double noise = 0.5;
  template <class V>
  static void fields(SyntheticTask& c, V&& v) {
    v("kind", c.kind), v("train", c.train, at_least(2, 1 << 20)), v("test", c.test, at_least(2, 1 << 20));
    v("vocabulary", c.vocabulary, at_least(2, 1e8)), v("noise_tokens", c.noise_tokens, at_least(1, 1e8));
    v("pairs", c.pairs, at_least(1, 1e8)), v("noise", c.noise, at_least(0, 0.99));
  }
  /// Throws where a load cannot be made, or the kind is unknown.
  void check(const std::string& where) const;
  const std::vector<int>& tested() const { return test.empty() ? train : test; }
};

/// What the task's loads count: "pairs", "symbols", ...
const char* load_unit(const SyntheticTask& t);
int vocabulary_size(const SyntheticTask& t);

/// Equally long: ids, and targets, -1 where nothing is asked. Rows of one load are alike in length and in the number of
/// asked positions.
struct SyntheticRow {
  std::vector<int64_t> ids, targets;
};
/// `label` names the stream: "train", or anything else for a test.
SyntheticRow synthetic_row(const SyntheticTask& t, int load, uint64_t seed, const std::string& label, int64_t step,
                           int64_t row);

}  // namespace jet
