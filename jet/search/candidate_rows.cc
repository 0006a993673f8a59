#include "jet/search/candidate_rows.h"

namespace jet {

Json row_of(const Json& candidate) {
  Json row = {{"accuracy", Json::object()}};
  for (const auto& [task, score] : candidate.at("tasks").items()) row["accuracy"][task] = score.at("accuracy");
  for (const char* key : {"loss", "lr", "train_tps", "decode_tps", "speedup", "prefill_tps", "cache_bytes", "diverged",
                          "spikes", "parameters"}) {
    if (candidate.contains(key)) row[key] = candidate[key];
  }
  return row;
}

double mean_accuracy(const Json& row) {
  double sum = 0;
  for (const auto& [task, a] : row.at("accuracy").items()) sum += a.get<double>();
  return sum / static_cast<double>(std::max<size_t>(1, row.at("accuracy").size()));
}

bool better_row(const Json& a, const Json& b) {
  const bool scored = a.contains("score") && b.contains("score");
  const double x = scored ? a["score"].get<double>() : mean_accuracy(a);
  const double y = scored ? b["score"].get<double>() : mean_accuracy(b);
  return x != y ? x > y : a.at("loss") < b.at("loss");
}

}  // namespace jet
