#include "jet/search/study.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "jet/base/file.h"
#include "jet/base/progress.h"
#include "jet/base/threads.h"
#include "jet/search/ledger.h"
#include "jet/search/plot.h"
#include "jet/search/recipe.h"
#include "jet/search/statistics.h"
#include "jet/train/distill.h"

namespace jet {

using at::Tensor;

namespace {

constexpr int kTestBatch = 32;

int row_length(const SyntheticTask& t, int load) {
  return static_cast<int>(synthetic_row(t, load, 0, "train", 0, 0).ids.size());
}

TrainConfig train_config(const StudyRecipe& r, double lr) {
  TrainConfig c;
  c.batch = 1, c.length = r.step_tokens, c.tokens = int64_t{r.steps} * r.step_tokens;
  c.lr = lr, c.warmup = r.warmup, c.weight_decay = r.weight_decay;
  return c;
}

// Rows of one load: ids [rows, T]; the asked positions' flat indices, and their targets.
struct Rows {
  Tensor ids, asked, targets;
};

// What rows are drawn from, by their step and number.
struct RowStream {
  const SyntheticTask& task;
  int load;
  uint64_t seed;
  std::string label;
};

Rows draw(const RowStream& s, int64_t step, int from, int rows) {
  std::vector<int64_t> ids, asked, targets;
  for (int row = from; row < from + rows; ++row) {
    const SyntheticRow one = synthetic_row(s.task, s.load, s.seed, s.label, step, row);
    for (size_t i = 0; i < one.ids.size(); ++i) {
      if (one.targets[i] >= 0) asked.push_back(static_cast<int64_t>(ids.size())), targets.push_back(one.targets[i]);
      ids.push_back(one.ids[i]);
    }
  }
  return {at::tensor(ids, at::kLong).view({rows, -1}), at::tensor(asked, at::kLong), at::tensor(targets, at::kLong)};
}

// Log-probabilities [asked, vocabulary].
Tensor answers(TorchOps& ops, const TorchModel& m, const Rows& r) {
  const Tensor hidden = forward_with(ops, m, r.ids, own_mixers(ops, m)).flatten(0, 1);
  return at::log_softmax(ops.linear(hidden.index_select(0, r.asked), head_of(m)), -1);
}

// The mean accuracy over the asked positions of `rows` rows.
double accuracy(TorchOps& ops, const TorchModel& m, const RowStream& s, int rows) {
  const at::NoGradGuard no_grad;
  int64_t right = 0, asked = 0;
  for (int from = 0; from < rows; from += kTestBatch) {
    const Rows r = draw(s, 0, from, std::min(kTestBatch, rows - from));
    right += (answers(ops, m, r).argmax(-1) == r.targets).sum().item<int64_t>();
    asked += r.targets.size(0);
  }
  return static_cast<double>(right) / static_cast<double>(asked);
}

// The loads take turns, a step each, and join in over the first three quarters of the steps: what little a row of many
// pairs says about matching two keys is drowned out where few pairs have not said it before.
int load_at(const SyntheticTask& t, int64_t step, int64_t steps) {
  const auto n = static_cast<int64_t>(t.train.size());
  return t.train[step % std::min(n, 1 + 4 * n * step / (3 * steps))];
}

struct Try {
  const SyntheticTask& task;
  std::string kind;
  double lr;
  int seed;  // 0, 1, ...
  std::string key() const { return fmt::format("{}/{}/lr{:g}/seed{}", task.kind, kind, lr, seed); }
};

// {"validation", "test": accuracy by load in the order of tested(), "loss", "diverged", "seconds"}
Json train_and_test(const StudyRecipe& r, const Try& t) {
  const uint64_t seed = r.seed + static_cast<uint64_t>(t.seed);
  TorchOps ops;
  const TorchModel m = TorchModel::random(study_spec(r.model, t.kind, t.task), seed);
  // Of unit variance: beside the standard deviation of 0.02 that a language model starts with, one step of AdamW at
  // these rates is a seventh of an embedding or more.
  m.weights.embed.mul_(50);
  const auto loss = [&](const Part& p) {
    const int load = load_at(t.task, p.step, r.steps);
    const int count = std::max(1, r.step_tokens / row_length(t.task, load));
    const Rows rows = draw({t.task, load, seed, "train"}, p.step, 0, count);
    return at::nll_loss(answers(ops, m, rows), rows.targets);
  };
  const TrainResult trained = train_or_diverge({t.key(), "", train_config(r, t.lr), m.parameters(), loss});
  std::vector<double> validation, test;
  for (int load : t.task.tested()) {
    validation.push_back(accuracy(ops, m, {t.task, load, seed, "validation"}, r.test_rows / 2));
    test.push_back(accuracy(ops, m, {t.task, load, seed, "test"}, r.test_rows));
  }
  return {{"validation", spread(validation).mean},
          {"test", test},
          {"loss", trained.last_loss()},
          {"diverged", trained.diverged},
          {"seconds", trained.seconds}};
}

// Means and spreads over the seeds, in the order of the loads.
Json summary(const std::vector<Json>& seeds) {
  Json mean = Json::array(), sd = Json::array(), by_seed = Json::array();
  for (size_t i = 0; i < seeds[0].at("test").size(); ++i) {
    std::vector<double> x;
    for (const auto& s : seeds) x.push_back(s.at("test")[i]);
    mean.push_back(spread(x).mean), sd.push_back(spread(x).sd);
  }
  for (const auto& s : seeds) by_seed.push_back(s.at("test"));
  return {{"mean", mean}, {"sd", sd}, {"seeds", by_seed}};
}

// What a single result depends on: kinds, learning rates and seeds can be added to a study that has run.
Json identity(const StudyRecipe& r) {
  Json j = to_json_fields(r);
  for (const char* key : {"title", "seeds", "threads", "kinds", "lrs"}) j.erase(key);
  return {{"recipe", j}};
}

class Study {
 public:
  Study(const StudyRecipe& recipe, const std::string& out, bool trials)
      : r_(recipe), ledger_(out, identity(recipe), trials), trials_(trials),
        runs_("study", static_cast<int64_t>(r_.tasks.size() * r_.kinds.size() * (r_.lrs.size() + r_.seeds - 1)), "runs",
              known()) {}

