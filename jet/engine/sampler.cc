#include "jet/engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <utility>

#include "jet/base/error.h"

namespace jet {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();
constexpr float kMost = 1e6f;  // of penalties and biases: logits stay finite

/// Calls f(id, count) once for each id.
template <class F>
void each_once(std::span<const int32_t> ids, std::vector<int32_t>& counts, F&& f) {
  for (const int32_t id : ids) ++counts[id];
  for (const int32_t id : ids) {
    if (counts[id] > 0) f(id, std::exchange(counts[id], 0));
  }
}

/// The likelier first; ties go to the lower id, so that the same seed gives the same text everywhere.
constexpr auto likelier = [](const Choice& a, const Choice& b) { return a.p != b.p ? a.p > b.p : a.id < b.id; };

double sum_of(std::span<const Choice> choices) {
  double sum = 0;
  for (const Choice& c : choices) sum += c.p;
  return sum;
}

/// Sorts from the front, as far as it is asked to: how much is wanted shows on the way.
template <class T, class Less>
class SortedFront {
 public:
  SortedFront(std::vector<T>& values, Less less) : values_(values), less_(less) {}
  const T& at(size_t i) {
    while (i >= sorted_) {
      const size_t more = std::max<size_t>(64, sorted_), most = values_.size();
      const size_t end = more >= most / 8 ? most : std::min(most, sorted_ + more);
      if (end == most) {
        std::sort(values_.begin() + sorted_, values_.end(), less_);
      } else {
        std::partial_sort(values_.begin() + sorted_, values_.begin() + end, values_.end(), less_);
      }
      sorted_ = end;
    }
    return values_[i];
  }

 private:
  std::vector<T>& values_;
  Less less_;
  size_t sorted_ = 0;
};

void keep_top_k(std::vector<Choice>& choices, size_t k) {
  if (k >= choices.size()) return;
  std::partial_sort(choices.begin(), choices.begin() + k, choices.end(), likelier);
  choices.resize(k);
}

void keep_top_p(std::vector<Choice>& choices, double p) {
  const double enough = p * sum_of(choices);
  SortedFront front(choices, likelier);
  double kept = 0;
  size_t n = 0;
  while (n < choices.size() && kept < enough) kept += front.at(n++).p;
  if (n == 0) front.at(n++);
  choices.resize(n);
}

void keep_min_p(std::vector<Choice>& choices, float min_p) {
  float most = 0;
  for (const Choice& c : choices) most = std::max(most, c.p);
  std::erase_if(choices, [&](const Choice& c) { return c.p < min_p * most; });
}

void keep_typical(std::vector<Choice>& choices, double p) {
  const double sum = sum_of(choices);
  double entropy = 0;
  for (const Choice& c : choices) {
    if (c.p > 0) entropy -= c.p / sum * std::log(c.p / sum);
  }
  const auto distance = [&](const Choice& c) { return std::abs(-std::log(c.p / sum) - entropy); };
  std::vector<std::pair<double, float>> by_distance;  // and p
  for (const Choice& c : choices) by_distance.emplace_back(distance(c), c.p);
  SortedFront front(by_distance, std::less<>());
  double kept = 0;
  size_t n = 0;
  while (n < by_distance.size() && kept < p * sum) kept += front.at(n++).second;
  const double farthest = front.at(std::max<size_t>(n, 1) - 1).first;
  std::erase_if(choices, [&](const Choice& c) { return distance(c) > farthest; });
}

void keep_allowed(const TokenSet& allowed, std::span<float> logits) {
  const auto words = allowed.words();
  require(words.size() == (logits.size() + 31) / 32, "a grammar of another vocabulary");
  for (size_t w = 0; w < words.size(); ++w) {
    const auto part = logits.subspan(w * 32, std::min<size_t>(32, logits.size() - w * 32));
    if (words[w] == 0) std::fill(part.begin(), part.end(), kNever);
    if (words[w] == 0 || ~words[w] == 0) continue;
    for (size_t i = 0; i < part.size(); ++i) part[i] = words[w] >> i & 1 ? part[i] : kNever;
  }
}

/// The greatest logit, the first of equals.
int64_t checked_greatest(std::span<const float> logits) {
  size_t best = 0;
  bool is_nan = false;
  for (size_t i = 0; i < logits.size(); ++i) {
    is_nan |= std::isnan(logits[i]);
    if (logits[i] > logits[best]) best = i;
  }
  require(!is_nan, "the logits hold NaN: the weights are damaged");
  require(std::isfinite(logits[best]), "the logits hold no finite number or an infinite one: the weights are damaged");
  return static_cast<int64_t>(best);
}

/// What the model gave: log softmax of `id`, and of the `n` likeliest.
void add_logprobs(std::span<const float> logits, int n, Draw& drawn) {
  const float best = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float l : logits) sum += std::exp(l - best);
  const double log_sum = best + std::log(sum);
  const auto logprob = [&](int32_t id) { return static_cast<float>(logits[id] - log_sum); };
  drawn.logprob = logprob(drawn.id);
  if (n == 0) return;
  std::vector<Choice> all;
  for (size_t id = 0; id < logits.size(); ++id) all.push_back({logits[id], static_cast<int32_t>(id)});
  keep_top_k(all, n);
  std::sort(all.begin(), all.end(), likelier);
  for (const Choice& c : all) drawn.top.emplace_back(c.id, logprob(c.id));
}

}  // namespace

