#include "jet/search/results.h"

#include <algorithm>

namespace jet {

void to_json(Json& j, const SelectionTrace& t) {
  j = nullptr;
  if (!t.beam.empty()) j = t.beam;
  if (!t.by_layer.empty()) j = t.by_layer;
}

void from_json(const Json& j, SelectionTrace& t) {
  if (!j.is_array() || j.empty()) return;
  if (j[0].is_object()) {
    read_field(Json{{"trace", j}}, "trace", t.beam, "placement");
  } else {
    t.by_layer = j.get<std::vector<double>>();
  }
}

void to_json(Json& j, const RowOrNone& r) { j = r.row ? to_json_fields(*r.row) : Json(); }
void from_json(const Json& j, RowOrNone& r) {
  if (!j.is_null()) r.row = from_json_fields<Row>(j, "row");
}

Row row_of(const Evaluation& e) {
  Row row;
  for (const auto& [task, score] : e.tasks) row.accuracy.add(task, score.at("accuracy").get<double>());
  row.loss = e.loss;
  return row;
}

Row row_of(const CandidateResult& c) {
  Row row = row_of(static_cast<const Evaluation&>(c));
  row.lr = c.lr, row.train_tps = c.train_tps, row.parameters = c.parameters;
  row.diverged = c.diverged, row.spikes = c.spikes, row.from_supernet = c.from_supernet;
  return row;
}

void add_speed(Row& row, const CandidateSpeed& s) {
  row.decode_tps = s.decode_tps, row.speedup = s.speedup, row.prefill_tps = s.prefill_tps;
  row.cache_bytes = s.cache_bytes;
}

double mean_accuracy(const Row& row) {
  double sum = 0;
  for (const auto& [task, a] : row.accuracy) sum += a;
  return sum / static_cast<double>(std::max<size_t>(1, row.accuracy.size()));
}

bool better_row(const Row& a, const Row& b) {
  const bool scored = a.score && b.score;
  const double x = scored ? *a.score : mean_accuracy(a), y = scored ? *b.score : mean_accuracy(b);
  const auto loss = [](const Row& r) { return std::isnan(r.loss) ? INFINITY : r.loss; };
  return x != y ? x > y : loss(a) < loss(b);
}

}  // namespace jet
