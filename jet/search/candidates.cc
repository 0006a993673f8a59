#include "jet/search/candidates.h"

#include <filesystem>

#include "jet/base/rng.h"
#include "jet/base/threads.h"
#include "jet/search/run_plan.h"
#include "jet/search/supernet.h"
#include "jet/train/world.h"

namespace jet {

namespace {

struct Trained {
  TorchModel model;
  TrainResult align, distill;
  std::optional<bool> from_supernet;
};

// Gives a student's layers what the supernet's branches have learned, where their blocks can hold it; the others.
std::vector<int> start_from_supernet(const Run& run, TorchModel& student, const std::vector<int>& layers) {
  TorchModel net = trained_branches(run);
  std::vector<int> others = layers;
  std::erase_if(others, [&](int l) {
    return take_over(net.spec.layers[l], net.weights.layers[l].mixer, student.spec.layers[l], net.spec.hidden_size,
                     student.weights.layers[l].mixer);
  });
  return others;
}

// All candidates see the same texts in the same order: the stream's name does not depend on theirs.
Trained train_student(Run& run, const Candidate& c) {
  const Teacher& teacher = run.teacher;
  const uint64_t seed = c.seed == 0 ? run.recipe.seed : hash64(fmt::format("seed {}", c.seed), run.recipe.seed);
  const std::string texts = c.seed == 0 ? "candidates" : fmt::format("candidates {}", c.seed), &name = c.name;
  Trained t{make_student(teacher.model, c.layers, seed, c.inherit), {}, {}, {}};
  BudgetConfig budget = c.budget ? *c.budget : run.recipe.blocks.budget;
  budget.align.lr = c.lr;
  const auto fresh = new_layers(c.layers), changed = changed_mixers(teacher.spec(), t.model);
  if (changed.empty()) return t;
  const auto parameters = scope_parameters(teacher.spec(), t.model, Scope::changed_mixers);
  if (c.inherit) {
    std::vector<int> from_attention = fresh;
    if (run.recipe.supernet.starts_students && !fresh.empty()) {
      from_attention = start_from_supernet(run, t.model, fresh);
      t.from_supernet = from_attention.empty();
    }
    fit_start(teacher, t.model, from_attention, {run.data, texts + " fit", budget.align}, budget.look_back);
  }
  if (budget.align.tokens > 0 && !fresh.empty()) {
    const BatchStream stream{run.data, texts + " align", budget.align};
    const auto doing = run.progress.training(WorkKind::align, align_passes(budget.align));
    t.align = train_or_diverge(
        {name + ": alignment", run.folder.checkpoint(name + "-align"), budget.align, new_parts(t.model, parameters),
         [&](const Part& p) { return align_loss(teacher, t.model, fresh, stream, p, budget.kept_batches); }});
  }
  if (budget.distill.train.tokens > 0 && !t.align.diverged) {
    const DistillConfig& d = budget.distill;
    const BatchStream stream{run.data, texts, d.train};
    const auto doing = run.progress.training(WorkKind::distill, distill_passes(d));
    t.distill =
        train_or_diverge({name + ": distillation", run.folder.checkpoint(name), d.train, parameters,
                          [&](const Part& p) { return end_to_end_loss(teacher, t.model, changed, stream, p, d); }});
  }
  return t;
}

std::string key_of(const Candidate& c) { return "candidate/" + c.name; }

// Nothing that a diverged model says is a score.
Json result_of(Run& run, const Candidate& c) {
  const Trained t = train_student(run, c);
  CandidateResult out;
  out.diverged = t.align.diverged || t.distill.diverged;
  if (!out.diverged) static_cast<Evaluation&>(out) = run.evaluator.evaluate(t.model);
  out.from_supernet = t.from_supernet;
  out.lr = c.lr, out.spikes = t.align.spikes + t.distill.spikes, out.align = t.align, out.distill = t.distill;
  const double seconds = t.align.seconds + t.distill.seconds;
  out.train_tps = seconds > 0 ? static_cast<double>(t.align.tokens + t.distill.tokens) / seconds : 0.0;
  out.parameters = parameter_count(t.model.spec);
  for (const auto& m : c.layers) out.layers.push_back(mixer_label(m));
  run.progress.count("trainings");
  return out;
}

void tell_if_found(Run& run, const Candidate& c) {
  if (!run.folder.ledger.has(key_of(c))) return;
  const BudgetConfig& b = c.budget ? *c.budget : run.recipe.blocks.budget;
  run.progress.found(WorkKind::distill, distill_passes(b.distill), "trainings");
  if (!new_layers(c.layers).empty()) run.progress.found(WorkKind::align, align_passes(b.align), "");
  run.progress.found(WorkKind::scores, static_cast<double>(run.evaluator.tokens()), "");
}

CandidateSpeed speed_of(Run& run, const Candidate& c) {
  // Speeds with other numbers of threads, of a run that went on elsewhere, must not meet in one table.
  const int threads = threads_asked(run.recipe.threads);
  return run.folder.ledger.once<CandidateSpeed>(fmt::format("speed/{}/{} threads", c.name, threads), [&] {
    const TorchModel m = load_candidate(run, c);
    return world().from_first([&] {
      const auto doing = run.progress.doing(WorkKind::engine, candidate_speed_passes(run.recipe));
      const std::string folder = run.folder.path() + "/speed-probe";
      m.save(folder, run.teacher.folder(), DType::bf16);
      const CandidateSpeed s = run.evaluator.candidate_speed(run.teacher.folder(), folder);
      std::filesystem::remove_all(folder);
      return Json(s);
    });
  });
}

}  // namespace

CandidateResult train_candidate(Run& run, const Candidate& c) {
  return run.folder.ledger.once<CandidateResult>(key_of(c), [&] { return result_of(run, c); });
}

void train_candidates(Run& run, const std::vector<Candidate>& candidates, const std::function<void()>& so_far) {
  for (const auto& c : candidates) {
    tell_if_found(run, c);
    run.folder.ledger.once_if_free(key_of(c), [&] { return result_of(run, c); });
    so_far();
  }
  for (const auto& c : candidates) run.folder.ledger.once(key_of(c), [&] { return result_of(run, c); });
}

std::optional<CandidateResult> find_candidate(const Run& run, const Candidate& c) {
  if (!run.folder.ledger.has(key_of(c))) return std::nullopt;
  return run.folder.ledger.result<CandidateResult>(key_of(c));
}

Row candidate_row(Run& run, const Candidate& c) {
  Row row = row_of(train_candidate(run, c));
  if (c.speed) add_speed(row, speed_of(run, c));
  return row;
}

TorchModel load_candidate(Run& run, const Candidate& c) { return train_student(run, c).model; }

}  // namespace jet