void check_sampler(const SamplerOptions& o, const std::string& where) {
  const auto check = [&](bool holds, const char* name, float value, const char* expected) {
    require(holds, "{}{}{} is {}, expected {}", where, where.empty() ? "" : ": ", name, value, expected);
  };
  const auto bounded = [](float x) { return std::abs(x) <= kMost; };
  check(std::isfinite(o.temperature) && o.temperature >= 0, "temperature", o.temperature, "0 or more");
  check(o.top_k >= 0, "top_k", static_cast<float>(o.top_k), "0 (all) or more");
  check(o.top_p > 0 && o.top_p <= 1, "top_p", o.top_p, "a number in (0, 1]");
  check(o.min_p >= 0 && o.min_p <= 1, "min_p", o.min_p, "a number in [0, 1]");
  check(o.typical_p > 0 && o.typical_p <= 1, "typical_p", o.typical_p, "a number in (0, 1]");
  check(o.repetition_penalty >= 1 / kMost && o.repetition_penalty <= kMost, "repetition_penalty", o.repetition_penalty,
        "a number above 0, at most 1e6");
  check(bounded(o.presence_penalty), "presence_penalty", o.presence_penalty, "a number in [-1e6, 1e6]");
  check(bounded(o.frequency_penalty), "frequency_penalty", o.frequency_penalty, "a number in [-1e6, 1e6]");
  for (const auto& [id, bias] : o.logit_bias)
    check(bounded(bias) || bias == kNever, "logit_bias", bias, "a number in [-1e6, 1e6], or -inf");
  check(o.top_logprobs >= -1, "top_logprobs", static_cast<float>(o.top_logprobs), "-1 (none) or more");
}

SamplerOptions with_settings(SamplerOptions o, const SamplingSettings& asked, const SamplingSettings& model) {
  const auto set = [](auto& option, const auto& first, const auto& second) {
    if (first || second) option = first ? *first : *second;
  };
  o.temperature = 0;
  if (asked.temperature || asked.do_sample.value_or(model.do_sample.value_or(false))) {
    o.temperature = 1;
    set(o.temperature, asked.temperature, model.temperature);
  }
  set(o.top_k, asked.top_k, model.top_k);
  set(o.top_p, asked.top_p, model.top_p);
  set(o.min_p, asked.min_p, model.min_p);
  set(o.typical_p, asked.typical_p, model.typical_p);
  set(o.repetition_penalty, asked.repetition_penalty, model.repetition_penalty);
  return o;
}

