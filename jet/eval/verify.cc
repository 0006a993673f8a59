#include "jet/eval/verify.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "jet/engine/generate.h"

namespace jet {

namespace {

// Two right fp32 implementations of these models differ by up to 1e-4.
constexpr double kTolerance = 2e-4;

double difference(std::span<const float> got, std::span<const float> want) {
  if (got.size() != want.size()) return std::numeric_limits<double>::infinity();
  double worst = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double d = std::abs(double{got[i]} - want[i]);
    if (!(d <= worst)) worst = std::isnan(d) ? std::numeric_limits<double>::infinity() : d;
  }
  return worst;
}

struct Input : GoldenInput {
  std::vector<int32_t> ids{};  // [batch, tokens]
  std::span<const int32_t> row(int64_t b) const { return std::span(ids).subspan(b * tokens, tokens); }
};

class Verifier {
 public:
  Verifier(const std::string& folder, std::vector<VerifyCase>& cases)
      : golden_(SafeTensors::open(folder + "/golden.safetensors")),
        engine_(Engine::load(folder, {.kv = DType::f32, .exact = true})), cases_(cases) {}

  void run() {
    const std::vector<GoldenInput> inputs = golden_inputs(golden_);
    const GoldenInput* traced = traced_input(golden_, inputs);
    for (const GoldenInput& given : inputs) {
      const Input in = input(given);
      logits(in);
      greedy(in);
      if (&given == traced) hidden_and_cache(in);
    }
  }

 private:
  Input input(const GoldenInput& given) const {
    Input in{given};
    const std::string name = "input_ids" + given.suffix;
    for (const int64_t id : to_ints(golden_.at(name))) {
      require(id >= 0 && id < engine_->spec().vocab_size, "{}: '{}' holds id {}, outside the vocabulary of {}",
              golden_.path(), name, id, engine_->spec().vocab_size);
      in.ids.push_back(static_cast<int32_t>(id));
    }
    return in;
  }

  void add(const std::string& name, double error, double tolerance, const std::string& note = {}) {
    cases_.push_back(compare(name, error, tolerance));
    cases_.back().note = note;
  }

  /// All rows as one ragged batch, `chunk` tokens a pass.
  std::vector<float> run_chunks(const Input& in, int64_t chunk) {
    std::vector<std::unique_ptr<Sequence>> sequences;
    for (int64_t b = 0; b < in.batch; ++b) sequences.push_back(engine_->create());
    std::vector<std::vector<float>> rows(in.batch);
    for (int64_t at = 0; at < in.tokens; at += chunk) {
      std::vector<Step> steps;
      for (int64_t b = 0; b < in.batch; ++b) {
        steps.push_back({sequences[b].get(), in.row(b).subspan(at, std::min(chunk, in.tokens - at)), Want::all});
      }
      engine_->forward(steps);
      for (int64_t b = 0; b < in.batch; ++b)
        rows[b].insert(rows[b].end(), steps[b].logits.begin(), steps[b].logits.end());
    }
    std::vector<float> all;
    for (const auto& r : rows) all.insert(all.end(), r.begin(), r.end());
    return all;
  }

  void logits(const Input& in) {
    const std::vector<float> want = to_floats(golden_.at("logits" + in.suffix));
    const std::string name = "logits" + in.suffix;
    add(name + ", one chunk", difference(run_chunks(in, in.tokens), want), kTolerance);
    add(name + ", chunks of 7", difference(run_chunks(in, 7), want), kTolerance);
    add(name + ", token by token", difference(run_chunks(in, 1), want), kTolerance);
  }

  void greedy(const Input& in) {
    const std::string name = "greedy_ids" + in.suffix;
    if (!golden_.contains(name)) return;
    const std::vector<int64_t> want = to_ints(golden_.at(name));
    const int64_t n = golden_.at(name).shape.back();
    int wrong = 0;
    for (int64_t b = 0; b < in.batch; ++b) {
      auto sequence = engine_->create();
      const auto got =
          jet::generate(*engine_, *sequence, in.row(b), {.max_new_tokens = static_cast<int>(n), .ignore_eos = true})
              .ids;
      for (int64_t i = 0; i < n; ++i) {
        wrong += i >= static_cast<int64_t>(got.size()) || got[i] != want.at(b * n + i) ? 1 : 0;
      }
    }
    add(name, wrong, 0, fmt::format("{} tokens", want.size()));
  }

  void hidden_and_cache(const Input& in) {
    std::vector<std::unique_ptr<Sequence>> sequences;
    std::vector<Step> steps;
    for (int64_t b = 0; b < in.batch; ++b) {
      sequences.push_back(engine_->create());
      steps.push_back({sequences[b].get(), in.row(b), Want::nothing});
    }
    engine_->observe([&](const char* name, int layer, std::span<const float> values) {
      const std::string key = layer < 0 ? std::string(name) : fmt::format("{}.{}", name, layer);
      if (golden_.contains(key)) add(key, difference(values, to_floats(golden_.at(key))), kTolerance);
    });
    engine_->forward(steps);
    engine_->observe({});
    for (const auto& [name, tensor] : golden_.all()) {
      if (name.starts_with("cache.")) cache(name, tensor, sequences);
    }
  }

  /// golden [B, A, B', ...] against each sequence's state; ours may have the first two of the remaining axes swapped.
  void cache(const std::string& name, const StoredTensor& t, const std::vector<std::unique_ptr<Sequence>>& sequences) {
    const CacheEntry entry = cache_entry(name);
    require(t.shape.size() >= 3 && t.shape[0] == static_cast<int64_t>(sequences.size()),
            "{}: '{}' has shape {}, expected [{}, ...] of three dimensions or more", golden_.path(), name,
            to_string(t.shape), sequences.size());
    const int64_t a = t.shape[1], b = t.shape[2], c = t.shape.size() > 3 ? t.shape[3] : 1;
    const std::vector<float> want = to_floats(t);
    double worst = 0;
    for (size_t s = 0; s < sequences.size(); ++s) {
      const std::vector<float> got = sequences[s]->read(entry.layer, entry.state);
      std::vector<float> turned(a * b * c);
      for (int64_t i = 0; i < a * b * c; ++i) {
        const int64_t x = i / (b * c), y = i / c % b, z = i % c;
        turned[entry.swapped ? (y * a + x) * c + z : i] = want.at(s * a * b * c + i);
      }
      worst = std::max(worst, difference(got, turned));
    }
    add(name, worst, kTolerance);
  }

  SafeTensors golden_;
  std::shared_ptr<Engine> engine_;
  std::vector<VerifyCase>& cases_;
};

}  // namespace

std::vector<VerifyCase> verify_engine(const std::string& golden_dir) {
  return verify_all(golden_dir, [](const std::string& path, GoldenKind kind, std::vector<VerifyCase>& cases) {
    if (kind == GoldenKind::model) Verifier(path, cases).run();
  });
}

}  // namespace jet
