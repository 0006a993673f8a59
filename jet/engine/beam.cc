#include "jet/engine/beam.h"

#include <algorithm>
#include <cmath>

namespace jet {

EarlyStopping early_stopping_from(const std::string& text) {
  if (text == "true") return EarlyStopping::yes;
  if (text == "never") return EarlyStopping::never;
  require(text == "false", "early_stopping is '{}' (known: true, false, never)", text);
  return EarlyStopping::no;
}

namespace {

struct Running {
  std::vector<int32_t> ids;
  float score = 0;
  std::unique_ptr<Sequence> sequence;  // the prompt and all ids but the last
};

struct Candidate {
  float score = 0;
  int32_t beam = 0, id = 0;
};

/// What turns the logits of a running beam into scores of its continuations.
struct Scores {
  std::span<const float> logits;
  float best = 0, log_sum = 0, so_far = 0;
  float of(int64_t id) const { return (logits[id] - best - log_sum) + so_far; }
};

Scores log_softmax(std::span<const float> x, float so_far) {
  const float best = *std::max_element(x.begin(), x.end());
  require(std::isfinite(best), "the logits hold no finite number or an infinite one: the weights are damaged");
  double sum = 0;
  for (const float v : x) sum += std::exp(v - best);
  require(std::isfinite(sum), "the logits hold NaN: the weights are damaged");
  return {x, best, static_cast<float>(std::log(sum)), so_far};
}

class Search {
 public:
  Search(Engine& engine, const BeamOptions& options, std::span<const int32_t> prompt, int64_t most_tokens)
      : engine_(engine), options_(options), prompt_(prompt), most_tokens_(most_tokens),
        vocab_(engine.spec().vocab_size), steps_(options.sampler, vocab_),
        eos_(options.ends ? std::span<const int>(*options.ends) : ends_of_text(engine, options.ignore_eos)) {
    kept_ = std::max<int64_t>(2, 1 + static_cast<int64_t>(eos_.size())) * options.num_beams;
    require(kept_ <= vocab_, "num_beams is {}, too many for a vocabulary of {}", options.num_beams, vocab_);
  }

  std::vector<Beam> run(Sequence& sequence, std::span<const float> logits) {
    running_.push_back({});
    score({&logits, 1});
    for (int64_t n = 1;; ++n) {
      const bool at_limit = n == most_tokens_;
      const std::vector<Candidate> chosen = choose(n, at_limit);
      std::stable_sort(finished_.begin(), finished_.end(), [](auto& a, auto& b) { return a.score > b.score; });
      if (static_cast<int>(finished_.size()) > options_.num_beams) finished_.resize(options_.num_beams);
      if (at_limit || !can_improve(chosen.front().score, n)) return std::move(finished_);
      go_on(chosen, sequence);
    }
  }

 private:
  /// From the logits after each running beam.
  void score(std::span<const std::span<const float>> logits) {
    scores_.clear();
    changed_.resize(steps_.empty() ? 0 : running_.size());
    for (size_t i = 0; i < running_.size(); ++i) {
      Scores s = log_softmax(logits[i], running_[i].score);
      if (!steps_.empty()) {
        std::vector<float>& changed = changed_[i];
        changed.resize(vocab_);
        for (int64_t id = 0; id < vocab_; ++id) changed[id] = s.logits[id] - s.best - s.log_sum;
        std::vector<int32_t> text(prompt_.begin(), prompt_.end());
        text.insert(text.end(), running_[i].ids.begin(), running_[i].ids.end());
        steps_.apply(changed, {text, prompt_.size()});
        s = {changed, 0, 0, s.so_far};
      }
      scores_.push_back(s);
    }
  }

  bool is_eos(int32_t id) const { return std::find(eos_.begin(), eos_.end(), id) != eos_.end(); }

