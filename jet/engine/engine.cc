#include "jet/engine/engine.h"

#include <algorithm>
#include <utility>

#include "jet/base/rng.h"
#include "jet/base/threads.h"
#include "jet/engine/backend.h"
#include "jet/engine/cpu/cpu_backend.h"
#include "jet/engine/sequence.h"
#include "jet/engine/trace/trace_backend.h"

namespace jet {

namespace {

void check_options(const EngineOptions& o) {
  require(o.kv == DType::bf16 || o.kv == DType::f32 || o.kv == DType::i8,
          "kv type {} is not supported (known: bf16, f32, i8)", name_of(o.kv));
  require(o.state == DType::bf16 || o.state == DType::f32, "state type {} is not supported (known: f32, bf16)",
          name_of(o.state));
  require(o.prefill_chunk > 0, "prefill_chunk is {}, expected a positive number", o.prefill_chunk);
  require(o.threads >= 0 && o.threads <= kMostThreads, "threads is {}, expected 0 (all cores) to {}", o.threads,
          kMostThreads);
}

/// The op set that runs a model is chosen here.
std::unique_ptr<Backend> make_backend(const ModelSpec& spec, const EngineOptions& options) {
  if (options.traced) return std::make_unique<TraceBackend>(spec, options);
  return std::make_unique<CpuBackend>(spec, options);
}

}  // namespace

struct Engine::Impl {
  ModelSpec spec;
  GenerationConfig generation;
  std::vector<std::string> notes;
  EngineOptions options;
  std::unique_ptr<Backend> backend;
  std::shared_ptr<const StateLayout> layout;
  See see;
  std::vector<Segment> segments;
  std::vector<int32_t> ids;
  std::vector<float> all_logits;  // of a prompt that took several passes

  Impl(ModelSpec s, GenerationConfig g, EngineOptions o)
      : spec(std::move(s)), generation(std::move(g)), options(o), backend(make_backend(spec, options)) {
    options.threads = backend->threads();
  }

  /// After the weights are there.
  void lay_out_states();
  void check_step(const Sequence::Impl* s, std::span<const int32_t> new_ids) const;
  void run(std::span<Step> steps);
};

void Engine::Impl::lay_out_states() {
  StateLayout made;
  ModelState<int> state;
  model_state(spec, state, [&](int layer, const char* name, int&, const StateSpec& p) {
    made.entries.push_back({layer, name, p});
  });
  made.kv = options.kv, made.recurrent = options.state;
  made.max_length = spec.max_position_embeddings;
  made.fingerprint = fmt::format("{:016x}", hash64(json_text(spec_to_json(spec)), backend->weight_hash()));
  layout = std::make_shared<const StateLayout>(std::move(made));
}

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::~Engine() = default;

std::shared_ptr<Engine> Engine::load(const std::string& folder, EngineOptions options) {
  check_options(options);
  Checkpoint checkpoint = Checkpoint::open(folder);
  auto impl = std::make_unique<Impl>(checkpoint.spec, checkpoint.generation, options);
  impl->notes = checkpoint.notes;
  impl->backend->load(std::move(checkpoint));
  impl->lay_out_states();
  return std::shared_ptr<Engine>(new Engine(std::move(impl)));
}

std::shared_ptr<Engine> Engine::random(const ModelSpec& spec, uint64_t seed, DType weights, EngineOptions options) {
  check_options(options);
  check_spec(spec, "model");
  auto impl = std::make_unique<Impl>(spec, GenerationConfig{.eos_token_id = spec.eos_token_id}, options);
  impl->backend->randomize(seed, weights);
  impl->lay_out_states();
  return std::shared_ptr<Engine>(new Engine(std::move(impl)));
}

const ModelSpec& Engine::spec() const { return impl_->spec; }
const GenerationConfig& Engine::generation() const { return impl_->generation; }
const std::vector<std::string>& Engine::notes() const { return impl_->notes; }
const EngineOptions& Engine::options() const { return impl_->options; }
int64_t Engine::weight_bytes() const { return impl_->backend->weight_bytes(); }
CountTypes Engine::count_types() const { return impl_->backend->count_types(); }
OpMeter& Engine::meter() { return impl_->backend->meter(); }
void Engine::observe(See see) { impl_->see = std::move(see); }

int64_t Engine::sequence_bytes(int64_t tokens) const { return impl_->layout->bytes(tokens); }

std::unique_ptr<Sequence> Engine::create() const {
  auto state = impl_->backend->create_state(impl_->layout);
  return std::unique_ptr<Sequence>(new Sequence(std::make_unique<Sequence::Impl>(Sequence::Impl{std::move(state)})));
}

void Engine::Impl::check_step(const Sequence::Impl* s, std::span<const int32_t> new_ids) const {
  require(s->state->layout == layout, "the sequence belongs to another engine");
  require(!s->broken, "the sequence was left half written by a failed pass; reset it");
  require(!new_ids.empty(), "no tokens to run: the prompt is empty");
  const int64_t length = s->state->length + static_cast<int64_t>(new_ids.size());
  require(length <= spec.max_position_embeddings, "{} tokens after {} do not fit the model's context of {}",
          new_ids.size(), s->state->length, spec.max_position_embeddings);
  for (const int32_t id : new_ids) {
    require(id >= 0 && id < spec.vocab_size, "token id {} is outside the vocabulary of {}", id, spec.vocab_size);
  }
}

void Engine::Impl::run(std::span<Step> steps) {
  std::span<const float> logits = backend->run(segments, ids, see);
  for (size_t i = 0; i < steps.size(); ++i) {
    steps[i].logits = logits.first(static_cast<size_t>(segments[i].wanted * spec.vocab_size));
    logits = logits.subspan(steps[i].logits.size());
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
    SequenceState* state = s.sequence->impl_->state.get();
    for (const Segment& other : e.segments) {
      require(other.state != state, "step {}: a sequence stands twice in one pass", i);
    }
    const auto n = static_cast<int64_t>(s.ids.size());
    const int64_t wanted = s.want == Want::all ? n : s.want == Want::last ? 1 : 0;
    e.segments.push_back({state, static_cast<int64_t>(e.ids.size()), n, state->length, wanted});
    e.ids.insert(e.ids.end(), s.ids.begin(), s.ids.end());
  }
  if (steps.empty()) return;
  for (const Segment& s : e.segments) s.state->reserve(s.rows);
  try {
    e.run(steps);
  } catch (...) {
    for (const Step& s : steps) s.sequence->impl_->broken = true;
    throw;
  }
  for (const Segment& s : e.segments) s.state->length += s.rows;
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
