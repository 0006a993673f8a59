#include "jet/model/model_cost.h"

#include <algorithm>

#include "jet/model/checkpoint.h"
#include "jet/model/quantize.h"
#include "jet/model/transformer.h"

namespace jet {

Count ModelCost::layer(size_t i) const {
  Count sum;
  for (const auto& [kind, c] : layers.at(i)) sum += c;
  return sum;
}

std::map<std::string, Count> ModelCost::kinds() const {
  std::map<std::string, Count> sums;
  for (const auto& layer : layers) {
    for (const auto& [kind, c] : layer) sums[kind] += c;
  }
  return sums;
}

Count ModelCost::total() const {
  Count sum;
  for (size_t i = 0; i < layers.size(); ++i) sum += layer(i);
  return sum;
}

CountTypes engine_types(DType weights, DType kv, DType state) {
  CountTypes t;
  t.weights = [weights](const std::string&, const ParamSpec& p) {
    return p.is_matrix() ? stored_type(p, weights, DType::bf16) : DType::f32;
  };
  t.kv = kv, t.state = state;
  return t;
}

CountTypes plain_types(DType weights, int activation_bytes) {
  CountTypes t;
  t.weights = [weights](const std::string&, const ParamSpec&) { return weights; };
  t.activation_bytes = activation_bytes;
  return t;
}

namespace {

ModelWeights<CountWeight> count_weights(const ModelSpec& spec, const CountTypes& types, const IsTrained& trained) {
  ModelWeights<CountWeight> weights;
  model_params(spec, weights, [&](const std::string& name, CountWeight& w, const ParamSpec& p) {
    w = {p.shape, types.weights(name, p), true, trained(name)};
  });
  return weights;
}

}  // namespace

int64_t weight_bytes(const ModelSpec& spec, const CountTypes& types) {
  ModelWeights<CountWeight> weights = count_weights(spec, types, none_trained);
  double sum = 0;
  model_params(spec, weights, [&](const std::string&, const CountWeight& w, const ParamSpec&) { sum += w.bytes(); });
  return static_cast<int64_t>(sum);
}

ModelCost count_model(const ModelSpec& spec, const CountPass& pass, const CountTypes& types, const IsTrained& trained) {
  require(pass.sequences > 0 && pass.tokens > 0 && pass.context >= 0 && pass.chunk > 0,
          "count: {} sequences of {} tokens after {}, in chunks of {}", pass.sequences, pass.tokens, pass.context,
          pass.chunk);
  const ModelWeights<CountWeight> weights = count_weights(spec, types, trained);
  ModelState<CountState> state;
  model_state(spec, state, [](int, const char*, CountState&, const StateSpec&) {});

  CountOps ops(pass, types);
  const size_t n = spec.layers.size();
  ops.enter(n);
  const auto watch = [&](const std::string& name, int layer, const CountTensor&) {
    if (name == "hidden.embed") ops.enter(0);
    if (name == "hidden.layer") ops.enter(static_cast<size_t>(layer) + 1);
  };
  logits_forward(ops, spec, weights, CountOps::Ids{}, state, watch);
  return {ops.layers()};
}

ModelCost count_prompt(const ModelSpec& spec, int64_t context, int64_t tokens, int64_t most, const CountTypes& types) {
  ModelCost sum;
  sum.layers.resize(spec.layers.size() + 1);
  for (int64_t at = 0; at < tokens; at += most) {
    CountPass pass{.tokens = std::min(most, tokens - at), .context = context + at, .chunk = kEngineChunk};
    pass.logits = at + pass.tokens == tokens ? 1 : 0;
    const ModelCost part = count_model(spec, pass, types);
    for (size_t i = 0; i < part.layers.size(); ++i) {
      for (const auto& [kind, c] : part.layers[i]) sum.layers[i][kind] += c;
    }
  }
  return sum;
}

double token_flops(const ModelSpec& spec, int64_t context) {
  return count_model(spec, {.context = context}, engine_types(DType::bf16)).total().flops;
}

}  // namespace jet
