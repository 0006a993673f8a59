#include "jet/engine/engine.h"

#include <algorithm>
#include <utility>

#include "jet/base/rng.h"
#include "jet/base/threads.h"
#include "jet/engine/cpu/cpu_ops.h"
#include "jet/engine/sequence.h"
#include "jet/engine/weights.h"
#include "jet/model/transformer.h"

namespace jet {

struct Engine::Impl {
  ModelSpec spec;
  GenerationConfig generation;
  EngineOptions options;
  ThreadPool pool;
  Arena arena;
  OpMeter meter;
  CpuOps ops;
  LoadedWeights loaded;
  ModelState<CpuState> state;  // indices into a sequence's stores
  std::shared_ptr<StateLayout> layout;
  See see;
  std::vector<Segment> segments;
  std::vector<int32_t> ids;
  CpuTensor logits;               // of the last pass: what steps show
  std::vector<float> all_logits;  // of a prompt that took several passes

  Impl(ModelSpec s, GenerationConfig g, EngineOptions o)
      : spec(std::move(s)), generation(std::move(g)), options(o), pool(threads_asked(o.threads)), arena(o.poison),
        ops(pool, arena, meter, o.exact ? exact_kernels() : kernels()), layout(std::make_shared<StateLayout>()) {
    options.threads = pool.size();
    layout->kv = options.kv;
    layout->recurrent = options.state;
    layout->max_length = spec.max_position_embeddings;
    model_state(spec, state, [&](int layer, const char* name, CpuState& handle, const StateSpec& p) {
      handle.index = static_cast<int>(layout->entries.size());
      layout->entries.push_back({layer, name, p});
    });
  }

  void take(LoadedWeights weights) {
    loaded = std::move(weights);
    layout->fingerprint = fmt::format("{:016x}", hash64(spec_to_json(spec).dump(), loaded.hash));
  }

