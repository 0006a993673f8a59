#include "jet/search/student.h"

#include <ATen/core/grad_mode.h>

#include <filesystem>

#include "jet/eval/speed.h"

namespace jet {

using at::Tensor;

void fit_outputs(Run& run, TorchModel& student, const std::vector<int>& layers, const std::string& stream,
                 const TrainConfig& c) {
  const at::NoGradGuard no_grad;
  const Trace teacher = teach(run.ops, run.base, run.batch(stream, 0, c).ids);
  const MixerFn mixer = own_mixers(run.ops, student);
  for (int l : layers) {
    const auto roles =
        BlockList::visit(student.spec.layers[l], []<class B>(const typename B::Config& b) { return B::roles(b); });
    std::string projection;
    for (const auto& r : roles)
      if (r.role == AttentionRole::o) projection = r.param;
    mixer_params(student.spec.layers[l], student.spec.hidden_size, student.weights.layers[l].mixer,
                 [&](const std::string& name, Tensor& w, const ParamSpec&) {
                   if (name != projection) return;
                   const Tensor own = w;
                   w = at::eye(own.size(1));  // the mixer's output is now what it feeds the projection
                   const Tensor z = mixer(l, teacher.mixer_in[l]).flatten(0, 1);
                   const Tensor y = teacher.mixer_out[l].flatten(0, 1);
                   Tensor gram = at::matmul(z.t(), z);
                   gram += at::eye(gram.size(0)) * (0.01 * gram.diagonal().mean());
                   own.copy_(at::linalg_solve(gram, at::matmul(z.t(), y)).t());
                   w = own;
                 });
  }
}

Tensor align_loss(Run& run, const TorchModel& student, const std::vector<int>& layers, const std::string& stream,
                  int64_t step, const TrainConfig& c) {
  const auto b = run.batch(stream, step, c);
  const Trace teacher = teach(run.ops, run.base, b.ids);
  const MixerFn mixer = own_mixers(run.ops, student);
  Tensor sum = at::zeros({});
  for (int l : layers) sum = sum + feature_loss(mixer(l, teacher.mixer_in[l]), teacher.mixer_out[l]);
  return sum / static_cast<double>(layers.size());
}

Tensor distill_loss(Run& run, const DistillConfig& c, const Trace& teacher, const Trace& student,
                    const std::vector<int>& layers, const Tensor& head, const Tensor& weights) {
  Tensor loss = at::zeros({});
  if (c.kl_weight > 0) {
    loss = loss + c.kl_weight * kl_loss(run.ops, student.hidden, teacher.hidden, head, head_of(run.base), weights);
  }
  if (c.feature_weight > 0 && !layers.empty()) {
    Tensor sum = at::zeros({});
    for (int l : layers) sum = sum + feature_loss(student.mixer_out[l], teacher.mixer_out[l]);
    loss = loss + sum * (c.feature_weight / static_cast<double>(layers.size()));
  }
  return loss;
}

namespace {

std::vector<int> new_layers(const TorchModel& student) {
  std::vector<int> out;
  for (int i = 0; i < student.spec.n_layers(); ++i) {
    if (!std::holds_alternative<Attention::Config>(student.spec.layers[i])) out.push_back(i);
  }
  return out;
}

NamedTensors scope_parameters(TorchModel& student, Scope scope) {
  const auto fresh = new_layers(student);
  return own_parameters(student, [&](const std::string& name) {
    if (scope == Scope::everything) return true;
    if (!is_mixer_parameter(name)) return false;
    if (scope == Scope::all_mixers) return true;
    for (int l : fresh)
      if (name.starts_with(fmt::format("model.layers.{}.", l))) return true;
    return false;
  });
}

}  // namespace

namespace {

// One batch of `stream` through teacher and student, end to end.
Tensor end_to_end_loss(Run& run, const TorchModel& student, const std::vector<int>& layers, const std::string& stream,
                       int64_t step, const DistillConfig& c) {
  const auto b = run.batch(stream, step, c.train);
  const Trace teacher = teach(run.ops, run.base, b.ids);
  Trace own;
  forward_with(run.ops, student, b.ids, own_mixers(run.ops, student), &own);
  return distill_loss(run, c, teacher, own, layers, head_of(student), b.weights);
}

}  // namespace

TrainResult distill(Run& run, TorchModel& student, const std::string& name, const DistillConfig& c, Scope scope) {
  const auto layers = new_layers(student);
  return train({name, run.checkpoint(name), c.train, scope_parameters(student, scope),
                [&](int64_t step) { return end_to_end_loss(run, student, layers, name, step, c); }});
}

namespace {

struct Trained {
  TorchModel model;
  TrainResult align, distill;
};

// All candidates see the same texts in the same order: the stream's name does not depend on theirs.
Trained train_student(Run& run, const std::string& name, const std::vector<MixerSpec>& layers, double lr) {
  Trained t{make_student(run.base, layers, run.recipe.seed), {}, {}};
  BudgetConfig budget = run.recipe.blocks.budget;
  budget.align.lr = lr;
  const auto fresh = new_layers(t.model);
  if (fresh.empty()) return t;
  const auto parameters = scope_parameters(t.model, Scope::new_mixers);
  fit_outputs(run, t.model, fresh, "candidates fit", budget.align);
  if (budget.align.tokens > 0) {
    t.align =
        train({name + ": alignment", run.checkpoint(name + "-align"), budget.align, parameters,
               [&](int64_t step) { return align_loss(run, t.model, fresh, "candidates align", step, budget.align); }});
  }
  if (budget.distill.train.tokens > 0 && !t.align.diverged) {
    const DistillConfig& c = budget.distill;
    t.distill = train({name + ": distillation", run.checkpoint(name), c.train, parameters,
                       [&](int64_t step) { return end_to_end_loss(run, t.model, fresh, "candidates", step, c); }});
  }
  return t;
}

// Decode tokens/s of the engine with this model, at the context where dimensions are compared.
Json measure_speed(Run& run, const TorchModel& m) {
  const std::string folder = run.ledger.folder() + "/speed-probe";
  m.save(folder, run.base_folder, DType::bf16);
  const auto engine = Engine::load(folder, {.threads = run.recipe.threads});
  SpeedOptions o;
  o.prefill = run.recipe.speed.prefill;
  o.decode = run.recipe.speed.decode;
  o.repeats = run.recipe.speed.repeats;
  const auto points = measure(*engine, {run.recipe.dimensions.context}, o);
  std::filesystem::remove_all(folder);
  require(!points.empty(), "speed: context {} was not reached", run.recipe.dimensions.context);
  return {{"decode_tps", points[0].decode_tps},
          {"prefill_tps", points[0].prefill_tps},
          {"cache_bytes", points[0].cache_bytes}};
}

}  // namespace

Json train_candidate(Run& run, const std::string& name, const std::vector<MixerSpec>& layers, double lr) {
  return run.ledger.once("candidate/" + name, [&] {
    const Trained t = train_student(run, name, layers, lr);
    Json out = run.evaluate(run.tasks, t.model);
    out.update(measure_speed(run, t.model));
    out["lr"] = lr;
    out["diverged"] = t.align.diverged || t.distill.diverged;
    out["spikes"] = t.align.spikes + t.distill.spikes;
    out["align"] = to_json(t.align);
    out["distill"] = to_json(t.distill);
    const double seconds = t.align.seconds + t.distill.seconds;
    out["train_tps"] = seconds > 0 ? static_cast<double>(t.align.tokens + t.distill.tokens) / seconds : 0.0;
    out["parameters"] = parameter_count(t.model.spec);
    Json labels = Json::array();
    for (const auto& m : layers) labels.push_back(mixer_label(m));
    out["layers"] = labels;
    return out;
  });
}

TorchModel load_candidate(Run& run, const std::string& name, const std::vector<MixerSpec>& layers, double lr) {
  return train_student(run, name, layers, lr).model;
}

}  // namespace jet
