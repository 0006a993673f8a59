#include "jet/engine/sampler.h"

#include <algorithm>
#include <cmath>

namespace jet {

Sampler::Sampler(const SamplerOptions& o) : options_(o), rng_(o.seed, "sampler") {
  require(std::isfinite(o.temperature) && o.temperature >= 0, "temperature is {}, expected 0 or more", o.temperature);
  require(o.top_k >= 0, "top_k is {}, expected 0 (all) or more", o.top_k);
  require(o.top_p > 0 && o.top_p <= 1, "top_p is {}, expected a number in (0, 1]", o.top_p);
}

int32_t Sampler::sample(std::span<const float> logits) {
  require(!logits.empty(), "no logits to sample from");
  const auto best = std::max_element(logits.begin(), logits.end());
  for (const float x : logits) require(!std::isnan(x), "the logits hold NaN: the weights are damaged");
  require(std::isfinite(*best), "the logits hold no finite number or an infinite one: the weights are damaged");
  if (options_.temperature == 0 || options_.top_k == 1) return static_cast<int32_t>(best - logits.begin());

  sorted_.clear();  // (probability up to a factor, id)
  for (size_t i = 0; i < logits.size(); ++i) {
    sorted_.emplace_back(std::exp((logits[i] - *best) / options_.temperature), static_cast<int32_t>(i));
  }
  // Ties go to the lower id, so that the same seed gives the same text everywhere.
  const auto likelier = [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  };
  if (options_.top_k > 0 && static_cast<size_t>(options_.top_k) < sorted_.size()) {
    std::partial_sort(sorted_.begin(), sorted_.begin() + options_.top_k, sorted_.end(), likelier);
    sorted_.resize(options_.top_k);
  }
  double total = 0;
  for (const auto& [p, id] : sorted_) total += p;
  if (options_.top_p < 1) {
    std::sort(sorted_.begin(), sorted_.end(), likelier);
    double kept = 0;
    size_t n = 0;
    while (n < sorted_.size() && kept < options_.top_p * total) kept += sorted_[n++].first;
    sorted_.resize(std::max<size_t>(n, 1));
    total = 0;
    for (const auto& [p, id] : sorted_) total += p;
  }
  double left = rng_.uniform() * total;
  for (const auto& [p, id] : sorted_) {
    left -= p;
    if (left < 0) return id;
  }
  return std::max_element(sorted_.begin(), sorted_.end(), [&](auto& a, auto& b) { return likelier(b, a); })->second;
}

bool ends_text(const ModelSpec& spec, const GenerateOptions& options, int32_t id) {
  const auto& eos = spec.eos_token_id;
  return !options.ignore_eos && std::find(eos.begin(), eos.end(), id) != eos.end();
}

std::vector<int32_t> generate(Engine& engine, Sequence& sequence, std::span<const int32_t> prompt,
                              const GenerateOptions& options, const std::function<bool(int32_t)>& on_token) {
  require(options.max_new_tokens >= 0, "max_new_tokens is {}, expected 0 or more", options.max_new_tokens);
  Sampler sampler(options.sampler);
  std::vector<int32_t> made;
  std::span<const float> logits = engine.prefill(sequence, prompt);
  while (static_cast<int>(made.size()) < options.max_new_tokens) {
    const int32_t id = sampler.sample(logits);
    if (ends_text(engine.spec(), options, id)) break;
    made.push_back(id);
    if (on_token && !on_token(id)) break;
    const bool more = static_cast<int>(made.size()) < options.max_new_tokens;
    if (!more || sequence.length() >= engine.spec().max_position_embeddings) break;
    Step step{&sequence, {&id, 1}};
    engine.forward({&step, 1});
    logits = step.logits;
  }
  return made;
}

}  // namespace jet
