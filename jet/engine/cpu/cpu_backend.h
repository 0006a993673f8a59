// The backend of CPU cores.
#pragma once

#include "jet/base/threads.h"
#include "jet/engine/backend.h"
#include "jet/engine/cpu/cpu_ops.h"
#include "jet/engine/cpu/weights.h"

namespace jet {

class CpuBackend : public Backend {
 public:
  CpuBackend(ModelSpec spec, EngineOptions options);
  void load(Checkpoint checkpoint) override { loaded_ = load_weights(std::move(checkpoint)); }
  void randomize(uint64_t seed, DType matrices) override { loaded_ = random_weights(spec_, seed, matrices, pool_); }
  int threads() const override { return pool_.size(); }
  int64_t weight_bytes() const override { return loaded_.bytes; }
  uint64_t weight_hash() const override { return loaded_.hash; }
  CountTypes count_types() const override;
  OpMeter& meter() override { return meter_; }
  std::unique_ptr<SequenceState> create_state(std::shared_ptr<const StateLayout> layout) const override {
    return std::make_unique<CpuSequenceState>(std::move(layout));
  }
  std::span<const float> run(std::span<const Segment> segments, std::span<const int32_t> ids, const See& see) final;

 protected:
  /// The pass itself, after begin().
  virtual CpuTensor forward(std::span<const int32_t> ids, const See& see);
  static std::span<const float> numbers(const CpuTensor& x) {
    return {x.data, static_cast<size_t>(x.rows * x.dims.count())};
  }
  const ModelSpec& spec() const { return spec_; }
  CpuOps& ops() { return ops_; }
  const ModelWeights<CpuWeight>& weights() const { return loaded_.weights; }

 private:
  ModelSpec spec_;
  EngineOptions options_;
  ThreadPool pool_;
  Arena arena_;
  OpMeter meter_;
  CpuOps ops_;
  LoadedWeights loaded_;
  ModelState<CpuState> state_;  // indices into a sequence's stores
  CpuTensor logits_;
};

}  // namespace jet
