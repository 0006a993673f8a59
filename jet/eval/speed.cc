#include "jet/eval/speed.h"

#include <algorithm>
#include <chrono>

#include "jet/base/error.h"
#include "jet/base/rng.h"
#include "jet/eval/machine.h"

namespace jet {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kWarmUp = 2;           // decode steps before the clock starts
constexpr int64_t kWarmTokens = 32;  // of a prompt, likewise

double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// Runs one stage again and again, each time from the same depth and on the same memory.
class StageRunner {
 public:
  StageRunner(Engine& engine, const Stage& stage, const SpeedOptions& options)
      : engine_(engine), stage_(stage), options_(options), rng_(options.seed, "speed") {
    for (int i = 0; i < stage.batch; ++i) sequences_.push_back(engine.create());
  }

  /// Seconds of the prompt, or of all steps; `metered`: with the engine's meter on.
  double run(bool metered) {
    for (size_t i = 0; i < sequences_.size(); ++i) sequences_[i]->fill_synthetic(stage_.depth, options_.seed + i);
    const int64_t n = stage_.kind == Stage::prefill ? stage_.tokens : options_.decode;
    std::vector<int32_t> ids = random_ids(n * stage_.batch);
    if (stage_.kind == Stage::decode) run_steps(random_ids(kWarmUp * stage_.batch));
    engine_.meter().totals.clear();
    engine_.meter().on = metered;
    const auto start = Clock::now();
    if (stage_.kind == Stage::prefill) {
      engine_.prefill(*sequences_[0], ids);
    } else {
      run_steps(ids);
    }
    const double seconds = since(start);
    engine_.meter().on = false;
    return seconds;
  }

  /// A short prompt for nothing: pages are touched, scratch has grown.
  void warm_up() {
    if (stage_.kind == Stage::decode) return;
    sequences_[0]->fill_synthetic(stage_.depth, options_.seed);
    engine_.prefill(*sequences_[0], random_ids(std::min(kWarmTokens, stage_.tokens)));
  }

  int64_t passes() const { return stage_.kind == Stage::prefill ? 1 : options_.decode; }

  int64_t held_bytes() const {
    int64_t n = 0;
    for (const auto& s : sequences_) n += s->bytes();
    return n;
  }

 private:
  std::vector<int32_t> random_ids(int64_t n) {
    std::vector<int32_t> v(n);
    for (auto& id : v) id = static_cast<int32_t>(rng_.below(engine_.spec().vocab_size));
    return v;
  }

  void run_steps(const std::vector<int32_t>& ids) {
    std::vector<Step> steps(sequences_.size());
    for (size_t at = 0; at < ids.size(); at += steps.size()) {
      for (size_t i = 0; i < steps.size(); ++i) {
        steps[i].sequence = sequences_[i].get();
        steps[i].ids = std::span(ids).subspan(at + i, 1);
      }
      engine_.forward(steps);
    }
  }

  Engine& engine_;
  const Stage& stage_;
  const SpeedOptions& options_;
  Rng rng_;
  std::vector<std::unique_ptr<Sequence>> sequences_;
};

void check(const Engine& engine, const Stage& stage, const SpeedOptions& options) {
  require(stage.tokens > 0 && stage.batch > 0 && options.decode > 0 && options.repeats > 0,
          "{}: tokens {}, batch {}, steps {} and repeats {} must all be positive", stage.label(), stage.tokens,
          stage.batch, options.decode, options.repeats);
  require(stage.depth >= 0, "{}: a depth of {} tokens", stage.label(), stage.depth);
  const int64_t positions = positions_of(stage, options), most = engine.spec().max_position_embeddings;
  require(positions <= most, "{}: needs {} positions, the model has {}", stage.label(), positions, most);
}

/// Seconds of a prompt or step, by engine and turn.
std::vector<std::vector<double>> turns(const std::vector<Engine*>& engines, const Stage& stage,
                                       const SpeedOptions& options) {
  std::vector<std::unique_ptr<StageRunner>> runners;
  for (Engine* e : engines) {
    check(*e, stage, options);
    runners.push_back(std::make_unique<StageRunner>(*e, stage, options));
    runners.back()->warm_up();
  }
  std::vector<std::vector<double>> seconds(engines.size());
  for (int turn = 0; turn < options.repeats; ++turn) {
    for (size_t e = 0; e < engines.size(); ++e) {
      seconds[e].push_back(runners[e]->run(false) / static_cast<double>(runners[e]->passes()));
    }
  }
  return seconds;
}

}  // namespace

