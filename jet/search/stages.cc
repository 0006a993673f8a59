#include "jet/search/stages.h"

#include <algorithm>

#include "jet/search/candidates.h"
#include "jet/train/world.h"

namespace jet {

std::vector<MixerSpec> placed_layers(const Run& run, const Placement& p,
                                     const std::function<MixerSpec(const Attention::Config&)>& linear, int window) {
  std::vector<MixerSpec> layers;
  const ModelSpec& base = run.teacher.spec();
  for (int i = 0; i < base.n_layers(); ++i) {
    Attention::Config a = attention_of(base, i);
    if (p.none && p.none->count(i) > 0) {
      layers.emplace_back(None::Config{});
    } else if (p.full.count(i) > 0) {
      layers.emplace_back(a);
    } else if (p.swa.count(i) > 0) {
      a.window = window > 0 ? window : run.recipe.placement.window;
      layers.emplace_back(a);
    } else {
      layers.push_back(stays(run, i) ? MixerSpec(a) : linear(a));
    }
  }
  return layers;
}

BaseResult measure_base(Run& run) {
  return run.folder.ledger.once_by_first<BaseResult>("base", [&] {
    const std::string& folder = run.teacher.folder();
    BaseResult out;
    out.parameters = parameter_count(run.teacher.spec());
    static_cast<Evaluation&>(out) = run.evaluator.generate(folder, [&](const Evaluation& so_far) {
      static_cast<Evaluation&>(out) = so_far;
      run.watch.found("base", [&] { return Json(out); });
    });
    out.speed = run.evaluator.speeds(folder, folder);
    return out;
  });
}

SupernetResult train_supernet(Run& run, Supernet& net) {
  // Always asked for: a finished checkpoint loads the branches, which the search needs, and trains nothing.
  const auto claim = run.folder.ledger.claim("supernet training");
  const SupernetResult result = net.train();
  return run.folder.ledger.once<SupernetResult>("supernet", [&] { return result; });
}

DistillResult distill_stages(Run& run, const std::function<TorchModel()>& start) {
  return run.folder.ledger.once<DistillResult>("distill", [&] {
    TorchModel student = start();
    Json so_far;
    const auto stage = [&](const std::string& name, const DistillConfig& c, Scope scope) {
      DistillResult::Part out;
      const auto tell = [&](const TrainResult& r) {
        run.watch.found("distill", [&] {
          so_far[name] = to_json_fields(r), so_far[name]["lr"] = c.train.lr;
          return so_far;
        });
      };
      static_cast<TrainResult&>(out) = distill(run, student, "distill-" + name, c, scope, tell);
      run.progress.count("tokens", out.tokens);
      out.lr = c.train.lr;
      out.result = row_of(run.evaluator.evaluate(student));
      so_far[name] = out;
      return out;
    };
    DistillResult out;
    out.stage1 = stage("stage1", run.recipe.distill.stage1, Scope::all_mixers);
    const DistillConfig& last = run.recipe.distill.stage2;
    out.stage2 = stage("stage2", last, last.vocabulary ? Scope::everything : Scope::layers);
    if (world().first()) student.save(run.folder.model(), run.teacher.folder(), DType::bf16);
    return out;
  });
}

DistillResult distill_chosen(Run& run, const Placement& p, const BlocksResult& blocks,
                             const DimensionsResult& dimensions) {
  const Row& chosen = dimensions.chosen;
  const auto layers = with_dimensions(run, p, blocks.chosen, chosen.dimensions);
  return distill_stages(
      run, [&] { return load_candidate(run, {.name = *chosen.name, .layers = layers, .lr = *chosen.lr}); });
}

namespace {

// What each kind of mixer does in the trained model: its figures with the outputs of all mixers of a kind at zero.
std::vector<Row> ablations(Run& run, const TorchModel& m) {
  const auto is_attention = [](const MixerSpec& s) { return std::holds_alternative<Attention::Config>(s); };
  const std::pair<const char*, std::function<bool(const MixerSpec&)>> kinds[] = {
      {"full attention off", is_full_attention},
      {"SWA off", [&](const MixerSpec& s) { return is_attention(s) && !is_full_attention(s); }},
      {"linear off", [&](const MixerSpec& s) { return !is_attention(s); }}};
  const MixerFn own = own_mixers(run.ops, m);
  std::vector<Row> rows;
  for (const auto& [name, off] : kinds) {
    if (std::none_of(m.spec.layers.begin(), m.spec.layers.end(), off)) continue;
    const MixerFn rest = [&](int l, const at::Tensor& h) {
      return off(m.spec.layers[l]) ? at::zeros_like(h) : own(l, h);
    };
    rows.push_back(row_of(run.evaluator.evaluate(
        [&](const at::Tensor& ids) { return forward_with(run.ops, m, ids, rest); }, head_of(m))));
    rows.back().name = name;
  }
  return rows;
}

}  // namespace

FinalResult final_evaluation(Run& run) {
  return run.folder.ledger.once_by_first<FinalResult>("final", [&] {
    const std::string folder = run.folder.model();
    const ModelSpec spec = read_spec(folder);
    FinalResult out;
    static_cast<Evaluation&>(out) = run.evaluator.generate(folder);
    out.speed = run.evaluator.speeds(run.teacher.folder(), folder);
    out.parameters = parameter_count(spec);
    for (const auto& m : spec.layers) out.layers.push_back(mixer_label(m));
    out.ablations = ablations(run, TorchModel::load(folder).to(run.ops.device));
    return out;
  });
}

}  // namespace jet
