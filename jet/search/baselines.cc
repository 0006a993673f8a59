#include "jet/search/baselines.h"

#include <algorithm>

#include <ATen/core/grad_mode.h>

namespace jet {

namespace {

int window_of(const Run& run, int layer) {
  const int own = attention_of(run.teacher.spec(), layer).window, asked = run.recipe.placement.window;
  return own > 0 ? std::min(own, asked) : asked;
}

// Handles of the base's weights in layers that have windows.
TorchModel windowed(const Run& run) {
  TorchModel m = run.teacher.model;
  for (const int l : searched_layers(run)) {
    Attention::Config a = attention_of(m.spec, l);
    a.window = window_of(run, l);
    m.spec.layers[l] = a;
  }
  return m;
}

// Windows that the base has itself get no sinks.
MixerFn with_sinks(const Run& run, const TorchModel& m, TorchOps& ops) {
  return [&, own = own_mixers(ops, m)](int l, const at::Tensor& h) {
    ops.sinks = stays(run, l) ? 0 : kSinks;
    return own(l, h);
  };
}

TorchOps ops_for_sinks(const Run& run) {
  TorchOps ops = run.ops;
  ops.recompute = false;
  return ops;
}

double kl_of(Run& run, const TorchModel& m, TorchOps& ops) {
  const at::NoGradGuard no_grad;
  constexpr int64_t kBatches = 4;
  double kl = 0;
  for (int64_t i = 0; i < kBatches; ++i) {
    const auto b = run.data.batch("probe", i, run.recipe.supernet.budget.distill.train);
    const at::Tensor &head = head_of(m), hidden = forward_with(ops, m, b.rows, with_sinks(run, m, ops));
    kl += kl_loss(run.ops, {hidden, head}, {run.teacher.trace(b).hidden, head}, b.weights).item<double>();
  }
  return kl / kBatches;
}

}  // namespace

std::string sinks_name(const Run& run) {
  return fmt::format("window of {} + {} sinks", run.recipe.placement.window, kSinks);
}

Json sinks_term(Run& run, const std::string& task) {
  return run.folder.ledger.once_by_first("baseline/sinks/" + task, [&] {
    const TorchModel m = windowed(run);
    TorchOps ops = ops_for_sinks(run);
    if (task == kKlTask) return Json{{"nll", kl_of(run, m, ops)}};
    const HiddenFn hidden = [&](const at::Tensor& ids) { return forward_with(ops, m, ids, with_sinks(run, m, ops)); };
    return run.evaluator.score(run.evaluator.search_task(task), hidden, head_of(m)).to_json();
  });
}

Row sinks_row(Run& run) {
  return run.folder.ledger.once_by_first<Row>("baseline/sinks", [&] {
    const TorchModel m = windowed(run);
    TorchOps ops = ops_for_sinks(run);
    Row row = row_of(run.evaluator.evaluate(
        [&](const at::Tensor& ids) { return forward_with(ops, m, ids, with_sinks(run, m, ops)); }, head_of(m)));
    row.name = sinks_name(run), row.cache_bytes = 0;
    for (int l = 0; l < m.spec.n_layers(); ++l) {  // keys and values in bf16, as the engine keeps them
      const Attention::Config a = attention_of(m.spec, l);
      const int64_t held = a.window + (stays(run, l) ? 0 : kSinks);
      const int64_t tokens = std::min<int64_t>(run.recipe.dimensions.context, held);
      *row.cache_bytes += tokens * a.kv_heads * a.head_dim * 4;
    }
    return Json(row);
  });
}

}  // namespace jet
