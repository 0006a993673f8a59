// The teacher: the frozen full-attention model that a search starts from. Students are made of it (student.h) and are
// taught by what it makes of the same rows: every layer's mixer outputs, and its probabilities of the next token.
//
// These can be kept on disk for runs that repeat data: all candidates of a run see the same texts in the same order, so
// it needs to run once for all of them. A file a row, written as a whole or not at all, by any process:
//
//   KEPT/<stream>-<length>-<k>/<step>-<row>.safetensors:      ids [T - 1, k] i32, log_p [T - 1, k], log_rest [T - 1]
//   KEPT/<stream>-<length>-mixers/<step>-<row>.safetensors:   in.<layer>, out.<layer> [T, hidden] bf16
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "jet/search/training_data.h"

namespace jet {

/// As a recipe wants frozen weights: fp32 in memory, or as they lie in the file, on the CPU mapped.
TorchModel load_frozen(const std::string& folder, const Recipe& recipe, at::Device device);

class Teacher {
 public:
  /// `kept`: the folder of targets that are kept. Borrows `ops`, on whose device the teacher is.
  Teacher(std::string folder, const Recipe& recipe, TorchOps& ops, std::string kept);

  /// What it makes of a part of a batch.
  Trace trace(const TorchBatch& b) const { return teach(ops, model, b.rows, b.states("teacher")); }
  /// Its `k` greatest probabilities at every position of the part's rows: read, or, where a row is not there, made and
  /// written.
  Targets targets(const std::string& stream, const Part& part, const TorchBatch& rows, int k) const;
  /// What goes into the mixers of `layers` and comes out of them, of the part's rows, rounded to bf16: read, or, where
  /// a row is not there, made and written for every layer.
  Trace activations(const std::string& stream, const Part& part, const TorchBatch& rows,
                    const std::vector<int>& layers) const;

  const std::string& folder() const { return folder_; }
  const ModelSpec& spec() const { return model.spec; }

  TorchOps& ops;
  TorchModel model;

 private:
  using Row = std::vector<std::pair<std::string, at::Tensor>>;  // the tensors of a file
  /// The files of a part's rows; where one is not there, all are written with what `make` gives.
  std::vector<SafeTensors> kept_rows(const std::string& stream, int64_t length, const std::string& what,
                                     const Part& part, const std::function<std::vector<Row>()>& make) const;

  std::string folder_, kept_;
};

}  // namespace jet
