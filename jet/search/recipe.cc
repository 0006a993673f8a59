#include "jet/search/recipe.h"

#include <toml++/toml.h>

#include <filesystem>
#include <sstream>

namespace jet {

namespace {

void check(const Recipe& r, const std::string& where) {
  require(r.precision == "auto" || r.precision == "fp32" || r.precision == "bf16",
          "{}: precision '{}' is unknown (known: auto, fp32, bf16)", where, r.precision);
  require(r.frozen == "fp32" || r.frozen == "mapped", "{}: frozen '{}' is unknown (known: fp32, mapped)", where,
          r.frozen);
  require(!r.data.empty(), "{}: no [[data]] source", where);
  require(r.threads >= 0, "{}: threads is {}, expected 0 (all) or more", where, r.threads);
  require(r.placement.full >= 0 && r.placement.swa >= 0 && r.placement.beam >= 1,
          "{}: placement: full and swa must not be negative, beam at least 1", where);
  for (const auto* objective : {&r.placement.full_objective, &r.placement.swa_objective}) {
    double total = 0;
    for (const auto& o : *objective) total += o.weight;
    require(total > 0, "{}: placement: an objective needs a task whose weight is positive", where);
  }
  require(r.validation.seeds >= 1 && r.validation.placements >= 0,
          "{}: validation: seeds must be at least 1, placements not negative", where);
  const ScoreWeights& w = r.blocks.weights;
  require(w.accuracy >= 0 && w.speed >= 0 && w.memory >= 0 && w.stability >= 0 &&
              w.accuracy + w.speed + w.memory + w.stability > 0,
          "{}: blocks.weights must not be negative, and one of them positive", where);
  require(r.blocks.seeds >= 1 && r.blocks.leaders >= 1, "{}: blocks: seeds and leaders must be at least 1", where);
  require(!r.blocks.kinds.empty() && !r.blocks.lrs.empty(), "{}: blocks: kinds and lrs must not be empty", where);
  std::vector<std::string> linear = r.blocks.kinds;
  linear.push_back(r.supernet.branch);
  for (const auto& kind : linear) {
    std::string known;
    bool found = false;
    BlockList::for_each([&]<class Block>() {
      if (Block::kind == std::string(Attention::kind)) return;
      known += std::string(known.empty() ? "" : ", ") + Block::kind;
      found = found || kind.substr(0, kind.find(':')) == Block::kind;
    });
    require(found, "{}: unknown block '{}' (known: {})", where, kind, known);
  }
  for (const auto& c : r.dimensions.candidates) {
    require(c.size() == 3, "{}: dimensions: a candidate is [heads, dk, dv]", where);
    const auto& first = r.dimensions.candidates.front();
    require(int64_t{c[0]} * c[1] * c[2] == int64_t{first[0]} * first[1] * first[2],
            "{}: dimensions: [{}] has another state size than [{}]", where, fmt::join(c, ", "), fmt::join(first, ", "));
  }
  const DimensionsConfig& d = r.dimensions;
  const auto positive = [](const std::vector<int>& v) {
    return std::all_of(v.begin(), v.end(), [](int x) { return x > 0; });
  };
  require(positive(d.conv) && positive(d.windows) && d.most > 0 && d.batch > 0 && d.context >= 0,
          "{}: dimensions: conv, windows, most and batch must be positive, context not negative", where);
  const auto check_train = [&](const char* key, const TrainConfig& c) {
    require(1 <= c.accumulate && c.accumulate <= std::max(1, c.batch),
            "{}: {}: accumulate {} must be within 1 and batch ({}): each part takes whole rows", where, key,
            c.accumulate, c.batch);
    require(c.chunk >= 0 && c.chunk < c.length,
            "{}: {}: chunk {} must be below length ({}), which it divides into parts, or 0", where, key, c.chunk,
            c.length);
    require(c.chunk == 0 || !r.separate_documents,
            "{}: {}: chunk hands states on from part to part of a row; separate_documents keeps none: choose one",
            where, key);
    require(c.batch > 0 && c.length > 1 && c.tokens >= 0 && c.lr > 0 && c.warmup >= 0 && c.warmup < 1,
            "{}: {}: batch, length and lr must be positive, tokens not negative, warmup in [0, 1)", where, key);
  };
  for (const auto& [key, c] :
       {std::pair{"supernet.budget.distill", &r.supernet.budget.distill},
        std::pair{"validation.budget.distill", &r.validation.budget.distill},
        std::pair{"blocks.budget.distill", &r.blocks.budget.distill}, std::pair{"distill.stage2", &r.distill.stage2}}) {
    require(!c->local, "{}: {}: only distill.stage1 can be local; a budget's `align` is that already", where, key);
  }
  require(r.supernet.budget.distill.teacher_top == 0,
          "{}: supernet.budget.distill: teacher_top is for students; a path is compared with the teacher's mixers",
          where);
  for (const DistillConfig* c :
       {&r.validation.budget.distill, &r.blocks.budget.distill, &r.distill.stage1, &r.distill.stage2}) {
    require(c->teacher_top >= 0, "{}: teacher_top is {}; expected 0 (run the teacher) or more", where, c->teacher_top);
    require(c->teacher_top == 0 || c->train.chunk == 0,
            "{}: teacher_top keeps what the teacher says of whole rows: set chunk = 0 beside it", where);
    require(c->teacher_top == 0 || (c->feature_weight == 0 && !c->local),
            "{}: teacher_top keeps what the teacher says, not its hidden states: set feature_weight = 0 beside it, and "
            "not local",
            where);
  }
  require(!r.distill.stage1.local || r.distill.stage1.feature_weight > 0,
          "{}: distill.stage1: local training is by the feature loss; its weight must be positive", where);
  check_train("supernet.budget.align", r.supernet.budget.align);
  check_train("supernet.budget.distill.train", r.supernet.budget.distill.train);
  check_train("placement.gates.train", r.placement.gates.train);
  check_train("validation.budget.align", r.validation.budget.align);
  check_train("validation.budget.distill.train", r.validation.budget.distill.train);
  check_train("blocks.budget.align", r.blocks.budget.align);
  check_train("blocks.budget.distill.train", r.blocks.budget.distill.train);
  check_train("distill.stage1.train", r.distill.stage1.train);
  check_train("distill.stage2.train", r.distill.stage2.train);
  check_train("pretrain", r.pretrain);
}

Json parse_toml(const std::string& path) {
  toml::table table;
  try {
    table = toml::parse(read_file(path), path);
  } catch (const toml::parse_error& e) { fail("{}:{}: {}", path, e.source().begin.line, e.description()); }
  std::stringstream text;
  text << toml::json_formatter{table};
  return parse_json(text.str(), path);
}

}  // namespace

Json read_toml(const std::string& path) {
  Json own = parse_toml(path);
  if (!own.contains("include")) return own;
  require(own["include"].is_string(), "{}: include: name one file, as seen from this one's folder", path);
  const auto folder = std::filesystem::path(path).parent_path();
  const std::string other = (folder / own["include"].get<std::string>()).string();
  Json whole = parse_toml(other);
  require(!whole.contains("include"), "{}: included by {}, so it can include no other file", other, path);
  own.erase("include");
  whole.merge_patch(own);
  return whole;
}

Recipe read_recipe(const std::string& path) {
  const auto recipe = from_json_fields<Recipe>(read_toml(path), path);
  check(recipe, path);
  return recipe;
}

}  // namespace jet
