#include "jet/search/student.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <filesystem>

#include "jet/base/threads.h"
#include "jet/eval/machine.h"
#include "jet/eval/speed.h"
#include "jet/model/train_plan.h"
#include "jet/search/teacher_cache.h"
#include "jet/train/world.h"

namespace jet {

using at::Tensor;

namespace {

// The output projection of one mixer becomes the ridge regression of `y` on what the mixer makes of x before it.
void fit_output(const TorchOps& ops, const MixerSpec& spec, int hidden, MixerWeights<Tensor>& w, const Tensor& x,
                const Tensor& y) {
  std::vector<AttentionRole> roles;
  const bool in_part = BlockList::visit(spec, [&]<class Block>(const typename Block::Config& c) {
    roles = Block::roles(c);
    if constexpr (requires { Block::attention_part; }) {  // what lies beside the new part is the teacher's own
      MixerWeights<Tensor> part = Block::new_part(std::get<typename Block::template Weights<Tensor>>(w));  // handles
      fit_output(ops, Block::new_part(c), hidden, part, x, y);
      return true;
    }
    return false;
  });
  if (in_part) return;
  std::string projection;
  for (const auto& r : roles)
    if (r.role == AttentionRole::o) projection = r.param;
  mixer_params(spec, hidden, w, [&](const std::string& name, Tensor& slot, const ParamSpec&) {
    if (name != projection) return;
    const Tensor own = slot;
    slot = at::eye(own.size(1), own.options());  // the mixer's output is now what it feeds the projection
    MixerState<Tensor> state;
    mixer_state(spec, hidden, state, [](const char*, Tensor&, const StateSpec&) {});
    TorchOps quiet = ops;
    quiet.first = Tensor();
    const Tensor z = mixer_forward(quiet, spec, w, x, state).flatten(0, 1);
    Tensor gram = at::matmul(z.t(), z);
    gram += at::eye(gram.size(0), gram.options()) * (0.01 * gram.diagonal().mean());
    own.copy_(at::linalg_solve(gram, at::matmul(z.t(), y.flatten(0, 1))).t());
    slot = own;
  });
}

}  // namespace

void fit_outputs(Run& run, TorchModel& student, const std::vector<int>& layers, const std::string& stream,
                 const TrainConfig& c) {
  const at::NoGradGuard no_grad;
  const Trace teacher = teach(run.ops, run.base, run.batch(stream, 0, c).rows);
  for (int l : layers) {
    fit_output(run.ops, student.spec.layers[l], student.spec.hidden_size, student.weights.layers[l].mixer,
               teacher.mixer_in[l], teacher.mixer_out[l]);
  }
}

Tensor align_loss(Run& run, const TorchModel& student, const std::vector<int>& layers, const std::string& stream,
                  const Part& part, const TrainConfig& c) {
  const auto b = run.batch(stream, part, c);
  const Trace teacher = teach(run.ops, run.base, b.rows, b.states("teacher"));
  return local_loss(run.ops, student, teacher, layers, b.states("student")) * b.share;
}

Tensor distill_loss(const TorchOps& ops, const DistillConfig& c, const Trace& teacher, const Trace& student,
                    const std::vector<int>& layers, const TorchBatch& rows) {
  Tensor loss = at::zeros({});
  if (c.kl_weight > 0) {
    loss =
        loss + c.kl_weight * kl_loss(ops, {student.hidden, student.head}, {teacher.hidden, teacher.head}, rows.weights);
  }
  if (c.feature_weight > 0 && !layers.empty()) {
    loss = loss + rows.share * c.feature_weight * mean_feature_loss(student.mixer_out, teacher.mixer_out, layers);
  }
  return loss;
}

namespace {

// Those whose mixer is not attention; a layer without one has nothing to train.
std::vector<int> new_layers(const TorchModel& student) {
  std::vector<int> out;
  for (int i = 0; i < student.spec.n_layers(); ++i) {
    const MixerSpec& m = student.spec.layers[i];
    if (!std::holds_alternative<Attention::Config>(m) && has_mixer(m)) out.push_back(i);
  }
  return out;
}

}  // namespace

NamedTensors scope_parameters(const ModelSpec& base, TorchModel& student, Scope scope) {
  const auto some = scope == Scope::new_mixers ? new_layers(student) : changed_layers(base, student.spec);
  return own_parameters(student, [&](const std::string& name) {
    if (scope == Scope::everything) return true;
    if (!is_mixer_parameter(name)) return false;
    return scope == Scope::all_mixers || std::any_of(some.begin(), some.end(), [&](int l) {
             return name.starts_with(fmt::format("model.layers.{}.", l));
           });
  });
}

namespace {

// Rows of `stream` through teacher and student, end to end.
Tensor end_to_end_loss(Run& run, const TorchModel& student, const std::vector<int>& layers, const std::string& stream,
                       const Part& part, const DistillConfig& c) {
  const auto b = run.batch(stream, part, c.train);
  if (c.teacher_top > 0) {
    const Targets targets = teacher_targets(run, stream, part, b, c.teacher_top);
    const Tensor hidden = forward_with(run.ops, student, b.rows, own_mixers(run.ops, student));
    return c.kl_weight * kl_loss(run.ops, hidden, head_of(student), targets, b.weights);
  }
  const Trace teacher = teach(run.ops, run.base, b.rows, b.states("teacher"));
  Trace own;
  forward_with(run.ops, student, b.rows, own_mixers(run.ops, student, b.states("student")), &own);
  return distill_loss(run.ops, c, teacher, own, layers, b);
}

}  // namespace

TrainResult distill(Run& run, TorchModel& student, const std::string& name, const DistillConfig& c, Scope scope) {
  const auto fresh = new_layers(student);
  auto changed = changed_layers(run.base.spec, student.spec);
  std::erase_if(changed, [&](int l) { return !has_mixer(student.spec.layers[l]); });
  require(!c.local || !changed.empty(), "{}: no layer differs from the base's; nothing can be trained locally", name);
  if (c.local) scope = Scope::changed_mixers;
  return train(
      {name, run.checkpoint(name), c.train, scope_parameters(run.base.spec, student, scope), [&](const Part& p) {
         return c.local ? c.feature_weight * align_loss(run, student, changed, name, p, c.train)
                        : end_to_end_loss(run, student, fresh, name, p, c);
       }});
}

namespace {

struct Trained {
  TorchModel model;
  TrainResult align, distill;
};

// All candidates see the same texts in the same order: the stream's name does not depend on theirs.
Trained train_student(Run& run, const Candidate& c) {
  const uint64_t seed = c.seed == 0 ? run.recipe.seed : hash64(fmt::format("seed {}", c.seed), run.recipe.seed);
  const std::string texts = c.seed == 0 ? "candidates" : fmt::format("candidates {}", c.seed), &name = c.name;
  Trained t{make_student(run.base, c.layers, seed, c.inherit), {}, {}};
  BudgetConfig budget = c.budget ? *c.budget : run.recipe.blocks.budget;
  budget.align.lr = c.lr;
  const auto fresh = new_layers(t.model);
  if (fresh.empty()) return t;
  const auto parameters = scope_parameters(run.base.spec, t.model, Scope::new_mixers);
  if (c.inherit) fit_outputs(run, t.model, fresh, texts + " fit", budget.align);
  if (budget.align.tokens > 0) {
    t.align =
        train({name + ": alignment", run.checkpoint(name + "-align"), budget.align, parameters,
               [&](const Part& p) { return align_loss(run, t.model, fresh, texts + " align", p, budget.align); }});
  }
  if (budget.distill.train.tokens > 0 && !t.align.diverged) {
    const DistillConfig& d = budget.distill;
    t.distill = train({name + ": distillation", run.checkpoint(name), d.train, parameters,
                       [&](const Part& p) { return end_to_end_loss(run, t.model, fresh, texts, p, d); }});
  }
  return t;
}

// Tokens/s of the engine with this model, at the context and batch where dimensions are compared; and how many times
// the base's that is, measured by turns with it: figures of different hours can be compared by that.
Json measure_speed(const Run& run, const TorchModel& m) {
  const std::string folder = run.ledger.folder() + "/speed-probe";
  m.save(folder, run.base_folder, DType::bf16);
  const EngineOptions options{.threads = run.recipe.threads};
  const auto engine = Engine::load(folder, options), base = Engine::load(run.base_folder, options);
  SpeedOptions o;
  o.prefill = run.recipe.speed.prefill;
  o.decode = run.recipe.speed.decode;
  o.repeats = run.recipe.speed.repeats;
  o.batch = run.recipe.dimensions.batch;
  const SpeedPoint p = measure_by_turns({base.get(), engine.get()}, {run.recipe.dimensions.context}, o)[1][0];
  std::filesystem::remove_all(folder);
  return {{"decode_tps", p.decode_tps},
          {"speedup", p.speedup},
          {"prefill_tps", p.prefill_tps},
          {"cache_bytes", p.cache_bytes}};
}

Json result_of(Run& run, const Candidate& c) {
  const Trained t = train_student(run, c);
  Json out = run.evaluate(run.tasks, t.model);
  out["lr"] = c.lr;
  out["diverged"] = t.align.diverged || t.distill.diverged;
  out["spikes"] = t.align.spikes + t.distill.spikes;
  out["align"] = to_json(t.align);
  out["distill"] = to_json(t.distill);
  const double seconds = t.align.seconds + t.distill.seconds;
  out["train_tps"] = seconds > 0 ? static_cast<double>(t.align.tokens + t.distill.tokens) / seconds : 0.0;
  out["parameters"] = parameter_count(t.model.spec);
  Json labels = Json::array();
  for (const auto& m : c.layers) labels.push_back(mixer_label(m));
  out["layers"] = labels;
  return out;
}

}  // namespace

Json train_candidate(Run& run, const Candidate& c) {
  Json out = run.ledger.once("candidate/" + c.name, [&] { return result_of(run, c); });
  if (c.speed) {
    // Speeds with other numbers of threads, of a run that went on elsewhere, must not meet in one table.
    const int threads = threads_asked(run.recipe.threads);
    out.update(run.ledger.once(fmt::format("speed/{}/{} threads", c.name, threads), [&] {
      const TorchModel m = load_candidate(run, c);
      return world().from_first([&] { return measure_speed(run, m); });
    }));
  }
  return out;
}

void train_candidates(Run& run, const std::vector<Candidate>& candidates) {
  const auto key = [](const Candidate& c) { return "candidate/" + c.name; };
  for (const auto& c : candidates) run.ledger.once_if_free(key(c), [&] { return result_of(run, c); });
  for (const auto& c : candidates) run.ledger.once(key(c), [&] { return result_of(run, c); });
}

TorchModel load_candidate(Run& run, const Candidate& c) { return train_student(run, c).model; }

}  // namespace jet
