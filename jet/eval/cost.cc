#include "jet/eval/cost.h"

#include <algorithm>

#include "jet/base/error.h"

namespace jet {
namespace {

constexpr int64_t kBeyondCaches = int64_t{192} << 20;
constexpr int64_t kSmallModel = int64_t{64} << 20;
constexpr int64_t kPromptTokens = 128;
constexpr int kRepeats = 3;

/// Attention and JetBlock by turns, as many as fill `bytes`: every kind of op that a block can ask for.
ModelSpec probe_spec(int hidden, int head_dim, int mlp, DType type, int64_t bytes) {
  ModelSpec s;
  s.vocab_size = 1024, s.hidden_size = hidden, s.intermediate_size = mlp, s.max_position_embeddings = 8192;
  const int heads = hidden / head_dim;
  const Attention::Config attention{.heads = heads, .kv_heads = 2, .head_dim = head_dim};
  const JetBlock::Config linear{.heads = heads, .dk = head_dim / 2, .dv = head_dim, .generator = head_dim};
  const int64_t rest = weight_bytes(s, engine_types(type));  // embedding and norm
  s.layers = {attention, linear};
  const int64_t pair = weight_bytes(s, engine_types(type)) - rest;
  const int64_t pairs = std::max<int64_t>(1, (bytes - rest + pair / 2) / pair);
  for (int64_t i = 1; i < pairs; ++i) s.layers.insert(s.layers.end(), {attention, linear});
  return s;
}

bool reads_memory(const std::string& kind) {
  return kind.starts_with("linear") || kind.ends_with("attention") || kind == "recurrence";
}

double work_of(Stage::Kind stage, const std::string& kind, const Count& c) {
  if (!reads_memory(kind)) return c.weight_bytes + c.activation_bytes;
  return stage == Stage::prefill ? c.flops : c.weight_bytes + c.state_bytes();
}

struct Probed {
  std::map<std::string, RateSample> kinds;
  double rest = 0;  // seconds an op
};

/// One stage, metered, often enough to take some tens of milliseconds: what a neighbour takes of the machine is taken
/// of the measured model, too.
Probed probe(Engine& engine, const Stage& stage) {
  const auto step_estimate = static_cast<double>(engine.weight_bytes()) * 1e-10;
  const SpeedOptions options{.decode = static_cast<int>(std::clamp(0.03 / step_estimate, 4.0, 40.0)), .repeats = 1};
  const auto counted = count_stage(engine, stage, options);
  Probed sum;
  for (int i = 0; i < kRepeats; ++i) {
    const Timing t = measure_stage(engine, stage, options);
    const double passes = kRepeats * static_cast<double>(t.metered_passes);
    double rest = t.metered_seconds, ops = 0;
    for (const auto& [kind, totals] : t.kinds) {
      const Count& c = counted.at(kind);
      RateSample& s = sum.kinds[kind];
      s.ops = static_cast<double>(c.ops), s.work = work_of(stage.kind, kind, c), s.seconds += totals.seconds / passes;
      rest -= totals.seconds, ops += s.ops;
    }
    sum.rest += std::max(0.0, rest) / passes / ops;
  }
  return sum;
}

}  // namespace

KindRate fit_rate(const RateSample& small, const RateSample& large) {
  require(small.ops > 0 && large.ops > 0 && small.work > 0 && large.work > 0 && small.seconds > 0 && large.seconds > 0,
          "a rate is fitted to samples of no ops, work or time");
  // seconds = ops * overhead + work * slope
  const double determinant = small.ops * large.work - large.ops * small.work;
  double overhead = (small.seconds * large.work - large.seconds * small.work) / determinant;
  double slope = (small.ops * large.seconds - large.ops * small.seconds) / determinant;
  if (determinant == 0 || overhead < 0) {
    overhead = 0, slope = (small.seconds + large.seconds) / (small.work + large.work);
  } else if (slope <= 0) {
    slope = large.seconds / large.work;
    overhead = std::max(0.0, (small.seconds - slope * small.work) / small.ops);
  }
  return {overhead, 1 / slope};
}

double Machine::seconds(const std::map<std::string, Count>& pass) const {
  double sum = 0;
  for (const auto& [kind, c] : pass) {
    if (kind == "embed" || kind == "copy") continue;  // among the rest
    const auto found = kinds.find(kind == "window attention" ? "attention" : kind);
    require(found != kinds.end(), "predict: '{}' was not measured; the model's weights are of another type", kind);
    const auto ops = static_cast<double>(c.ops);
    sum += ops * (found->second.overhead + rest) + work_of(stage, kind, c) / found->second.rate;
  }
  return sum;
}

MachineProbe::MachineProbe(DType weights, int64_t weight_bytes, const EngineOptions& options) {
  const int64_t bytes = std::min(weight_bytes, kBeyondCaches);
  small_ = Engine::random(probe_spec(256, 64, 704, weights, bytes), 1, weights, options);
  const bool small = bytes < kSmallModel;
  large_ =
      Engine::random(probe_spec(small ? 512 : 1536, 128, small ? 1408 : 6144, weights, bytes), 1, weights, options);
}

Machine MachineProbe::measure(const Stage& stage) {
  Stage like = stage;
  like.depth = stage.kind == Stage::prefill ? 0 : std::clamp<int64_t>(stage.depth, 256, 4096);
  like.tokens = std::min(stage.tokens, kPromptTokens);
  const Probed small = probe(*small_, like), large = probe(*large_, like);
  Machine m{.stage = stage.kind};
  for (const auto& [kind, sample] : large.kinds) m.kinds[kind] = fit_rate(small.kinds.at(kind), sample);
  m.rest = std::min(small.rest, large.rest);
  return m;
}

double predict_decode(const ModelSpec& spec, const Machine& machine, int64_t context, int batch,
                      const CountTypes& types) {
  return batch / machine.seconds(count_model(spec, {.sequences = batch, .context = context}, types).kinds());
}

double predict_prefill(const ModelSpec& spec, const Machine& machine, int64_t context, int64_t tokens, int64_t most,
                       const CountTypes& types) {
  return static_cast<double>(tokens) / machine.seconds(count_prompt(spec, context, tokens, most, types).kinds());
}

}  // namespace jet
