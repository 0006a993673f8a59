// A model and its states as Python sees them, without Python: nothing here holds its lock or names its objects.
//
//   Python threads --Turn--> Model (one engine) <-- State, State, ...
//
// Long work calls a Pause between its passes. What that throws (Ctrl-C) ends the work, and states are as before it.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "jet/engine/engine.h"
#include "jet/eval/pair_scorer.h"

namespace jet::python {

using Ids = std::span<const int32_t>;
using Pause = std::function<void()>;

class Model {
 public:
  Model(const std::string& folder, const EngineOptions& options) : engine(Engine::load(folder, options)) {}
  const std::shared_ptr<Engine> engine;

 private:
  friend class Turn;
  std::mutex mutex_;
  std::atomic<std::thread::id> runner_{};
};

/// The right to run a model, which is waited for. Throws Error where this thread has it already: a streamer that calls
/// the model.
class Turn {
 public:
  explicit Turn(Model& model);
  ~Turn() { model_.runner_ = std::thread::id(); }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  Model& model_;
  std::unique_lock<std::mutex> lock_;
};

/// What a sequence of tokens left behind in a model.
struct State {
  explicit State(std::shared_ptr<Model> m) : model(std::move(m)), sequence(model->engine->create()) {}
  State(std::shared_ptr<Model> m, std::unique_ptr<Sequence> s) : model(std::move(m)), sequence(std::move(s)) {}
  std::shared_ptr<Model> model;
  std::unique_ptr<Sequence> sequence;
};

/// One state as fp32: "layers.3.keys" -> its numbers and their shape. Rows are [tokens kept, heads, dim], oldest first.
struct StateTensor {
  std::vector<float> values;
  std::vector<size_t> shape;
};
std::map<std::string, StateTensor> tensors_of(const State& state);

/// Appends `ids` to a sequence in chunks. The logits of the last `keep` of them go to `logits` [keep, vocab].
void read(Engine& engine, Sequence& sequence, Ids ids, std::span<float> logits, const Pause& pause);

/// Calls `work`; what it throws leaves the state as it was.
void whole_or_not(State& state, const std::function<void()>& work);

std::vector<PairScore> score(Model& model, const std::vector<Pair>& pairs, const Pause& pause);

}  // namespace jet::python