  void check_step(const Sequence::Impl* s, std::span<const int32_t> new_ids) const;
  void run(std::span<Step> steps);
};

namespace {

void check_options(const EngineOptions& o) {
  require(o.kv == DType::bf16 || o.kv == DType::f32 || o.kv == DType::i8,
          "kv type {} is not supported (known: bf16, f32, i8)", name_of(o.kv));
  require(o.state == DType::bf16 || o.state == DType::f32, "state type {} is not supported (known: f32, bf16)",
          name_of(o.state));
  require(o.prefill_chunk > 0, "prefill_chunk is {}, expected a positive number", o.prefill_chunk);
  require(o.threads >= 0 && o.threads <= 4096, "threads is {}, expected 0 (all cores) to 4096", o.threads);
}

}  // namespace

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::~Engine() = default;

std::shared_ptr<Engine> Engine::load(const std::string& folder, EngineOptions options) {
  check_options(options);
  Checkpoint checkpoint = Checkpoint::open(folder);
  auto impl = std::make_unique<Impl>(checkpoint.spec, checkpoint.generation, options);
  impl->take(load_weights(std::move(checkpoint)));
  return std::shared_ptr<Engine>(new Engine(std::move(impl)));
}

std::shared_ptr<Engine> Engine::random(const ModelSpec& spec, uint64_t seed, DType weights, EngineOptions options) {
  check_options(options);
  check_spec(spec, "model");
  auto impl = std::make_unique<Impl>(spec, GenerationConfig{.eos_token_id = spec.eos_token_id}, options);
  impl->take(random_weights(spec, seed, weights, impl->pool));
  return std::shared_ptr<Engine>(new Engine(std::move(impl)));
}

const ModelSpec& Engine::spec() const { return impl_->spec; }
const GenerationConfig& Engine::generation() const { return impl_->generation; }
const EngineOptions& Engine::options() const { return impl_->options; }
int64_t Engine::weight_bytes() const { return impl_->loaded.bytes; }
CountTypes Engine::count_types() const {
  std::map<std::string, DType> types;
  ModelWeights<CpuWeight> weights = impl_->loaded.weights;  // handles
  model_params(impl_->spec, weights,
               [&](const std::string& name, const CpuWeight& w, const ParamSpec&) { types[name] = w.dtype; });
  CountTypes t;
  t.weights = [types = std::move(types)](const std::string& name, const ParamSpec&) { return types.at(name); };
  t.kv = impl_->options.kv, t.state = impl_->options.state;
  return t;
}
OpMeter& Engine::meter() { return impl_->meter; }
void Engine::observe(See see) { impl_->see = std::move(see); }

std::unique_ptr<Sequence> Engine::create() const {
  auto impl = std::make_unique<Sequence::Impl>(Sequence::Impl{impl_->layout, SequenceState(*impl_->layout)});
  return std::unique_ptr<Sequence>(new Sequence(std::move(impl)));
}

int64_t Engine::sequence_bytes(int64_t tokens) const {
  const StateLayout& layout = *impl_->layout;
  int64_t bytes = 0;
  for (const auto& e : layout.entries) {
    if (e.spec.kind == StateSpec::rows) {
      bytes += layout.make_rows(e).row_bytes() * (e.grows() ? tokens : std::min<int64_t>(tokens, e.spec.window));
    } else {
      bytes += numel(e.spec.shape) * static_cast<int64_t>(size_of(e.is_recurrent() ? layout.recurrent : DType::f32));
    }
  }
  return bytes;
}

void Engine::Impl::check_step(const Sequence::Impl* s, std::span<const int32_t> new_ids) const {
  require(s->layout == layout, "the sequence belongs to another engine");
  require(!s->broken, "the sequence was left half written by a failed pass; reset it");
  require(!new_ids.empty(), "no tokens to run: the prompt is empty");
  const int64_t length = s->state.length + static_cast<int64_t>(new_ids.size());
  require(length <= spec.max_position_embeddings, "{} tokens after {} do not fit the model's context of {}",
          new_ids.size(), s->state.length, spec.max_position_embeddings);
  for (const int32_t id : new_ids) {
    require(id >= 0 && id < spec.vocab_size, "token id {} is outside the vocabulary of {}", id, spec.vocab_size);
  }
}

void Engine::Impl::run(std::span<Step> steps) {
  logits = {};
  ops.begin(segments);
  const auto watch = [this](const char* name, int layer, const CpuTensor& x) {
    if (see) see(name, layer, {x.data, static_cast<size_t>(x.rows * x.dims.count())});
  };
  logits = logits_forward(ops, spec, loaded.weights, std::span<const int32_t>(ids), state, watch);
  int64_t row = 0;
  for (size_t i = 0; i < steps.size(); ++i) {
    const int64_t n = segments[i].wanted;
    steps[i].logits = {logits.data + row * logits.stride, static_cast<size_t>(n * logits.stride)};
    row += n;
  }
}

void Engine::forward(std::span<Step> steps) {
  Impl& e = *impl_;
  e.segments.clear();
  e.ids.clear();
  for (size_t i = 0; i < steps.size(); ++i) {
    const Step& s = steps[i];
    require(s.sequence != nullptr, "step {} has no sequence", i);
    e.check_step(s.sequence->impl_.get(), s.ids);
    SequenceState* state = &s.sequence->impl_->state;
    for (const Segment& other : e.segments) {
      require(other.sequence != state, "step {}: a sequence stands twice in one pass", i);
    }
    const auto n = static_cast<int64_t>(s.ids.size());
    const int64_t wanted = s.want == Want::all ? n : s.want == Want::last ? 1 : 0;
    e.segments.push_back({state, static_cast<int64_t>(e.ids.size()), n, state->length, wanted});
    e.ids.insert(e.ids.end(), s.ids.begin(), s.ids.end());
  }
  if (steps.empty()) return;
  for (const Segment& s : e.segments) s.sequence->reserve(s.rows);
  try {
    e.run(steps);
  } catch (...) {
    for (const Step& s : steps) s.sequence->impl_->broken = true;
    throw;
  }
  for (const Segment& s : e.segments) s.sequence->length += s.rows;
}

std::span<const float> Engine::prefill(Sequence& sequence, std::span<const int32_t> ids, Want want, int chunk) {
  require(chunk >= 0, "prefill: a chunk of {} tokens", chunk);
  impl_->check_step(sequence.impl_.get(), ids);
  const size_t most = static_cast<size_t>(chunk > 0 ? chunk : impl_->options.prefill_chunk);
  std::vector<float>& all = impl_->all_logits;
  all = {};
  for (size_t at = 0; at < ids.size(); at += most) {
    const auto part = ids.subspan(at, std::min(most, ids.size() - at));
    const bool is_last = at + part.size() == ids.size();
    Step step{&sequence, part, want == Want::last && !is_last ? Want::nothing : want};
    forward({&step, 1});
    if (is_last && all.empty()) return step.logits;
    all.insert(all.end(), step.logits.begin(), step.logits.end());
  }
  return all;
}

}  // namespace jet