std::string Stage::label() const {
  if (kind == prefill) return fmt::format("prefill {} @{}", tokens, depth);
  return batch == 1 ? fmt::format("decode @{}", depth) : fmt::format("decode x{} @{}", batch, depth);
}

int64_t positions_of(const Stage& stage, const SpeedOptions& options) {
  return stage.depth + (stage.kind == Stage::prefill ? stage.tokens : kWarmUp + options.decode);
}

Timing measure_stage(Engine& engine, const Stage& stage, const SpeedOptions& options,
                     const std::function<Moment()>& look) {
  check(engine, stage, options);
  StageRunner runner(engine, stage, options);
  Timing t{.stage = stage};
  runner.warm_up();
  const auto note_moment = [&] {
    if (look) t.moments.push_back(look());
  };
  note_moment();
  for (int i = 0; i < options.repeats; ++i) {
    t.seconds.push_back(runner.run(false) / static_cast<double>(runner.passes()));
    note_moment();
  }
  t.work = work_of(engine, stage, options);
  t.cache_bytes = stage.batch * engine.sequence_bytes(stage.depth);
  t.held_bytes = runner.held_bytes();
  t.metered_seconds = runner.run(true);
  note_moment();
  t.metered_passes = runner.passes();
  t.kinds = engine.meter().totals;
  return t;
}

std::vector<std::vector<SpeedPoint>> measure_by_turns(const std::vector<Engine*>& engines,
                                                      const std::vector<int64_t>& contexts,
                                                      const SpeedOptions& options) {
  std::vector<int64_t> order = contexts;
  std::sort(order.begin(), order.end());
  order.erase(std::unique(order.begin(), order.end()), order.end());
  std::vector<std::vector<SpeedPoint>> points(engines.size());
  for (const int64_t context : order) {
    const auto prompts = turns(engines, {Stage::prefill, context, options.prefill}, options);
    const auto steps = turns(engines, {Stage::decode, context, 1, options.batch}, options);
    for (size_t e = 0; e < engines.size(); ++e) {
      std::vector<double> ratios;
      for (size_t i = 0; i < steps[e].size(); ++i) ratios.push_back(steps[0][i] / steps[e][i]);
      points[e].push_back({context, options.prefill / median(prompts[e]), options.batch / median(steps[e]),
                           median(ratios), engines[e]->sequence_bytes(context)});
    }
  }
  return points;
}

std::map<std::string, Count> count_stage(const Engine& engine, const Stage& stage, const SpeedOptions& options) {
  const ModelSpec& spec = engine.spec();
  const CountTypes types = engine.count_types();
  if (stage.kind == Stage::prefill) {
    return count_prompt(spec, stage.depth, stage.tokens, engine.options().prefill_chunk, types).kinds();
  }
  const int64_t mean_depth = stage.depth + kWarmUp + options.decode / 2;  // of the timed steps
  return count_model(spec, {.sequences = stage.batch, .context = mean_depth}, types).kinds();
}

Work work_of(const Engine& engine, const Stage& stage, const SpeedOptions& options) {
  Work work;
  for (const auto& [kind, c] : count_stage(engine, stage, options)) {
    work.bytes += c.weight_bytes + c.state_read_bytes;
    work.flops += c.flops;
  }
  return work;
}

}  // namespace jet
