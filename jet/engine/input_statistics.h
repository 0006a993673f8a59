// X^T X of what a layer's matrices are given.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "jet/engine/layer_runner.h"

namespace jet {

/// Matrices with the same inputs, and H = X^T X of these.
struct InputGroup {
  std::vector<std::string> matrices;
  int64_t cols = 0;
  std::vector<float> h;  // [cols, cols]
};

class InputStatistics {
 public:
  InputStatistics(LayerRunner& runner, const std::vector<std::string>& matrices);
  /// A SeeInput; matrices that were not named are passed over.
  void add(const CpuTensor& x, const CpuWeight& w);
  /// Of the matrices that were applied to something.
  std::vector<InputGroup>& groups() { return groups_; }

 private:
  struct Seen {
    std::string name;
    int group = -1;
    bool leads = false;  // others of the group are given the same right after it
  };
  void accumulate(InputGroup& group, const CpuTensor& x);

  ThreadPool& pool_;
  std::map<const void*, Seen> seen_;  // by the matrix's numbers
  std::vector<InputGroup> groups_;
  std::vector<std::pair<CpuTensor, int>> inputs_;  // and their groups; kept, so that no other input takes their memory
};

}  // namespace jet
