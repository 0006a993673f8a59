// A model run layer by layer over a fixed set of rows of tokens, all of them through one layer before the next: what a
// layer's matrices are given can be looked at, and the matrices be exchanged, before its output is made. Activations
// are fp32; a layer's states and scratch memory are those of a few rows at a time.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "jet/base/threads.h"
#include "jet/engine/cpu/cpu_ops.h"
#include "jet/engine/cpu/weights.h"
#include "jet/model/checkpoint.h"

namespace jet {

/// What is called before a matrix is applied: its inputs and itself.
using SeeInput = std::function<void(const CpuTensor& x, const CpuWeight& w)>;

/// CpuOps with an eye on linear(), and with a first_of_pass() that outlives a layer.
class LayerOps : public CpuOps {
 public:
  using CpuOps::CpuOps;
  SeeInput see;
  std::vector<float>* first = nullptr;  // of the rows that run
  bool makes_first = true;              // no layer before this one called first_of_pass()
  bool called_first = false;

  Tensor linear(const Tensor& x, const Weight& w, const Weight& bias = {}) {
    if (see) see(x, w);
    return CpuOps::linear(x, w, bias);
  }
  Tensor gated_linear(Activation act, const Tensor& x, const Weight& gate, const Weight& up) {
    const Tensor g = linear(x, gate), u = linear(x, up);
    return gated_product(*this, act, g, u);
  }
  Tensor first_of_pass(const Tensor& x);
};

class LayerRunner {
 public:
  /// What stands between two layers.
  struct Rows {
    std::vector<float> hidden;              // [ids, hidden_size]
    std::vector<std::vector<float>> first;  // of each batch, what first_of_pass() kept
    int first_layer = -1;                   // which called it first
  };

  /// `ids` are rows of `length` tokens, each a sequence of its own; `length` divides their number.
  LayerRunner(const Checkpoint& checkpoint, std::vector<int32_t> ids, int length, ThreadPool& pool);

  const ModelSpec& spec() const { return spec_; }
  int64_t tokens() const { return static_cast<int64_t>(ids_.size()); }
  ThreadPool& pool() { return pool_; }
  LayerOps& ops() { return ops_; }
  /// The handle of a matrix, which may be pointed at other numbers.
  CpuWeight& weight(const std::string& name) { return *handles_.at(name); }

  Rows embed();
  /// rows.hidden through a layer; `see` may be empty. `keep`: they become its output; otherwise they stay.
  void layer(int i, Rows& rows, bool keep, const SeeInput& see);
  /// What the head reads, some rows at a time; f(inputs [rows, hidden], first row).
  void head_inputs(const Rows& rows, const std::function<void(const CpuTensor& x, int64_t first)>& f);
  CpuTensor head(const CpuTensor& x);

 private:
  void each_batch(int i, const std::function<void(int64_t batch, int64_t first, int64_t rows)>& f);

  ModelSpec spec_;
  std::vector<int32_t> ids_;
  int length_;
  ThreadPool& pool_;
  Arena arena_;
  OpMeter meter_;
  LayerOps ops_;
  LoadedWeights loaded_;
  std::map<std::string, CpuWeight*> handles_;
};

}  // namespace jet
