#include "jet/search/recipe.h"

#include <toml++/toml.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "jet/search/path_sampling.h"
#include "jet/search/selectors/selector.h"

namespace jet {

namespace {

void require_known(const std::string& where, const char* what, const std::string& name,
                   const std::vector<std::string>& known) {
  require(std::find(known.begin(), known.end(), name) != known.end(), "{}: unknown {} '{}' (known: {})", where, what,
          name, fmt::join(known, ", "));
}

std::string kind_of(const std::string& block) { return block.substr(0, block.find(':')); }

// Blocks that may stand in attention's place, each perhaps with options: "jet:conv=2".
void require_known_blocks(const std::vector<std::string>& kinds, const std::string& where) {
  std::vector<std::string> known;
  BlockList::for_each([&]<class Block>() { known.emplace_back(Block::kind); });
  for (const auto& kind : kinds) {
    const std::string name = kind_of(kind);
    require_known(where, "block", name, known);
    require(name != Attention::kind || kind.find("window=") != kind.npos,
            "{}: attention takes its own place; give it a window, as in 'attention:window=128,sinks=4'", where);
  }
}

// f(path of keys, config) of every training in the tables of `s`.
template <HasFields S, class F>
void each_training(const S& s, const F& f, const std::string& path = "") {
  S::fields(const_cast<S&>(s), [&](const char* key, const auto& field, const auto&...) {
    using T = std::decay_t<decltype(field)>;
    const std::string here = path.empty() ? key : fmt::format("{}.{}", path, key);
    if constexpr (std::is_same_v<T, TrainConfig>) {
      f(here, field);
    } else if constexpr (HasFields<T>) {
      each_training(field, f, here);
    }
  });
}

Json to_json(const toml::node& node, const std::string& path) {
  if (const auto* table = node.as_table()) {
    Json out = Json::object();
    for (const auto& [key, value] : *table) out[std::string(key.str())] = to_json(value, path);
    return out;
  }
  if (const auto* array = node.as_array()) {
    Json out = Json::array();
    for (const auto& value : *array) out.push_back(to_json(value, path));
    return out;
  }
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return number->get();
  if (const auto* number = node.as_floating_point()) return number->get();
  if (const auto* yes = node.as_boolean()) return yes->get();
  fail("{}:{}: dates and times have no place in a recipe", path, node.source().begin.line);
}

Json parse_toml(const std::string& path) {
  toml::table table;
  try {
    table = toml::parse(read_file(path), path);
  } catch (const toml::parse_error& e) { fail("{}:{}: {}", path, e.source().begin.line, e.description()); }
  return to_json(table, path);
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

void DistillConfig::check(const std::string& where) const {
  require(feature_weight > 0 || kl_weight > 0 || hidden_weight > 0,
          "{}: feature_weight, kl_weight and hidden_weight are 0, expected one of them in (0, 1e+09]: nothing would be "
          "learnt",
          where);
  require(!local || feature_weight > 0,
          "{}: feature_weight is 0, expected a number in (0, 1e+09]: local training has no other loss", where);
  require(teacher_top == 0 || train.chunk == 0,
          "{}: teacher_top keeps what the teacher says of whole rows: set chunk = 0 beside it", where);
  require(teacher_top == 0 || (feature_weight == 0 && hidden_weight == 0 && !local),
          "{}: teacher_top keeps what the teacher says, not its hidden states: set feature_weight = 0 beside it, and "
          "neither hidden_weight nor local",
          where);
}

namespace {
constexpr const char* kVocabulary = "{}: {}: vocabulary = false is for distill.stage2; mixers alone are trained here";
}

void BudgetConfig::check(const std::string& where) const {
  require(!distill.local, "{}: distill: only distill.stage1 can be local; a budget's `align` is that already", where);
  require(distill.vocabulary, kVocabulary, where, "distill");
  require(kept_batches == 0 || align.chunk == 0,
          "{}: kept_batches keeps what the teacher makes of whole rows: set align.chunk = 0 beside it", where);
}

bool is_window(const std::string& block) { return kind_of(block) == Attention::kind; }

void SupernetConfig::check(const std::string& where) const {
  require_known_blocks({branch}, where);
  require_known(where, "paths", paths, path_samplings());
  require(!starts_students || trains(), "{}: starts_students: the branch '{}' has no weights of its own to start from",
          where, branch);
  require(budget.distill.teacher_top == 0,
          "{}: budget: distill: teacher_top is for students; a path is compared with the teacher's mixers", where);
}

void ValidationConfig::check(const std::string& where) const {
  for (const auto& paths : samplings) require_known(where + ": samplings", "paths", paths, path_samplings());
  require(samplings.empty() || placements > 0, "{}: samplings are compared by placements: set placements beside them",
          where);
}

void PlacementConfig::check(const std::string& where) const {
  const std::vector<std::string> ways = {"accuracy", "loss", "auto"};
  require_known(where, "by", by, ways);
  for (const auto& [key, objective] :
       {std::pair{"full_objective", &full_objective}, {"swa_objective", &swa_objective}}) {
    double total = 0;
    for (const auto& o : *objective) {
      total += o.weight;
      if (!o.by.empty()) require_known(fmt::format("{}: {}: {}", where, key, o.task), "by", o.by, ways);
      require(o.task != kKlTask || o.by != "accuracy", "{}: {}: {} is a loss; it has no accuracy to go by", where, key,
              kKlTask);
    }
    require(objective->empty() || total > 0, "{}: {}: an objective needs a task whose weight is positive", where, key);
  }
  std::vector<std::string> known;
  for (const auto& s : jet::selectors()) known.emplace_back(s.name);
  require_known(where, "selector", selector, known);
  for (const auto& name : selectors) require_known(where, "selector", name, known);
  const bool given = selector == "given" || std::count(selectors.begin(), selectors.end(), "given") > 0;
  const auto distinct = std::ssize(std::set(layers.begin(), layers.end()));
  require(!given || (distinct == full && std::ssize(layers) == full),
          "{}: the selector 'given' takes the full layers from `layers`, which names {} where full = {}", where,
          distinct, full);
}

void ScoreWeights::check(const std::string& where) const {
  require(accuracy + speed + memory + stability > 0, "{}: all are 0, expected one of them in (0, 1e+09]", where);
}

void BlocksConfig::check(const std::string& where) const {
  require(!kinds.empty() && !lrs.empty(), "{}: kinds and lrs must not be empty", where);
  require_known_blocks(kinds, where);
}

void DimensionsConfig::check(const std::string& where) const {
  for (const auto& c : candidates) {
    require(c.size() == 3, "{}: a candidate is [heads, dk, dv], not [{}]", where, fmt::join(c, ", "));
    const auto& first = candidates.front();
    require(int64_t{c[0]} * c[1] * c[2] == int64_t{first[0]} * first[1] * first[2],
            "{}: [{}] has another state size than [{}]", where, fmt::join(c, ", "), fmt::join(first, ", "));
  }
}

void StagesConfig::check(const std::string& where) const {
  require(!stage2.local, "{}: stage2: only stage1 can be local; a budget's `align` is that already", where);
  require(stage1.vocabulary, kVocabulary, where, "stage1");
}

void ModelConfig::check(const std::string& where) const {
  require(hidden % heads == 0, "{}: hidden is {}, expected a multiple of heads ({})", where, hidden, heads);
  require(heads % kv_heads == 0, "{}: heads is {}, expected a multiple of kv_heads ({})", where, heads, kv_heads);
}

void Recipe::check(const std::string& where) const {
  require(precision == "auto" || precision == "fp32" || precision == "bf16",
          "{}: precision '{}' is unknown (known: auto, fp32, bf16)", where, precision);
  require(frozen == "fp32" || frozen == "mapped", "{}: frozen '{}' is unknown (known: fp32, mapped)", where, frozen);
  require(!data.empty(), "{}: no [[data]] source", where);
  if (!separate_documents) return;
  each_training(*this, [&](const std::string& key, const TrainConfig& c) {
    require(c.chunk == 0,
            "{}: {}: chunk hands states on from part to part of a row; separate_documents keeps none: choose one",
            where, key);
  });
}

Recipe read_recipe(const std::string& path) { return from_json_fields<Recipe>(read_toml(path), path); }

}  // namespace jet
