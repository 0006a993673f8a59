// Many requests at once on one engine. A pass takes the next token of every sequence that generates and, up to a budget
// of tokens, chunks of the prompts that are being read:
//
//   pass:   | A: 1 | C: 1 | D: 1 | E: 300 tokens of its prompt | F: 212 |
//
// Requests wait until the memory that their sequence can come to need (prompt and max_new_tokens) is free. Clients take
// turns, and each one's requests keep the order of their arrival; what is next waits for its memory, and none overtakes
// it. Prompts are read in turn, too:
//
//   arrived   A1 A2 A3 A4 B1 A5 B2          admitted   A1 B1 A2 B2 A3 A4 A5
//
// Each is what generate() makes of it alone: its own Decoding takes its own logits.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "jet/engine/generate.h"
#include "jet/engine/prefix_cache.h"

namespace jet {

struct Request {
  std::vector<int32_t> prompt;
  GenerateOptions options{};
  OnToken on_token{};            // may submit and cancel
  std::vector<int64_t> marks{};  // where the prefix cache should keep checkpoints: ends of messages
  uint64_t client = 0;           // who asks
};

/// What has become of a request, and what was made of it so far.
struct Generation : Generated {
  enum Status { waiting, running, finished, cancelled, failed } status = waiting;
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
  int64_t waiting_of(uint64_t client) const;
  int64_t running() const;
  int64_t bytes() const;                                            // set aside for running sequences
  int64_t prompt_tokens_run() const { return prompt_tokens_run_; }  // of all requests since the start

 private:
  struct Job;
  void line_up(std::unique_ptr<Job> job);
  void admit();
  void collect();
  void add_step(Job& job, int64_t tokens);
  void advance(Job& job, std::span<const float> logits);
  void finish(Job& job, Generation::Status status);

  Engine& engine_;
  SchedulerOptions options_;
  PrefixCache* cache_;
  std::deque<std::unique_ptr<Job>> waiting_;  // by turn
  std::vector<std::unique_ptr<Job>> running_;
  std::vector<Step> steps_;      // of the present pass
  std::vector<Job*> step_jobs_;  // whose they are
  int64_t prompt_tokens_run_ = 0;
  int64_t turn_ = 0;  // of what was admitted last
};

}  // namespace jet
