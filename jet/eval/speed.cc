#include "jet/eval/speed.h"

#include <algorithm>
#include <chrono>

#include "jet/base/error.h"
#include "jet/base/rng.h"

namespace jet {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kWarmUp = 2;  // decode steps before the clock starts

std::vector<int64_t> ascending(std::vector<int64_t> contexts) {
  std::sort(contexts.begin(), contexts.end());
  contexts.erase(std::unique(contexts.begin(), contexts.end()), contexts.end());
  return contexts;
}

double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

class Meter {
 public:
  Meter(Engine& engine, const SpeedOptions& options)
      : engine_(engine), options_(options), rng_(options.seed, "speed"), deep_(engine.create()) {}

  /// Brings the common sequence to `context` tokens; false where the time for filling runs out first.
  bool fill(int64_t context) {
    while (deep_->length() < context) {
      if (filled_ > options_.fill_seconds) return false;
      const auto start = Clock::now();
      const int64_t take = std::min<int64_t>(engine_.options().prefill_chunk, context - deep_->length());
      engine_.prefill(*deep_, ids(take), Want::nothing);
      filled_ += since(start);
      tell(take);
    }
    return true;
  }

  SpeedPoint point(int64_t context) {
    const ModelSpec& spec = engine_.spec();
    const int row_bytes = static_cast<int>(size_of(engine_.options().kv));
    std::vector<double> prefill, decode;
    for (int i = 0; i < options_.repeats; ++i) {
      prefill.push_back(options_.prefill / time_prefill());
      decode.push_back(options_.decode / time_decode());
      tell(options_.prefill + kWarmUp + options_.decode);
    }
    SpeedPoint p;
    p.context = context;
    p.prefill_tps = median(prefill);
    p.prefill_flops = p.prefill_tps / options_.prefill * jet::prefill_flops(spec, context, options_.prefill);
    p.decode_tps = median(decode);
    // The mean depth of the timed steps.
    const int64_t depth = context + kWarmUp + options_.decode / 2;
    p.decode_gbs = p.decode_tps * decode_bytes(spec, engine_.weight_bytes(), depth, row_bytes) * 1e-9;
    p.cache_bytes = cache_bytes(spec, context, row_bytes);
    p.held_bytes = deep_->bytes();
    return p;
  }

 private:
  void tell(int64_t tokens) const {
    if (options_.on_tokens) options_.on_tokens(tokens);
  }

  std::vector<int32_t> ids(int64_t n) {
    std::vector<int32_t> v(n);
    for (auto& id : v) id = static_cast<int32_t>(rng_.below(engine_.spec().vocab_size));
    return v;
  }

  double time_prefill() {
    const auto sequence = deep_->fork();
    const auto prompt = ids(options_.prefill);
    const auto start = Clock::now();
    engine_.prefill(*sequence, prompt);
    return since(start);
  }

  double time_decode() {
    const auto sequence = deep_->fork();
    const auto tokens = ids(kWarmUp + options_.decode);
    auto start = Clock::now();
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (i == kWarmUp) start = Clock::now();
      Step step{sequence.get(), std::span(tokens).subspan(i, 1), Want::last};
      engine_.forward({&step, 1});
    }
    return since(start);
  }

  Engine& engine_;
  const SpeedOptions& options_;
  Rng rng_;
  std::unique_ptr<Sequence> deep_;
  double filled_ = 0;
};

void check(const ModelSpec& spec, const std::vector<int64_t>& contexts, const SpeedOptions& o) {
  require(o.prefill > 0 && o.decode > 0 && o.repeats > 0,
          "speed: prefill {}, decode {} and repeats {} must all be positive", o.prefill, o.decode, o.repeats);
  for (const int64_t c : contexts) {
    require(c >= 0, "speed: a context of {} tokens", c);
    require(c <= deepest_context(spec, o),
            "speed: context {} and {} timed tokens exceed the model's {} positions; ask for {} at most", c,
            spec.max_position_embeddings - deepest_context(spec, o), spec.max_position_embeddings,
            deepest_context(spec, o));
  }
}

/// Elements of the states that do not grow, all layers.
double fixed_state_elements(const ModelSpec& spec) {
  struct Nothing {};
  ModelState<Nothing> state;
  double n = 0;
  model_state(spec, state, [&](int, const char*, Nothing&, const StateSpec& p) {
    if (p.kind == StateSpec::fixed) n += static_cast<double>(numel(p.shape));
  });
  return n;
}

}  // namespace

Json SpeedPoint::to_json() const {
  return {{"context", context},       {"prefill_tps", prefill_tps}, {"prefill_flops", prefill_flops},
          {"decode_tps", decode_tps}, {"decode_gbs", decode_gbs},   {"cache_bytes", cache_bytes},
          {"held_bytes", held_bytes}};
}

std::vector<SpeedPoint> measure(Engine& engine, const std::vector<int64_t>& contexts, const SpeedOptions& options) {
  check(engine.spec(), contexts, options);
  Meter meter(engine, options);
  std::vector<SpeedPoint> points;
  for (const int64_t context : ascending(contexts)) {
    if (!meter.fill(context)) break;
    points.push_back(meter.point(context));
  }
  return points;
}

int64_t deepest_context(const ModelSpec& spec, const SpeedOptions& options) {
  return spec.max_position_embeddings - std::max(options.prefill, kWarmUp + options.decode);
}

int64_t tokens_to_measure(const std::vector<int64_t>& contexts, const SpeedOptions& options) {
  const auto order = ascending(contexts);
  const int64_t point = int64_t{options.repeats} * (options.prefill + kWarmUp + options.decode);
  return order.empty() ? 0 : order.back() + point * static_cast<int64_t>(order.size());
}

double decode_bytes(const ModelSpec& spec, int64_t weight_bytes, int64_t context, int row_bytes) {
  auto weights = static_cast<double>(weight_bytes);
  if (!spec.tie_word_embeddings) {
    const double embedding = static_cast<double>(spec.vocab_size - 1) * spec.hidden_size;
    weights *= 1 - embedding / static_cast<double>(parameter_count(spec));
  }
  return weights + static_cast<double>(cache_bytes(spec, context, row_bytes));
}

double prefill_flops(const ModelSpec& spec, int64_t context, int64_t tokens) {
  const double table = static_cast<double>(spec.vocab_size) * spec.hidden_size;
  const double weights = static_cast<double>(parameter_count(spec)) - table * (spec.tie_word_embeddings ? 1 : 2);
  double flops = static_cast<double>(tokens) * (2 * weights + 4 * fixed_state_elements(spec)) + 2 * table;
  for (const auto& layer : spec.layers) {
    const auto* attention = std::get_if<Attention::Config>(&layer);
    if (!attention) continue;
    double pairs = 0;
    for (int64_t t = context; t < context + tokens; ++t) {
      pairs += static_cast<double>(attention->window > 0 ? std::min<int64_t>(attention->window, t + 1) : t + 1);
    }
    flops += 4 * pairs * attention->heads * attention->head_dim;
  }
  return flops;
}

}  // namespace jet
