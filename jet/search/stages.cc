#include "jet/search/stages.h"

#include "jet/base/progress.h"
#include "jet/eval/speed.h"
#include "jet/search/student.h"

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
  return run.ledger.once("base", [&] {
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
  const Json result = net.train();
  return run.ledger.once("supernet", [&] { return result; });
}

namespace {

// A kind at every learning rate of the recipe; the best by held-out loss, the others listed beside it.
Json best_of_rates(Run& run, const std::string& name, const std::vector<MixerSpec>& layers) {
  Json best, tried = Json::array();
  for (double lr : run.recipe.blocks.lrs) {
    const Json j = train_candidate(run, {.name = fmt::format("{}-lr{:g}", name, lr), .layers = layers, .lr = lr});
    tried.push_back({{"lr", lr}, {"loss", j.at("loss")}, {"diverged", j.at("diverged")}});
    const bool better = best.is_null() || (!j.at("diverged").get<bool>() && j.at("loss") < best.at("loss"));
    if (better) best = j;
  }
  best["rates"] = tried;
  best["name"] = fmt::format("{}-lr{:g}", name, best.at("lr").get<double>());
  return best;
}

Json row_of(const Json& candidate) {
  Json row = {{"accuracy", Json::object()}};
  for (const auto& [task, score] : candidate.at("tasks").items()) row["accuracy"][task] = score.at("accuracy");
  for (const char* key : {"loss", "lr", "train_tps", "decode_tps", "prefill_tps", "cache_bytes", "diverged", "spikes",
                          "rates", "parameters", "name"}) {
    if (candidate.contains(key)) row[key] = candidate[key];
  }
  return row;
}

// Accuracy averaged over the tasks, ties broken by loss: what candidates of equal size and budget are ranked by.
double mean_accuracy(const Json& row) {
  double sum = 0;
  for (const auto& [task, a] : row.at("accuracy").items()) sum += a.get<double>();
  return sum / static_cast<double>(std::max<size_t>(1, row.at("accuracy").size()));
}

bool better_row(const Json& a, const Json& b) {
  const double x = mean_accuracy(a), y = mean_accuracy(b);
  return x != y ? x > y : a.at("loss") < b.at("loss");
}

}  // namespace

Json select_block(Run& run, const Placement& p) {
  const std::vector<int> all = all_layers(run.base.spec.n_layers());
  const std::string branch = run.recipe.supernet.branch;
  const auto with = [&](const std::string& kind) {
    return [kind](const Attention::Config& a) { return make_mixer(kind, a); };
  };
  // The baselines have as many full and windowed layers as the placement.
  Placement uniform;
  uniform.full = uniform_layers(all, static_cast<int>(p.full.size()));
  std::vector<int> rest;
  for (int i : all)
    if (uniform.full.count(i) == 0) rest.push_back(i);
  uniform.swa = uniform_layers(rest, static_cast<int>(p.swa.size()));

  Json out = {{"candidates", Json::array()}};
  out["all_linear"] = row_of(best_of_rates(run, "baseline-all-linear", placed_layers(run, {}, with(branch))));
  out["uniform"] = row_of(best_of_rates(run, "baseline-uniform", placed_layers(run, uniform, with(branch))));
  out["uniform"]["layers"] = to_json(uniform);
  Json best, best_without_jet;
  for (const auto& kind : run.recipe.blocks.kinds) {
    Json row = row_of(best_of_rates(run, "block-" + kind, placed_layers(run, p, with(kind))));
    row["kind"] = kind;
    row["score"] = mean_accuracy(row);
    out["candidates"].push_back(row);
    if (row.value("diverged", false)) continue;
    if (best.is_null() || better_row(row, best)) best = row;
    if (kind != "jet" && (best_without_jet.is_null() || better_row(row, best_without_jet))) best_without_jet = row;
  }
  require(!best.is_null(), "block selection: every candidate diverged; lower blocks.lrs");
  out["best"] = best;
  out["best_without_jet"] = best_without_jet;
  out["chosen"] = best.at("kind");
  return out;
}

Json search_dimensions(Run& run, const Placement& p, const Json& blocks) {
  const std::string kind = blocks.at("chosen");
  const double lr = blocks.at("best").at("lr");
  Json out = {{"candidates", Json::array()}, {"context", run.recipe.dimensions.context}};
  double fastest = 0;
  const auto& a = attention_of(run.base.spec, 0);
  for (const auto& d : run.recipe.dimensions.candidates) {
    const auto layers = placed_layers(run, p, [&](const Attention::Config& own) { return make_mixer(kind, own, d); });
    std::string name = fmt::format("dims-{}-{}x{}x{}", kind, d[0], d[1], d[2]);
    Json row = blocks.at("best");  // the block's own dimensions are trained already
    if (d == std::vector<int>{a.heads, a.head_dim, a.head_dim}) {
      name = row.at("name");
    } else {
      row = row_of(train_candidate(run, {.name = name, .layers = layers, .lr = lr}));
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
    student.save(run.ledger.folder() + "/model", run.base_folder, DType::bf16);
    return out;
  });
}

Json final_evaluation(Run& run) {
  return run.ledger.once("final", [&] {
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