LogitSteps::LogitSteps(const SamplerOptions& o, int64_t vocab) {
  for (const auto& [id, bias] : o.logit_bias) {
    require(id >= 0 && id < vocab, "logit_bias: token id {} is outside the vocabulary of {}", id, vocab);
  }
  using Logits = std::span<float>;
  if (o.grammar) {
    matcher_ = o.grammar->start();
    steps_.push_back([m = matcher_](Logits l, const History& h) { keep_allowed(m->allowed(h.made()), l); });
  }
  if (!o.logit_bias.empty()) {
    steps_.push_back([biases = o.logit_bias](Logits l, const History&) {
      for (const auto& [id, bias] : biases) l[id] += bias;
    });
  }
  if (o.repetition_penalty != 1) {
    steps_.push_back(
        [counts = std::vector<int32_t>(vocab), r = o.repetition_penalty](Logits l, const History& h) mutable {
          each_once(h.ids, counts, [&](int32_t id, int) { l[id] = l[id] > 0 ? l[id] / r : l[id] * r; });
        });
  }
  if (o.presence_penalty != 0 || o.frequency_penalty != 0) {
    steps_.push_back([counts = std::vector<int32_t>(vocab), p = o.presence_penalty, f = o.frequency_penalty](
                         Logits l, const History& h) mutable {
      each_once(h.made(), counts, [&](int32_t id, int n) { l[id] -= p + f * static_cast<float>(n); });
    });
  }
}

void LogitSteps::apply(std::span<float> logits, const History& history) const {
  for (const auto& step : steps_) step(logits, history);
  require(std::any_of(logits.begin(), logits.end(), [](float l) { return std::isfinite(l); }),
          "biases and the grammar leave no token that may be next");
}

Sampler::Sampler(const SamplerOptions& o, int64_t vocab)
    : options_(o), logit_steps_(o, vocab), rng_(o.seed, "sampler") {
  check_sampler(o);
  using Choices = std::vector<Choice>;
  if (o.top_k > 0) cuts_.push_back([k = o.top_k](Choices& c) { keep_top_k(c, k); });
  if (o.top_p < 1) cuts_.push_back([p = o.top_p](Choices& c) { keep_top_p(c, p); });
  if (o.min_p > 0) cuts_.push_back([p = o.min_p](Choices& c) { keep_min_p(c, p); });
  if (o.typical_p < 1) cuts_.push_back([p = o.typical_p](Choices& c) { keep_typical(c, p); });
}

Draw Sampler::draw(std::span<const float> logits, const History& history) {
  const auto among = choices(logits, history);
  double left = rng_.uniform() * sum_of(among);
  auto drawn = among.begin();
  while (drawn != among.end() && (left -= drawn->p) >= 0) ++drawn;
  if (drawn == among.end()) drawn = std::min_element(among.begin(), among.end(), likelier);  // rounding
  Draw made{drawn->id};
  if (options_.top_logprobs >= 0) add_logprobs(logits, options_.top_logprobs, made);
  return made;
}

std::span<const Choice> Sampler::choices(std::span<const float> logits, const History& history) {
  require(!logits.empty(), "no logits to sample from");
  int64_t best = checked_greatest(logits);
  if (!logit_steps_.empty()) {
    changed_.assign(logits.begin(), logits.end());
    logit_steps_.apply(changed_, history);
    logits = changed_;
    best = std::max_element(logits.begin(), logits.end()) - logits.begin();
  }
  choices_.clear();
  if (options_.temperature == 0 || options_.top_k == 1) {
    choices_.push_back({1, static_cast<int32_t>(best)});
    return choices_;
  }
  for (size_t i = 0; i < logits.size(); ++i) {
    choices_.push_back({std::exp((logits[i] - logits[best]) / options_.temperature), static_cast<int32_t>(i)});
  }
  for (const auto& cut : cuts_) cut(choices_);
  return choices_;
}

}  // namespace jet
