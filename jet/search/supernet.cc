#include "jet/search/supernet.h"

#include <ATen/core/grad_mode.h>

#include "jet/search/path_sampling.h"
#include "jet/search/run_plan.h"
#include "jet/search/student.h"

namespace jet {

using at::Tensor;

std::string to_string(const Path& p) {
  std::string s;
  for (Branch b : p) s += static_cast<char>(b);
  return s;
}

namespace {

TorchModel with_every(const Run& run, const std::vector<int>& searched,
                      const std::function<MixerSpec(const Attention::Config&)>& f) {
  std::vector<MixerSpec> layers = run.teacher.spec().layers;
  for (const int l : searched) layers[l] = f(attention_of(run.teacher.spec(), l));
  return make_student(run.teacher.model, layers, run.recipe.seed);
}

TorchModel with_branches(const Run& run, const std::vector<int>& searched) {
  return with_every(run, searched, [&](const auto& a) { return make_mixer(run.recipe.supernet.branch, a); });
}

}  // namespace

TorchModel trained_branches(const Run& run) {
  TorchModel m = with_branches(run, searched_layers(run));
  load_tensors(run.folder.checkpoint("supernet"), scope_parameters(run.teacher.spec(), m, Scope::changed_mixers));
  return m;
}

Supernet::Supernet(Run& run, const std::string& paths)
    : run_(run), paths_(paths.empty() ? run.recipe.supernet.paths : paths),
      name_(paths_ == run.recipe.supernet.paths ? "supernet" : "supernet-" + paths_), searched_(searched_layers(run)),
      shared_(shared_layers_of(run)) {
  linear_ = with_branches(run, searched_);
  window_ = with_every(run, searched_, [&](Attention::Config a) {
    a.window = run.recipe.placement.window;
    return MixerSpec(a);
  });
  if (run.recipe.supernet.trains()) trained_ = scope_parameters(run.teacher.spec(), linear_, Scope::changed_mixers);
}

ModelSpec Supernet::spec(const Path& path) const {
  ModelSpec s = run_.teacher.spec();
  for (int l = 0; l < layers(); ++l) {
    if (path[l] == Branch::linear) s.layers[l] = linear_.spec.layers[l];
    if (path[l] == Branch::swa) s.layers[l] = window_.spec.layers[l];
    if (path[l] == Branch::none) s.layers[l] = None::Config{};
  }
  return s;
}

Tensor Supernet::mixer(TorchOps& ops, Branch branch, int layer, const Tensor& h, States states) {
  if (branch == Branch::none) return at::zeros_like(h);
  const TorchModel& m = branch == Branch::linear ? linear_ : branch == Branch::swa ? window_ : run_.teacher.model;
  return own_mixers(ops, m, std::move(states))(layer, h);
}

Tensor Supernet::hidden(const Path& path, const TokenRows& rows) {
  return forward_with(run_.ops, run_.teacher.model, rows,
                      [&](int l, const Tensor& h) { return mixer(run_.ops, path[l], l, h); });
}

Tensor Supernet::path_loss(const Part& part) {
  const DistillConfig& c = run_.recipe.supernet.budget.distill;
  const auto b = run_.data.batch("supernet paths", part, c.train);
  Path path(layers(), Branch::linear);
  for (const int l : sampled_layers(paths_, searched_, run_.recipe.placement.full, run_.recipe.seed, part.step))
    path[l] = Branch::full;
  const Trace teacher = run_.teacher.trace(b);
  Trace student;
  const MixerFn along = [this, path, states = b.states("path")](int l, const Tensor& h) {
    return mixer(run_.ops, path[l], l, h, states);
  };
  forward_with(run_.ops, run_.teacher.model, b.rows, along, &student);
  std::vector<int> linear;
  for (const int l : searched_)
    if (path[l] == Branch::linear) linear.push_back(l);
  return distill_loss(run_.ops, c, teacher, student, linear, b);
}

SupernetResult Supernet::train() {
  forget();
  const BudgetConfig& budget = run_.recipe.supernet.budget;
  SupernetResult out;
  out.lr = budget.distill.train.lr;
  if (!run_.recipe.supernet.trains()) return out;
  const auto tell = [&](const TrainResult& so_far, TrainResult& part) {
    part = so_far;
    if (name_ == "supernet") run_.watch.found("supernet", [&] { return Json(out); });
  };
  fit_start(run_.teacher, linear_, searched_, {run_.data, "supernet fit", budget.align}, budget.look_back);
  if (budget.align.tokens > 0) {
    const BatchStream texts{run_.data, "supernet align", budget.align};
    const auto doing = run_.progress.training(WorkKind::align, align_passes(budget.align));
    out.align = jet::train(
        {"supernet: alignment", run_.folder.checkpoint("supernet-align"), budget.align, new_parts(linear_, trained_),
         [&](const Part& p) { return align_loss(run_.teacher, linear_, searched_, texts, p, budget.kept_batches); },
         [&](const TrainResult& r) { tell(r, out.align.emplace()); }});
    run_.progress.count("tokens", out.align->tokens);
  }
  const auto doing = run_.progress.training(WorkKind::distill, distill_passes(budget.distill));
  out.paths =
      jet::train({name_ + ": random paths", run_.folder.checkpoint(name_), budget.distill.train, trained_,
                  [&](const Part& p) { return path_loss(p); }, [&](const TrainResult& r) { tell(r, out.paths); }});
  run_.progress.count("tokens", out.paths.tokens);
  out.paths.tokens += budget.align.tokens;
  return out;
}

// What the ledger has is taken off the plan; the rest is timed.
Json Supernet::remembered(const std::string& key, double passes, const std::function<Json(RunProgress::Doing&)>& f) {
  Ledger& ledger = run_.folder.ledger;
  if (ledger.has(key)) {
    run_.progress.found(WorkKind::paths, passes, "paths");
    return ledger.find(key);
  }
  Json result;
  {
    auto doing = run_.progress.doing(WorkKind::paths, passes);
    result = ledger.once_by_first(key, [&] { return f(doing); });
  }
  run_.progress.count("paths");
  return result;
}

namespace {
constexpr int64_t kProbes = 4;
}

int64_t probe_tokens(const Recipe& recipe) { return kProbes * recipe.supernet.budget.distill.train.tokens_per_step(); }
int64_t Supernet::probe_tokens() const { return jet::probe_tokens(run_.recipe); }

double probe_kl(Run& run, const std::function<Tensor(const TokenRows&)>& hidden) {
  const at::NoGradGuard no_grad;
  const Tensor& head = head_of(run.teacher.model);
  double kl = 0;
  for (int64_t i = 0; i < kProbes; ++i) {
    const auto b = run.data.batch("probe", i, run.recipe.supernet.budget.distill.train);
    const Trace teacher = run.teacher.trace(b);
    kl += kl_loss(run.ops, {hidden(b.rows), head}, {teacher.hidden, head}, b.weights).item<double>();
  }
  return kl / kProbes;
}

std::string Supernet::kl_key(const Path& path) const { return name_ + "/" + to_string(path) + "/kl"; }

double Supernet::kl(const Path& path) {
  const auto passes = 2 * static_cast<double>(probe_tokens());
  const Json sum = remembered(kl_key(path), passes, [&](RunProgress::Doing&) {
    const double kl = probe_kl(run_, [&](const TokenRows& rows) { return hidden(path, rows); });
    require(std::isfinite(kl), "supernet: the KL of path {} is not finite: the weights are damaged", to_string(path));
    return Json(kl);
  });
  return sum.get<double>();
}

}  // namespace jet
