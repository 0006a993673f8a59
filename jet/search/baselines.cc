#include "jet/search/baselines.h"

#include <algorithm>

#include "jet/search/supernet.h"

namespace jet {

namespace {

// The base with windows and sinks in the layers searched, but those that keep full attention.
struct Windowed {
  TorchModel model;  // handles of the base's weights
  TorchOps ops;

  Windowed(const Run& run, const LayerSet& full) : model(run.teacher.model), ops(run.ops) {
    ops.recompute = false;
    std::vector<int> others = searched_layers(run);
    std::erase_if(others, [&](int l) { return full.contains(l); });
    model.spec = with_windows(model.spec, others, run.recipe.placement.window, kSinks);
  }
  at::Tensor hidden(const TokenRows& rows) { return forward_with(ops, model, rows, own_mixers(ops, model)); }
  const at::Tensor& head() const { return head_of(model); }
};

}  // namespace

std::string sinks_name(const Run& run) {
  return fmt::format("window of {} + {} sinks", run.recipe.placement.window, kSinks);
}

Json sinks_term(Run& run, const std::string& task) {
  return run.folder.ledger.once_by_first("baseline/sinks/" + task, [&] {
    Windowed windowed(run, {});
    const auto hidden = [&](const TokenRows& rows) { return windowed.hidden(rows); };
    if (task == kKlTask) return Json{{"nll", probe_kl(run, hidden)}};
    return run.evaluator.score(run.evaluator.search_task(task), hidden, windowed.head()).to_json();
  });
}

Row sinks_row(Run& run, const LayerSet& full) {
  const std::string key = full.empty() ? "" : fmt::format(" full {}", fmt::join(full, " "));
  return run.folder.ledger.once_by_first<Row>("baseline/sinks" + key, [&] {
    Windowed windowed(run, full);
    Row row =
        row_of(run.evaluator.evaluate([&](const at::Tensor& ids) { return windowed.hidden(ids); }, windowed.head()));
    row.name = sinks_name(run);
    // Keys and values in bf16, as the engine keeps them.
    row.cache_bytes = cache_bytes(windowed.model.spec, run.recipe.dimensions.context, 2);
    return Json(row);
  });
}

}  // namespace jet
