// Many requests at once on one engine. A pass takes the next token of every sequence that generates and, up to a budget
// of tokens, chunks of the prompts that are being read:
//
//   pass:   | A: 1 | C: 1 | D: 1 | E: 300 tokens of its prompt | F: 212 |
//
// Requests wait in the order of their arrival until the memory that their sequence can come to need (prompt and
// max_new_tokens) is free; none overtakes another. Each ends as it would alone: with its own sampler, on its own
// logits.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "jet/engine/prefix_cache.h"
#include "jet/engine/sampler.h"

namespace jet {

struct Request {
  std::vector<int32_t> prompt;
  GenerateOptions options{};
  std::function<bool(int32_t)> on_token{};  // as each is made; false ends the request. May submit and cancel.
  std::vector<int64_t> marks{};             // where the prefix cache should keep checkpoints: ends of messages
};

/// What has become of a request.
struct Generation {
  enum Status { waiting, running, eos, length, stopped, cancelled, failed } status = waiting;
  std::vector<int32_t> ids{};     // made so far, eos not included
  int64_t prompt_tokens_run = 0;  // the others came from the prefix cache
  std::string error{};            // where it failed
  bool over() const { return status != waiting && status != running; }
};

struct SchedulerOptions {
  int64_t cache_bytes = int64_t{1} << 30;  // for the states of all running sequences together
  int prefill_tokens = 512;                // of prompts, in one pass
  int most_running = 64;                   // sequences
};

/// One thread drives it: submit, cancel and step are not to be called at the same time.
class Scheduler {
 public:
  /// Engine and cache must outlive it. Throws Error on options that are not positive.
  Scheduler(Engine& engine, const SchedulerOptions& options, PrefixCache* cache = nullptr);
  ~Scheduler();

  /// Throws Error on a prompt or options that generate() would refuse, and on what could never fit into the budget.
  std::shared_ptr<const Generation> submit(Request request);
  /// Ends it where it stands; its memory is free at once.
  void cancel(const std::shared_ptr<const Generation>& generation);
  /// One pass. Returns whether there is more to do. What fails inside a pass ends the requests of that pass.
  bool step();

  int64_t waiting() const;
  int64_t running() const;
  int64_t bytes() const;  // set aside for running sequences

 private:
  struct Job;
  void admit();
  void collect();
  void advance(Job& job, std::span<const float> logits);
  void finish(Job& job, Generation::Status status);

  Engine& engine_;
  SchedulerOptions options_;
  PrefixCache* cache_;
  std::deque<std::unique_ptr<Job>> waiting_;
  std::vector<std::unique_ptr<Job>> running_;
  std::vector<Step> steps_;      // of the present pass
  std::vector<Job*> step_jobs_;  // whose they are
};

}  // namespace jet