  Json run() {
    if (trials_) take_what_is_free();
    Json tasks = Json::array();
    for (const auto& t : r_.tasks) {
      Json kinds = Json::array();
      for (const auto& kind : r_.kinds) kinds.push_back(run_kind(t, kind));
      tasks.push_back({{"task", t.kind}, {"unit", load_unit(t)}, {"loads", t.tested()}, {"kinds", kinds}});
    }
    runs_.finish();
    return tasks;
  }

 private:
  template <class F>
  void each_kind(F&& f) {
    for (const auto& t : r_.tasks)
      for (const auto& kind : r_.kinds) f(t, kind);
  }

  // What no other process is at: every first seed, then the others at the best rates. What is then missing is waited
  // for.
  void take_what_is_free() {
    const auto take = [&](const Try& t) {
      tell_if_new(t, [&] { ledger_.once_if_free(t.key(), [&] { return train_and_test(r_, t); }); });
    };
    each_kind([&](const SyntheticTask& t, const std::string& kind) {
      for (double rate : r_.lrs) take({t, kind, rate, 0});
    });
    each_kind([&](const SyntheticTask& t, const std::string& kind) {
      const double lr = best_rate(t, kind);
      for (int seed = 1; seed < r_.seeds; ++seed) take({t, kind, lr, seed});
    });
  }

  Json result(const Try& t) {
    tell_if_new(t, [&] { ledger_.once(t.key(), [&] { return train_and_test(r_, t); }); });
    return ledger_.find(t.key());
  }
  template <class F>
  void tell_if_new(const Try& t, F&& ask) {
    if (ledger_.has(t.key())) return;
    ask();
    if (!ledger_.has(t.key())) return;  // another process is at it
    const double validation = ledger_.find(t.key()).at("validation");
    runs_.update(known(), fmt::format("{}: {:.1f} %", t.key(), 100 * validation));
  }
  // Of the results asked for, by whichever process; a ledger may hold others, of kinds that the recipe has no more.
  int64_t known() {
    int64_t n = 0;
    each_kind([&](const SyntheticTask& t, const std::string& kind) {
      const auto has = [&](double rate, int seed) { return ledger_.has(Try{t, kind, rate, seed}.key()); };
      for (double rate : r_.lrs) n += has(rate, 0);
      for (int seed = 1; seed < r_.seeds; ++seed)
        n += std::any_of(r_.lrs.begin(), r_.lrs.end(), [&](double rate) { return has(rate, seed); });
    });
    return n;
  }

  double best_rate(const SyntheticTask& t, const std::string& kind) {
    return *std::max_element(r_.lrs.begin(), r_.lrs.end(), [&](double a, double b) {
      return result({t, kind, a, 0}).at("validation") < result({t, kind, b, 0}).at("validation");
    });
  }

