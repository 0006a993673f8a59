#include "jet/search/supernet.h"

#include <ATen/core/grad_mode.h>

#include "jet/search/student.h"

namespace jet {

using at::Tensor;

std::string to_string(const Path& p) {
  std::string s;
  for (Branch b : p) s += static_cast<char>(b);
  return s;
}

namespace {

TorchModel with_every_layer(const Run& run, const std::function<MixerSpec(const Attention::Config&)>& f) {
  std::vector<MixerSpec> layers;
  for (int i = 0; i < run.base.spec.n_layers(); ++i) layers.push_back(f(attention_of(run.base.spec, i)));
  return make_student(run.base, layers, run.recipe.seed);
}

}  // namespace

Supernet::Supernet(Run& run) : run_(run) {
  linear_ =
      with_every_layer(run, [&](const Attention::Config& a) { return make_mixer(run.recipe.supernet.branch, a); });
  window_ = with_every_layer(run, [&](Attention::Config a) {
    a.window = run.recipe.placement.window;
    return MixerSpec(a);
  });
  trained_ = own_parameters(linear_, is_mixer_parameter);
}

ModelSpec Supernet::spec(const Path& path) const {
  ModelSpec s = run_.base.spec;
  for (int l = 0; l < layers(); ++l) {
    if (path[l] == Branch::linear) s.layers[l] = linear_.spec.layers[l];
    if (path[l] == Branch::swa) s.layers[l] = window_.spec.layers[l];
  }
  return s;
}

Tensor Supernet::mixer(TorchOps& ops, Branch branch, int layer, const Tensor& h, States states) {
  const TorchModel& m = branch == Branch::linear ? linear_ : branch == Branch::swa ? window_ : run_.base;
  return own_mixers(ops, m, std::move(states))(layer, h);
}

Tensor Supernet::hidden(const Path& path, const TokenRows& rows) {
  return forward_with(run_.ops, run_.base, rows,
                      [&](int l, const Tensor& h) { return mixer(run_.ops, path[l], l, h); });
}

// A random path: the number of full layers is uniform in 0..L/2, so that sparse paths, which are searched, are common.
Tensor Supernet::path_loss(const Part& part) {
  const DistillConfig& c = run_.recipe.supernet.budget.distill;
  const auto b = run_.batch("supernet paths", part, c.train);
  Rng rng(run_.recipe.seed, fmt::format("path {}", part.step));
  Path path(layers(), Branch::linear);
  for (auto full = rng.below(layers() / 2 + 1); full > 0; --full) path[rng.below(layers())] = Branch::full;
  const Trace teacher = teach(run_.ops, run_.base, b.rows, b.states("teacher"));
  Trace student;
  const MixerFn along = [this, path, states = b.states("path")](int l, const Tensor& h) {
    return mixer(run_.ops, path[l], l, h, states);
  };
  forward_with(run_.ops, run_.base, b.rows, along, &student);
  std::vector<int> linear;
  for (int l = 0; l < layers(); ++l)
    if (path[l] == Branch::linear) linear.push_back(l);
  return distill_loss(run_.ops, c, teacher, student, linear, b);
}

Json Supernet::train() {
  const BudgetConfig& budget = run_.recipe.supernet.budget;
  std::vector<int> all;
  for (int l = 0; l < layers(); ++l) all.push_back(l);
  Json out = {{"tokens", 0}, {"curve", Json::array()}};
  fit_outputs(run_, linear_, all, "supernet fit", budget.align);
  if (budget.align.tokens > 0) {
    const auto r =
        jet::train({"supernet: alignment", run_.checkpoint("supernet-align"), budget.align, trained_,
                    [&](const Part& p) { return align_loss(run_, linear_, all, "supernet align", p, budget.align); }});
    out["align"] = to_json(r);
  }
  const auto r = jet::train({"supernet: random paths", run_.checkpoint("supernet"), budget.distill.train, trained_,
                             [&](const Part& p) { return path_loss(p); }});
  require(!r.diverged, "supernet: the loss stopped being finite after {} tokens; lower supernet.budget.*.lr", r.tokens);
  out.update(to_json(r));
  out["tokens"] = r.tokens + budget.align.tokens;
  out["lr"] = budget.distill.train.lr;
  return out;
}

Json Supernet::score(const Path& path, const std::string& task) {
  return run_.ledger.once_by_first("supernet/" + to_string(path) + "/" + task, [&] {
    const auto of_path = [&](const Tensor& ids) { return hidden(path, ids); };
    return run_.score(run_.search_task(task), of_path, head_of(run_.base)).to_json();
  });
}

namespace {
constexpr int64_t kProbes = 4;
}

int64_t Supernet::probe_tokens() const { return kProbes * run_.recipe.supernet.budget.distill.train.tokens_per_step(); }

double Supernet::kl(const Path& path) {
  const Json sum = run_.ledger.once_by_first("supernet/" + to_string(path) + "/kl", [&] {
    const at::NoGradGuard no_grad;
    double kl = 0;
    for (int64_t i = 0; i < kProbes; ++i) {
      const auto b = run_.batch("probe", i, run_.recipe.supernet.budget.distill.train);
      const Trace teacher = teach(run_.ops, run_.base, b.rows);
      const Tensor& head = head_of(run_.base);
      kl += kl_loss(run_.ops, {hidden(path, b.rows), head}, {teacher.hidden, head}, b.weights).item<double>();
    }
    return Json(kl / kProbes);
  });
  return sum.get<double>();
}

}  // namespace jet
