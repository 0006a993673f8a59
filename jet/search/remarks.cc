// What a report says in words of its figures.
#include <algorithm>
#include <cmath>

#include "jet/search/gains.h"
#include "jet/search/selectors/selector.h"

namespace jet {

namespace {

// A binomial accuracy of n items is uncertain by this much (one standard error); none or all of them right is no
// certainty: p keeps from 0 and 1 by the rule of succession.
double uncertainty(double p, int n) {
  const double least = 1.0 / (n + 2), q = std::clamp(p, least, 1 - least);
  return std::sqrt(q * (1 - q) / n);
}

// Items that a task was asked: every row of a table was asked the same as the base.
int items_of(const Json& base, const std::string& task) {
  return base.at("tasks").contains(task) ? base["tasks"][task].at("total").get<int>() : 1;
}

std::string items_remark(const Recipe& recipe, const Json& base, const Json& gains) {
  int least = 0, most = 0;
  for (const auto& [task, score] : base.at("tasks").items()) {
    const int n = score.at("total");
    least = least == 0 ? n : std::min(least, n), most = std::max(most, n);
  }
  if (least == 0) return "";
  const bool means = std::any_of(gains.begin(), gains.end(), [](const Json& g) {
    return g.at("note").get<std::string>().find("mean of ") != std::string::npos;
  });
  return fmt::format(
      "One seed ({}){} and {} items a task: differences under about {:.0f} points of accuracy are within the noise of "
      "the items alone.",
      recipe.seed, means ? ", where a row says no other number," : "",
      least == most ? std::to_string(least) : fmt::format("{} to {}", least, most), 200 * uncertainty(0.5, least));
}

// A row's score by an objective, and its standard error from the items.
struct PlacementScore {
  double score = 0, error = 0;
  std::string missing{};  // a task that the row has no figure of
};
PlacementScore scored(const Json& row, const std::vector<TaskWeight>& objective, const Json& base) {
  double sum = 0, variance = 0, weights = 0;
  for (const auto& term : objective) {
    if (!row.at("accuracy").contains(term.task)) return {.missing = term.task};
    const double p = row["accuracy"][term.task], u = uncertainty(p, items_of(base, term.task));
    sum += term.weight * p, variance += term.weight * term.weight * u * u, weights += term.weight;
  }
  return {sum / weights, std::sqrt(variance) / weights};
}

// Whether the searched placement is better than even spacing by what it was searched for; empty without both rows.
std::string placement_remark(std::vector<TaskWeight> objective, const Json& base, const Json& gains) {
  // After training it is accuracy that counts, whatever the search went by.
  std::erase_if(objective, [](const TaskWeight& o) { return o.task == kKlTask; });
  for (TaskWeight& o : objective) o.by = "";
  const auto find = [&](const std::string& step) {
    const auto at = std::find_if(gains.begin(), gains.end(), [&](const Json& g) { return g.at("step") == step; });
    return at == gains.end() ? Json() : *at;
  };
  const Json uniform = find("uniform"), placed = find("+ placement");
  if (uniform.is_null() || placed.is_null() || objective.empty()) return "";
  const PlacementScore a = scored(placed, objective, base), b = scored(uniform, objective, base);
  const std::string name = objective_text(objective);
  if (const std::string& missing = a.missing.empty() ? b.missing : a.missing; !missing.empty()) {
    return fmt::format(
        "Searched and uniform placement cannot be compared on {}, which the search went by: the results have no "
        "accuracy of {} for the {} one.",
        name, missing, a.missing.empty() ? "uniform" : "searched");
  }
  const double d = a.score - b.score, noise = 2 * std::hypot(a.error, b.error);
  const char* verdict = d > noise ? "beats" : d < -noise ? "loses to" : "is level with";
  return fmt::format(
      "After equal training, the searched placement {} the uniform one on {}: {:.1f} against {:.1f} per cent, {:+.1f} "
      "points ({:.1f} is two standard errors).",
      verdict, name, 100 * a.score, 100 * b.score, 100 * d, 100 * noise);
}

// Tasks whose cells say nothing: no layer alone brings the accuracy above that of all linear ones.
std::string floor_remark(const Json& map) {
  std::vector<std::string> tasks;
  for (size_t t = 0; t < map.at("tasks").size(); ++t) {
    const std::string task = map["tasks"][t];
    const Json& cells = map.at("value")[t];
    const auto low = [&](const Json& x) { return x.is_number() && x <= map.at("all_linear").value(task, 0.0); };
    if (!cells.empty() && std::all_of(cells.begin(), cells.end(), low)) tasks.push_back(task);
  }
  if (tasks.empty()) return "";
  return fmt::format(
      "The heat map's accuracy of {} says nothing: with one full layer it is at its floor whichever layer that is. The "
      "loss of the answers tells.",
      fmt::join(tasks, ", "));
}

// A correlation, which a constant side leaves undefined.
std::string correlation(const Json& v, const char* key) {
  const double x = v.contains(key) && v[key].is_number() ? v[key].get<double>() : NAN;
  return std::isfinite(x) ? fmt::format("{:.2f}", x) : "undefined (all alike)";
}

std::string samplings_remark(const Json& v) {
  std::vector<std::string> all;
  for (const Json& s : v.at("samplings"))
    all.push_back(fmt::format("{} {} ({} by loss)", s.at("paths").get<std::string>(), correlation(s, "spearman"),
                              correlation(s, "spearman_answers")));
  return fmt::format("Spearman correlation by what paths the supernet was trained on, at equal tokens: {}.",
                     fmt::join(all, ", "));
}

std::string ranks_remark(const Json& placement) {
  std::vector<std::string> ranks;
  for (const auto& row : placement.at("selectors")) {
    if (!row.contains("rank") || row.at("name") == "exhaustive") continue;
    ranks.push_back(fmt::format("{} {}", row["name"].get<std::string>(), row["rank"].get<int>()));
  }
  if (ranks.empty()) return "";
  return fmt::format("Ranks among all {} placements, as the supernet scores them: {}.",
                     placement.at("exhaustive_count").get<int>(), fmt::join(ranks, ", "));
}

// "3 seeds", or "1 to 3 seeds" where random placements have fewer.
std::string seeds_text(const Json& v) {
  size_t least = v.at("seeds").get<size_t>();
  const size_t most = least;
  for (const Json& row : v.at("rows"))
    if (row.is_object() && row.contains("accuracies")) least = std::min(least, row["accuracies"].size());
  return least < most ? fmt::format("{} to {} seeds", least, most) : fmt::format("{} seeds", most);
}

std::string validation_remark(const Json& v) {
  return fmt::format(
      "{} placements distilled alike, {} each: Spearman correlation of the supernet's score with "
      "{} after distillation {}, with held-out loss {}.",
      v.at("rows").size(), seeds_text(v), v.at("objective").get<std::string>(), correlation(v, "spearman"),
      correlation(v, "spearman_loss"));
}

std::string dimensions_remark(const DimensionsConfig& asked, const Json& dimensions) {
  std::string text;
  if (dimensions.at("candidates").size() > 1) {
    text = fmt::format("Dimensions: the most accurate candidate among those within {:.0f} % of the fastest was taken.",
                       100 * asked.speed_tolerance);
  }
  if (const double off = dimensions.value("worst_error", 0.0); off > 0) {
    text += fmt::format("{}The cost model's predictions of decode speed were at most {:.0f} % off{}.",
                        text.empty() ? "" : " ", 100 * off,
                        off > 0.15 ? ": more than the 15 % that pruning by it should stand on" : "");
  }
  return text;
}

std::string start_remark(const SupernetConfig& supernet, const Json& blocks) {
  std::vector<std::string> kinds;
  for (const Json& row : blocks.at("candidates"))
    if (row.value("from_supernet", false)) kinds.push_back(row.at("kind"));
  return fmt::format(
      "Students start from the supernet's branches ({}, {} tokens) where their block can compute the "
      "same: {}; the others from the attention.",
      supernet.branch, supernet.budget.align.tokens + supernet.budget.distill.train.tokens,
      kinds.empty() ? "none could" : fmt::format("{}", fmt::join(kinds, ", ")));
}

std::string speed_remark(const Recipe& recipe, const Json& gains) {
  if (std::none_of(gains.begin(), gains.end(), [](const Json& g) { return g.contains("speedup"); })) return "";
  return fmt::format(
      "Cache and decode speed of the steps are those after {} tokens of context. Decode speed over the base's is the "
      "median of turns that both take; tokens/s are those of their moment on a shared machine.",
      recipe.dimensions.context);
}

}  // namespace

Json remarks(const Recipe& recipe, const Json& results, const Json& gains) {
  const Json base = stage_result(results, "base"), placement = stage_result(results, "placement");
  const Json validation = stage_result(results, "validation"), dimensions = stage_result(results, "dimensions");
  Json notes = Json::array();
  const auto note = [&](const std::string& text) {
    if (!text.empty()) notes.push_back(text);
  };
  if (base.is_null()) return notes;
  note(items_remark(recipe, base, gains));
  note(placement_remark(recipe.placement.full_objective, base, gains));
  if (const Json map = stage_result(results, "heat_map"); map.contains("all_linear")) note(floor_remark(map));
  if (placement.contains("why"))
    for (const Json& why : placement["why"]) note(why);
  if (placement.contains("exhaustive_count")) note(ranks_remark(placement));
  if (validation.contains("spearman")) note(validation_remark(validation));
  if (validation.contains("samplings")) note(samplings_remark(validation));
  if (const Json blocks = stage_result(results, "blocks");
      recipe.supernet.starts_students && blocks.contains("candidates")) {
    note(start_remark(recipe.supernet, blocks));
  }
  if (dimensions.contains("chosen")) note(dimensions_remark(recipe.dimensions, dimensions));
  note(speed_remark(recipe, gains));
  return notes;
}

}  // namespace jet