  Json run_kind(const SyntheticTask& t, const std::string& kind) {
    Json rates = Json::array();
    for (double rate : r_.lrs) {
      const Json j = result({t, kind, rate, 0});
      rates.push_back({{"lr", rate}, {"validation", j.at("validation")}, {"diverged", j.at("diverged")}});
    }
    const double lr = best_rate(t, kind);
    std::vector<Json> seeds = {result({t, kind, lr, 0})};
    for (int seed = 1; seed < r_.seeds; ++seed) seeds.push_back(result({t, kind, lr, seed}));
    Json row = {{"kind", kind}, {"state", recurrent_numbers(study_spec(r_.model, kind, t))}, {"lr", lr}};
    row["rates"] = rates;
    row.update(summary(seeds));
    return row;
  }

  const StudyRecipe& r_;
  Ledger ledger_;
  bool trials_;
  Progress runs_;
};

std::string table(const Json& task, int seeds) {
  std::string text =
      fmt::format("\n{}: accuracy in per cent by {}, mean of {} seeds +- standard deviation\n{:<42}{:>7}{:>8}",
                  task.at("task").get<std::string>(), task.at("unit").get<std::string>(), seeds, "", "state", "lr");
  for (int load : task.at("loads")) text += fmt::format("{:>13}", load);
  for (const auto& k : task.at("kinds")) {
    text += fmt::format("\n{:<42}{:>7}{:>8g}", k.at("kind").get<std::string>(), k.at("state").get<int64_t>(),
                        k.at("lr").get<double>());
    for (size_t i = 0; i < k.at("mean").size(); ++i) {
      text +=
          fmt::format("{:>6.1f} +-{:>4.1f}", 100 * k.at("mean")[i].get<double>(), 100 * k.at("sd")[i].get<double>());
    }
  }
  return text;
}

PlotPanel panel(const Json& task) {
  const auto unit = task.at("unit").get<std::string>();
  PlotPanel p{task.at("task"), unit, {}, {}};
  for (int load : task.at("loads")) p.ticks.push_back(std::to_string(load));
  for (const auto& k : task.at("kinds")) {
    PlotLine line{k.at("kind"), {}, {}};
    for (double v : k.at("mean")) line.y.push_back(100 * v);
    for (double v : k.at("sd")) line.spread.push_back(100 * v);
    p.lines.push_back(std::move(line));
  }
  return p;
}

}  // namespace

void StudyRecipe::check(const std::string& where) const {
  require(!kinds.empty() && !lrs.empty() && !tasks.empty(), "{}: kinds, lrs and tasks must not be empty", where);
  for (const auto& t : tasks) {
    for (const auto& kind : kinds) check_spec(study_spec(model, kind, t), where + ": model, kind " + kind);
  }
}

StudyRecipe read_study(const std::string& path) { return from_json_fields<StudyRecipe>(read_toml(path), path); }

ModelSpec study_spec(const StudyModel& m, const std::string& kind, const SyntheticTask& t) {
  Attention::Config a;
  a.heads = a.kv_heads = m.heads, a.head_dim = m.dk;
  ModelSpec s;
  s.vocab_size = vocabulary_size(t), s.hidden_size = m.hidden, s.intermediate_size = m.mlp;
  s.max_position_embeddings = 1 << 20;
  s.tie_word_embeddings = false;
  if (!m.first.empty()) s.layers.push_back(make_mixer(m.first, a));
  for (int i = 0; i < m.layers; ++i) s.layers.push_back(make_mixer(kind, a, {m.heads, m.dk, m.dv}));
  return s;
}

int64_t recurrent_numbers(const ModelSpec& s) {
  int64_t n = 0;
  ModelState<char> state;
  model_state(s, state, [&](int, const char*, char&, const StateSpec& p) {
    if (p.kind == StateSpec::recurrent) n += numel(p.shape);
  });
  return n;
}

std::string run_study(const std::string& recipe, const std::string& out, bool trials) {
  const StudyRecipe r = read_study(recipe);
  at::set_num_threads(threads_asked(r.threads));
  const Json tasks = Study(r, out, trials).run();
  std::vector<PlotPanel> panels;
  std::string told;
  for (const auto& t : tasks) {
    told += table(t, r.seeds) + "\n";
    panels.push_back(panel(t));
  }
  write_file(out + "/study.json", json_text(Json{{"title", r.title}, {"recipe", r}, {"tasks", tasks}}, 1));
  write_file(out + "/study.svg", line_plot(r.title, "accuracy, per cent", panels));
  return told + fmt::format("\n{}/study.json, study.svg\n", out);
}

}  // namespace jet
