#include "python/src/model.h"

#include <algorithm>

namespace jet::python {

Turn::Turn(Model& model) : model_(model), lock_(model.mutex_, std::defer_lock) {
  require(model.runner_.load() != std::this_thread::get_id(),
          "the model is generating: what a streamer calls cannot run the same model");
  lock_.lock();
  model.runner_ = std::this_thread::get_id();
}

std::map<std::string, StateTensor> tensors_of(const State& state) {
  std::map<std::string, StateTensor> tensors;
  ModelState<int> unused;
  model_state(state.model->engine->spec(), unused, [&](int layer, const char* name, int&, const StateSpec& spec) {
    StateTensor t{state.sequence->read(layer, name), {spec.shape.begin(), spec.shape.end()}};
    if (spec.kind == StateSpec::rows) {
      size_t row = 1;
      for (const size_t n : t.shape) row *= n;
      t.shape.insert(t.shape.begin(), t.values.size() / row);
    }
    tensors.emplace(fmt::format("layers.{}.{}", layer, name), std::move(t));
  });
  return tensors;
}

void read(Engine& engine, Sequence& sequence, Ids ids, std::span<float> logits, const Pause& pause) {
  const auto vocab = static_cast<size_t>(engine.spec().vocab_size);
  const size_t keep = logits.size() / vocab, first = ids.size() - keep;  // the first row that is kept
  require(!ids.empty(), "there are no tokens to run");
  for (size_t at = 0; at < ids.size();) {
    const bool many = keep > 1 && at >= first;
    size_t n = many ? logit_rows(engine) : engine.options().prefill_chunk;
    n = std::min(n, (at < first && keep > 1 ? first : ids.size()) - at);
    const bool is_last = at + n == ids.size();
    Step step{&sequence, ids.subspan(at, n), many ? Want::all : keep == 1 && is_last ? Want::last : Want::nothing};
    engine.forward({&step, 1});
    std::copy(step.logits.begin(), step.logits.end(), logits.begin() + (many ? (at - first) * vocab : 0));
    at += n;
    pause();
  }
}

void whole_or_not(State& state, const std::function<void()>& work) {
  const SequenceCheckpoint before = state.sequence->checkpoint();
  try {
    work();
  } catch (...) {
    state.sequence->rollback(before);
    throw;
  }
}

std::vector<PairScore> score(Model& model, const std::vector<Pair>& pairs, const Pause& pause) {
  const Turn turn(model);
  return score_pairs(*model.engine, pairs, pause);
}

}  // namespace jet::python