  /// Finishes what ends with its n-th token; returns the best others.
  std::vector<Candidate> choose(int64_t n, bool at_limit) {
    std::vector<Candidate> all;
    all.reserve(running_.size() * vocab_);
    for (size_t b = 0; b < running_.size(); ++b) {
      for (int64_t id = 0; id < vocab_; ++id) {
        all.push_back({scores_[b].of(id), static_cast<int32_t>(b), static_cast<int32_t>(id)});
      }
    }
    const auto better = [](const Candidate& a, const Candidate& b) {
      if (a.score != b.score) return a.score > b.score;
      return a.beam != b.beam ? a.beam < b.beam : a.id < b.id;
    };
    std::partial_sort(all.begin(), all.begin() + kept_, all.end(), better);
    std::vector<Candidate> chosen;
    for (int64_t i = 0; i < kept_; ++i) {
      const Candidate& c = all[i];
      const bool ends = is_eos(c.id);
      if (!ends && !at_limit) {
        if (static_cast<int>(chosen.size()) < options_.num_beams) chosen.push_back(c);
      } else if (i < options_.num_beams) {
        const Finish finish = ends ? Finish::eos : n == options_.max_new_tokens ? Finish::length : Finish::context;
        Beam beam{running_[c.beam].ids, c.score / std::pow(static_cast<float>(n), options_.length_penalty), finish};
        (ends ? beam.end : beam.ids.emplace_back()) = c.id;
        finished_.push_back(std::move(beam));
      }
    }
    return chosen;
  }

  bool can_improve(float best_running, int64_t n) const {
    if (static_cast<int>(finished_.size()) < options_.num_beams) return true;
    if (options_.early_stopping == EarlyStopping::yes) return false;
    const bool looks_ahead = options_.early_stopping == EarlyStopping::never && options_.length_penalty > 0;
    const auto length = static_cast<float>(looks_ahead ? most_tokens_ : n);
    return best_running / std::pow(length, options_.length_penalty) > finished_.back().score;
  }

  /// Runs the chosen continuations; a beam that nothing else goes on from hands its sequence over.
  void go_on(const std::vector<Candidate>& chosen, const Sequence& prompt) {
    std::vector<int> users(running_.size());
    for (const Candidate& c : chosen) ++users[c.beam];
    std::vector<Running> next;
    for (const Candidate& c : chosen) {
      Running& from = running_[c.beam];
      Running& to = next.emplace_back(Running{from.ids, c.score, nullptr});
      to.ids.push_back(c.id);
      const bool is_last = --users[c.beam] == 0;
      to.sequence = !from.sequence ? prompt.fork() : is_last ? std::move(from.sequence) : from.sequence->fork();
    }
    running_ = std::move(next);
    std::vector<Step> steps;
    for (const Running& r : running_) steps.push_back({r.sequence.get(), std::span(r.ids).last(1)});
    if (options_.before_pass) options_.before_pass();
    engine_.forward(steps);
    std::vector<std::span<const float>> logits;
    for (const Step& s : steps) logits.push_back(s.logits);
    score(logits);
  }

  Engine& engine_;
  const BeamOptions& options_;
  std::span<const int32_t> prompt_;
  int64_t most_tokens_, vocab_, kept_ = 0;
  LogitSteps steps_;
  std::span<const int> eos_;
  std::vector<Running> running_;             // best first
  std::vector<Scores> scores_;               // of each one's continuations
  std::vector<std::vector<float>> changed_;  // log softmax after steps_, where there are any
  std::vector<Beam> finished_;               // best first
};

}  // namespace

std::vector<Beam> beam_search(Engine& engine, Sequence& sequence, std::span<const int32_t> prompt,
                              const BeamOptions& o) {
  require(o.num_beams > 0, "num_beams is {}, expected 1 or more", o.num_beams);
  require(std::isfinite(o.length_penalty), "length_penalty is {}, expected a finite number", o.length_penalty);
  check_sampler(o.sampler);
  const auto read = sequence.length() + static_cast<int64_t>(prompt.size());
  const int64_t most = most_new_tokens(engine, read, o.max_new_tokens);
  const std::span<const float> logits = engine.prefill(sequence, prompt);
  if (o.max_new_tokens == 0) return {Beam{.finish = Finish::length}};
  return Search(engine, o, prompt, most).run(sequence, logits);
}

}  // namespace jet
