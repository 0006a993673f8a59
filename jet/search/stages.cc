#include "jet/search/stages.h"

#include "jet/base/progress.h"
#include "jet/eval/speed.h"
#include "jet/search/candidate_rows.h"
#include "jet/train/world.h"

namespace jet {

Json to_json(const Placement& p) { return {{"full", p.full}, {"swa", p.swa}}; }

Placement placement_from_json(const Json& j) {
  return {j.at("full").get<std::set<int>>(), j.at("swa").get<std::set<int>>()};
}

std::vector<MixerSpec> placed_layers(const Run& run, const Placement& p,
                                     const std::function<MixerSpec(const Attention::Config&)>& linear, int window) {
  std::vector<MixerSpec> layers;
  for (int i = 0; i < run.base.spec.n_layers(); ++i) {
    Attention::Config a = attention_of(run.base.spec, i);
    if (p.full.count(i) > 0) {
      layers.emplace_back(a);
    } else if (p.swa.count(i) > 0) {
      a.window = window > 0 ? window : run.recipe.placement.window;
      layers.emplace_back(a);
    } else {
      layers.push_back(linear(a));
    }
  }
  return layers;
}

namespace {

// The engine's view of a model folder: tasks by generation, loss on held-out text.
Json engine_evaluation(Run& run, const std::string& folder) {
  const auto engine = Engine::load(folder, {.threads = run.recipe.threads});
  Json out = {{"tasks", Json::object()}, {"losses", Json::object()}};
  for (const auto& t : run.tasks) out["tasks"][t.name] = generate_task(t, *engine).to_json();
  double sum = 0;
  for (const auto& name : run.corpus.names()) {
    const double loss = held_out_loss(
        *engine, run.corpus.held_out(name, run.recipe.eval.held_out_rows, run.recipe.eval.held_out_length));
    out["losses"][name] = loss;
    sum += loss;
  }
  out["loss"] = sum / static_cast<double>(run.corpus.names().size());
  return out;
}

// The base and, where `folder` is another model, that one by turns with it:
// {"contexts", "base" and "hybrid": {"decode_tps", ...}}, numbers by context.
Json speed_by_context(Run& run, const std::string& folder) {
  const EngineOptions options{.threads = run.recipe.threads};
  std::vector<std::shared_ptr<Engine>> engines = {Engine::load(run.base_folder, options)};
  if (folder != run.base_folder) engines.push_back(Engine::load(folder, options));
  SpeedOptions o;
  o.prefill = run.recipe.speed.prefill;
  o.decode = run.recipe.speed.decode;
  o.repeats = run.recipe.speed.repeats;
  std::vector<Engine*> both;
  for (const auto& e : engines) both.push_back(e.get());
  const auto points = measure_by_turns(both, run.recipe.speed.contexts, o);
  Json out = {{"contexts", Json::array()}};
  for (const auto& p : points[0]) out["contexts"].push_back(p.context);
  for (size_t e = 0; e < both.size(); ++e) {
    Json& model = out[e == 0 ? "base" : "hybrid"];
    for (const auto& p : points[e]) {
      model["decode_tps"].push_back(p.decode_tps), model["speedup"].push_back(p.speedup);
      model["prefill_tps"].push_back(p.prefill_tps), model["cache_bytes"].push_back(p.cache_bytes);
    }
  }
  return out;
}

}  // namespace

Json measure_base(Run& run) {
  return run.ledger.once_by_first("base", [&] {
    Progress progress("base: skills and loss", 1, "model");
    Json out = engine_evaluation(run, run.base_folder);
    out["parameters"] = parameter_count(run.base.spec);
    out["speed"] = speed_by_context(run, run.base_folder);
    progress.finish();
    return out;
  });
}

Json train_supernet(Run& run, Supernet& net) {
  // Always asked for: a finished checkpoint loads the branches, which the search needs, and trains nothing.
  const auto claim = run.ledger.claim("supernet training");
  const Json result = net.train();
  return run.ledger.once("supernet", [&] { return result; });
}

Json distill_stages(Run& run, const Placement& p, const Json& blocks, const Json& dimensions) {
  const Json& chosen = dimensions.at("chosen");
  const auto layers = with_dimensions(run, p, blocks.at("chosen"), chosen);
  return run.ledger.once("distill", [&] {
    TorchModel student = load_candidate(run, {.name = chosen.at("name"), .layers = layers, .lr = chosen.at("lr")});
    Json out;
    const auto stage = [&](const char* key, const std::string& name, const DistillConfig& c, Scope scope) {
      const TrainResult r = distill(run, student, name, c, scope);
      require(!r.diverged, "{}: the loss stopped being finite after {} tokens; lower its lr", name, r.tokens);
      out[key] = to_json(r);
      out[key]["lr"] = c.train.lr;
      out[key]["result"] = row_of(run.evaluate(run.tasks, student));
    };
    stage("stage1", "distill-stage1", run.recipe.distill.stage1, Scope::all_mixers);
    stage("stage2", "distill-stage2", run.recipe.distill.stage2, Scope::everything);
    if (world().first()) student.save(run.ledger.folder() + "/model", run.base_folder, DType::bf16);
    return out;
  });
}

namespace {

// What each kind of mixer does in the trained model: its figures with the outputs of all mixers of a kind at zero.
Json ablations(Run& run, const TorchModel& m) {
  const auto is_full = [](const MixerSpec& s) {
    const auto* a = std::get_if<Attention::Config>(&s);
    return a && a->window == 0;
  };
  const auto is_attention = [](const MixerSpec& s) { return std::holds_alternative<Attention::Config>(s); };
  const std::pair<const char*, std::function<bool(const MixerSpec&)>> kinds[] = {
      {"full attention off", is_full},
      {"SWA off", [&](const MixerSpec& s) { return is_attention(s) && !is_full(s); }},
      {"linear off", [&](const MixerSpec& s) { return !is_attention(s); }}};
  const MixerFn own = own_mixers(run.ops, m);
  Json rows = Json::array();
  for (const auto& [name, off] : kinds) {
    if (std::none_of(m.spec.layers.begin(), m.spec.layers.end(), off)) continue;
    const MixerFn rest = [&](int l, const at::Tensor& h) {
      return off(m.spec.layers[l]) ? at::zeros_like(h) : own(l, h);
    };
    Json row = row_of(run.evaluate(
        run.tasks, [&](const at::Tensor& ids) { return forward_with(run.ops, m, ids, rest); }, head_of(m)));
    row["name"] = name;
    rows.push_back(row);
  }
  return rows;
}

}  // namespace

Json final_evaluation(Run& run) {
  return run.ledger.once_by_first("final", [&] {
    Progress progress("final evaluation", 1, "model");
    const std::string folder = run.ledger.folder() + "/model";
    Json out = engine_evaluation(run, folder);
    out["speed"] = speed_by_context(run, folder);
    const ModelSpec spec = read_spec(folder);
    out["parameters"] = parameter_count(spec);
    Json labels = Json::array();
    for (const auto& m : spec.layers) labels.push_back(mixer_label(m));
    out["layers"] = labels;
    out["ablations"] = ablations(run, TorchModel::load(folder).to(run.device));
    progress.finish();
    return out;
  });
}

}  // namespace jet
