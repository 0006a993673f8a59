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
                                     const std::function<MixerSpec(const Attention::Config&)>& linear) {
  std::vector<MixerSpec> layers;
  for (int i = 0; i < run.base.spec.n_layers(); ++i) {
    Attention::Config a = attention_of(run.base.spec, i);
    if (p.full.count(i) > 0) {
      layers.emplace_back(a);
    } else if (p.swa.count(i) > 0) {
      a.window = run.recipe.placement.window;
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

Json speed_by_context(Run& run, const std::string& folder) {
  const auto engine = Engine::load(folder, {.threads = run.recipe.threads});
  SpeedOptions o;
  o.prefill = run.recipe.speed.prefill;
  o.decode = run.recipe.speed.decode;
  o.repeats = run.recipe.speed.repeats;
  Json out = {{"contexts", Json::array()},
              {"decode_tps", Json::array()},
              {"prefill_tps", Json::array()},
              {"cache_bytes", Json::array()}};
  for (const auto& p : measure(*engine, run.recipe.speed.contexts, o)) {
    out["contexts"].push_back(p.context);
    out["decode_tps"].push_back(p.decode_tps);
    out["prefill_tps"].push_back(p.prefill_tps);
    out["cache_bytes"].push_back(p.cache_bytes);
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

Json search_dimensions(Run& run, const Placement& p, const Json& blocks) {
  const std::string kind = blocks.at("chosen");
  const double lr = blocks.at("best").at("lr");
  Json out = {{"candidates", Json::array()}, {"context", run.recipe.dimensions.context}};
  double fastest = 0;
  const auto& a = attention_of(run.base.spec, 0);
  const auto own = [&](const std::vector<int>& d) { return d == std::vector<int>{a.heads, a.head_dim, a.head_dim}; };
  const auto candidate = [&](const std::vector<int>& d) {
    return Candidate{.name = fmt::format("dims-{}-{}x{}x{}", kind, d[0], d[1], d[2]),
                     .layers = placed_layers(run, p, [&](const auto& c) { return make_mixer(kind, c, d); }),
                     .lr = lr};
  };
  std::vector<Candidate> others;
  for (const auto& d : run.recipe.dimensions.candidates)
    if (!own(d)) others.push_back(candidate(d));
  train_candidates(run, others);
  for (const auto& d : run.recipe.dimensions.candidates) {
    Json row = blocks.at("best");  // the block's own dimensions are trained already
    std::string name = row.at("name");
    if (!own(d)) {
      const Candidate c = candidate(d);
      row = row_of(train_candidate(run, c));
      name = c.name;
    }
    row.update({{"heads", d[0]}, {"dk", d[1]}, {"dv", d[2]}, {"name", name}, {"score", mean_accuracy(row)}});
    fastest = std::max(fastest, row.at("decode_tps").get<double>());
    out["candidates"].push_back(row);
  }
  Json best;
  for (auto& row : out["candidates"]) {
    row["fast_enough"] = row.at("decode_tps").get<double>() >= (1 - run.recipe.dimensions.speed_tolerance) * fastest;
    if (!row["fast_enough"].get<bool>() || row.value("diverged", false)) continue;
    if (best.is_null() || better_row(row, best)) best = row;
  }
  if (best.is_null()) {  // no candidates in the recipe: the block's own dimensions stand
    best = blocks.at("best");
    best.update({{"heads", a.heads}, {"dk", a.head_dim}, {"dv", a.head_dim}});
  }
  best["kind"] = kind;
  out["chosen"] = best;
  return out;
}

Json distill_stages(Run& run, const Placement& p, const Json& blocks, const Json& dimensions) {
  const Json& chosen = dimensions.at("chosen");
  const std::vector<int> dims = {chosen.at("heads"), chosen.at("dk"), chosen.at("dv")};
  const std::string kind = blocks.at("chosen");
  const auto layers = placed_layers(run, p, [&](const Attention::Config& a) { return make_mixer(kind, a, dims); });
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
    progress.finish();
    return out;
  });
}

}  // namespace jet
