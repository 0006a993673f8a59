#include "jet/eval/bench.h"

#include <optional>

#include "jet/base/error.h"
#include "jet/base/threads.h"
#include "jet/eval/machine_info.h"

namespace jet {
namespace {

constexpr int64_t kMargin = int64_t{256} << 20;  // scratch, and what the system needs to breathe

double gigabytes(int64_t bytes) { return static_cast<double>(bytes) * 1e-9; }

/// Why a stage cannot run; empty where it can.
std::string obstacle(const Engine& engine, const Stage& stage, const SpeedOptions& options) {
  const int64_t positions = positions_of(stage, options), most = engine.spec().max_position_embeddings;
  if (positions > most) return fmt::format("needs {} positions, the model has {}", positions, most);
  const int64_t bytes = stage.batch * engine.sequence_bytes(positions);
  const int64_t available = available_memory();
  if (bytes + kMargin <= available) return {};
  return fmt::format("needs {:.2f} GB of state, {:.2f} GB of memory are available", gigabytes(bytes),
                     gigabytes(available));
}

class Prober {
 public:
  Prober(const BenchPlan& plan, int threads) : plan_(plan), pool_(threads), read_(pool_, plan.probe_bytes) {}

  Probe probe(std::string before) {
    return {std::move(before), read_.run(plan_.probe_passes), fma_peak(pool_, plan_.probe_passes),
            gemm_peak(pool_, plan_.type, plan_.probe_passes)};
  }
  Moment look() { return {read_.run(2).median, gemm_peak(pool_, plan_.type, 2).median}; }

 private:
  const BenchPlan& plan_;
  ThreadPool pool_;
  ReadProbe read_;
};

}  // namespace

std::vector<Stage> stages_of(const BenchPlan& plan) {
  const auto check = [](int64_t depth, int64_t count) {
    require(depth >= 0 && count >= 0, "bench: a depth of {} tokens with a prompt or batch of {}: below zero", depth,
            count);
  };
  std::vector<Stage> stages;
  for (const int64_t depth : plan.prefill_depths) {
    for (const int64_t tokens : plan.prefill) {
      check(depth, tokens);
      if (tokens > 0) stages.push_back({Stage::prefill, depth, tokens});
    }
  }
  for (const int64_t depth : plan.depths) {
    for (const int batch : plan.batches) {
      check(depth, batch);
      if (batch > 0) stages.push_back({Stage::decode, depth, 1, batch});
    }
  }
  require(!stages.empty(), "bench: nothing to measure; ask for a prompt or a batch above zero");
  return stages;
}

BenchRun run_bench(Engine& engine, const BenchPlan& plan, const std::function<void(const Stage&)>& on_stage) {
  Prober prober(plan, engine.options().threads);
  BenchRun run;
  std::optional<MachineProbe> machine;
  if (plan.predict) machine.emplace(plan.type, engine.weight_bytes(), engine.options());
  for (const Stage& stage : stages_of(plan)) {
    if (on_stage) on_stage(stage);
    if (const std::string why = obstacle(engine, stage, plan.speed); !why.empty()) {
      run.left_out.push_back(stage.label() + ": " + why);
      continue;
    }
    run.probes.push_back(prober.probe(stage.label()));
    const auto predict = [&] { return machine->measure(stage).seconds(count_stage(engine, stage, plan.speed)); };
    const double before = machine ? predict() : 0;
    run.timings.push_back(measure_stage(engine, stage, plan.speed, [&] { return prober.look(); }));
    // The machine of both moments: it drifts, and the measurement lies between them.
    if (machine) run.predicted.push_back((before + predict()) / 2);
  }
  run.probes.push_back(prober.probe("end"));
  return run;
}

}  // namespace jet
