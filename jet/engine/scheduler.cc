#include "jet/engine/scheduler.h"

#include <algorithm>
#include <map>
#include <utility>

namespace jet {

struct Scheduler::Job {
  Job(const Engine& engine, Request r)
      : request(std::move(r)), generation(std::make_shared<Generation>()),
        decoding(engine, request.prompt, request.options, request.on_token, *generation) {}

  Request request;
  std::shared_ptr<Generation> generation;
  Decoding decoding;                     // the sequence holds the beginning of its ids
  int64_t most_tokens = 0;               // that the sequence can come to hold
  int64_t bytes = 0;                     // set aside for them
  int64_t turn = 0;                      // when it is to be admitted, and when its prompt is to be read
  std::unique_ptr<Sequence> sequence{};  // null before and after running
  PrefixCache::Reading reading{};
  int64_t prompt_tokens() const { return static_cast<int64_t>(request.prompt.size()); }
};

Scheduler::Scheduler(Engine& engine, const SchedulerOptions& options, PrefixCache* cache)
    : engine_(engine), options_(options), cache_(cache) {
  require(options.cache_bytes > 0, "scheduler: a budget of {} bytes for states, expected more than 0",
          options.cache_bytes);
  require(options.prefill_tokens > 0, "scheduler: {} prompt tokens a pass, expected 1 or more", options.prefill_tokens);
  require(options.most_running > 0, "scheduler: {} sequences at once, expected 1 or more", options.most_running);
}

Scheduler::~Scheduler() = default;

std::shared_ptr<const Generation> Scheduler::submit(Request request) {
  const ModelSpec& spec = engine_.spec();
  const auto n = static_cast<int64_t>(request.prompt.size());
  require(n > 0, "the prompt is empty");
  require(n <= spec.max_position_embeddings, "a prompt of {} tokens does not fit the model's context of {}", n,
          spec.max_position_embeddings);
  for (const int32_t id : request.prompt) {
    require(id >= 0 && id < spec.vocab_size, "token id {} is outside the vocabulary of {}", id, spec.vocab_size);
  }
  auto job = std::make_unique<Job>(engine_, std::move(request));
  // The last token that is made is not run.
  job->most_tokens = n + std::max<int64_t>(0, job->decoding.left() - 1);
  job->bytes = engine_.sequence_bytes(job->most_tokens);
  require(job->bytes <= options_.cache_bytes,
          "{} prompt tokens and {} new ones need {} bytes of cache, the scheduler has {}: shorten the request or raise "
          "the budget",
          n, job->request.options.max_new_tokens, job->bytes, options_.cache_bytes);
  const auto generation = job->generation;
  line_up(std::move(job));
  return generation;
}

/// A client's next turn is after its last one, and not before that of what was admitted last.
void Scheduler::line_up(std::unique_ptr<Job> job) {
  job->turn = turn_;
  const auto look_at = [&](const auto& jobs) {
    for (const auto& other : jobs)
      if (other->request.client == job->request.client) job->turn = std::max(job->turn, other->turn + 1);
  };
  look_at(running_);
  look_at(waiting_);
  const auto is_later = [&](const auto& other) { return other->turn > job->turn; };
  waiting_.insert(std::find_if(waiting_.begin(), waiting_.end(), is_later), std::move(job));
}

void Scheduler::cancel(const std::shared_ptr<const Generation>& generation) {
  const auto is_it = [&](const auto& job) { return job->generation == generation; };
  const auto found = std::find_if(running_.begin(), running_.end(), is_it);
  if (found != running_.end() && !generation->over()) finish(**found, Generation::cancelled);
  const auto queued = std::find_if(waiting_.begin(), waiting_.end(), is_it);
  if (queued == waiting_.end()) return;
  (*queued)->generation->status = Generation::cancelled;
  waiting_.erase(queued);
}

int64_t Scheduler::waiting() const { return static_cast<int64_t>(waiting_.size()); }

int64_t Scheduler::waiting_of(uint64_t client) const {
  return std::count_if(waiting_.begin(), waiting_.end(),
                       [&](const auto& job) { return job->request.client == client; });
}

int64_t Scheduler::running() const {
  return std::count_if(running_.begin(), running_.end(), [](const auto& job) { return job->sequence != nullptr; });
}

int64_t Scheduler::bytes() const {
  int64_t n = 0;
  for (const auto& job : running_) n += job->sequence ? job->bytes : 0;
  return n;
}

void Scheduler::admit() {
  std::erase_if(running_, [](const auto& job) { return job->sequence == nullptr; });
  while (!waiting_.empty() && static_cast<int>(running_.size()) < options_.most_running) {
    Job& job = *waiting_.front();
    if (bytes() + job.bytes > options_.cache_bytes) return;
    job.sequence = cache_ ? cache_->lookup(job.decoding.ids(), job.most_tokens) : engine_.create();
    job.sequence->reserve(job.most_tokens);
    if (cache_) job.reading = {*cache_, job.request.prompt, job.sequence->length(), job.request.marks};
    job.generation->status = Generation::running;
    turn_ = job.turn;
    job.generation->prompt_tokens_run = job.decoding.size() - job.sequence->length();
    running_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
}

/// The pass's steps: a token of each sequence that generates, then prompts: the first of each client in the order of
/// arrival, then the second of each, ...
void Scheduler::collect() {
  steps_.clear();
  step_jobs_.clear();
  std::vector<std::pair<int, Job*>> reading;
  std::map<uint64_t, int> places;  // of a client's next prompt
  for (const auto& job : running_) {
    if (job->sequence->length() < job->prompt_tokens()) {
      reading.emplace_back(places[job->request.client]++, job.get());
    } else {
      add_step(*job, 1);
    }
  }
  std::stable_sort(reading.begin(), reading.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  int64_t budget = options_.prefill_tokens;
  for (const auto& [place, job] : reading) {
    const int64_t at = job->sequence->length();
    const int64_t n = std::min(budget, (cache_ ? job->reading.pass_end(at) : job->prompt_tokens()) - at);
    if (n == 0) return;
    budget -= n;
    prompt_tokens_run_ += n;
    add_step(*job, n);
  }
}

void Scheduler::add_step(Job& job, int64_t tokens) {
  const int64_t at = job.sequence->length();
  const Want want = at + tokens == job.decoding.size() ? Want::last : Want::nothing;
  steps_.push_back({job.sequence.get(), job.decoding.ids().subspan(at, tokens), want});
  step_jobs_.push_back(&job);
}

bool Scheduler::step() {
  admit();
  collect();
  try {
    engine_.forward(steps_);
  } catch (const std::exception& e) {
    for (Job* job : step_jobs_) {
      job->generation->error = e.what();
      finish(*job, Generation::failed);
    }
    steps_.clear();
    step_jobs_.clear();
  }
  for (size_t i = 0; i < steps_.size(); ++i) {
    Job& job = *step_jobs_[i];
    if (!job.sequence) continue;  // cancelled by another's on_token
    try {
      advance(job, steps_[i].logits);
    } catch (const std::exception& e) {
      job.generation->error = e.what();
      finish(job, Generation::failed);
    }
  }
  return running() > 0 || !waiting_.empty();
}

/// After a pass: keeps what the prefix cache wants, and decodes where the logits of the whole text are there.
void Scheduler::advance(Job& job, std::span<const float> logits) {
  if (cache_) job.reading.store_passed(*job.sequence);
  if (job.sequence->length() < job.prompt_tokens()) return;
  if (!job.decoding.over()) job.decoding.advance(logits);
  if (!job.sequence) return;  // cancelled by its own on_token
  if (job.decoding.over()) finish(job, Generation::finished);
}

void Scheduler::finish(Job& job, Generation::Status status) {
  job.generation->status = status;
  const bool is_sound = status == Generation::finished;
  if (cache_ && is_sound) cache_->store(job.decoding.ids().first(job.sequence->length()), *job.sequence);
  job.sequence.reset();
}

}  // namespace jet
