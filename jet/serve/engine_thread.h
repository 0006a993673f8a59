// The one thread that runs the model. It owns scheduler and prefix cache; others hand it work through a mailbox, which
// it empties between two passes:
//
//   client threads --submit, run--> mailbox --> | mail | pass | mail | pass | ... |  --> channels --> client threads
//
// Where nothing is to be done it sleeps. What the prefix cache lets go is written to a folder by a thread of its own;
// what a prompt begins with and only the folder has is read by the client's thread, before the prompt is submitted.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "jet/engine/prefix_cache.h"
#include "jet/engine/prefix_folder.h"
#include "jet/engine/scheduler.h"
#include "jet/serve/channel.h"

namespace jet {

struct EngineThreadOptions {
  SchedulerOptions scheduler{};
  int64_t cache_bytes = int64_t{1} << 30;  // of the prefix cache
  int cache_stride = 0;                    // tokens between its checkpoints; 0: as it sees fit
  int64_t most_waiting = 256;              // texts of a client that wait for memory; in all four times so many
  PrefixFolderOptions folder{};            // of the prefix cache; without a path there is none. owner.model: a hash
                                           // of the model's files, which what else tells models apart is added to
};

/// Counters since the start, and how things stand.
struct EngineStats {
  int64_t requests = 0, prompt_tokens = 0, cached_tokens = 0, generated_tokens = 0;  // prompt: cached ones included
  int64_t running = 0, waiting = 0, sequence_bytes = 0, cache_bytes = 0, checkpoints = 0;
  double decode_tps = 0, prefill_tps = 0;  // of the last seconds
  double uptime_s = 0;
  PrefixFolderStats folder{};
};

/// Thrown by submit() where as many texts wait as may.
class Busy : public Error {
 public:
  using Error::Error;
};

class EngineThread {
 public:
  /// The engine must outlive it, and nobody else may run it meanwhile.
  EngineThread(Engine& engine, const EngineThreadOptions& options);
  /// Ends what runs.
  ~EngineThread();
  EngineThread(const EngineThread&) = delete;
  EngineThread& operator=(const EngineThread&) = delete;

  /// Takes all texts of a client's request, whose tokens and outcomes go to `channel` by their place in the list.
  /// Throws Busy, and Error on what the scheduler refuses; then none is taken.
  void submit(std::vector<Request> choices, const std::shared_ptr<Channel>& channel);
  /// Runs `work` between two passes and waits for it; rethrows what it throws.
  void run(const std::function<void(Engine&)>& work);
  void run_on_cache(const std::function<void(PrefixCache&)>& work);
  /// Of files that hold parts of the cache, and a state to read them by.
  const PrefixOwner& owner() const { return options_.folder.owner; }
  const std::shared_ptr<const SequenceState>& empty_state() const { return cache_.empty_state(); }
  /// Where the prefix cache is kept, or null.
  PrefixFolder* folder() { return folder_.get(); }
  EngineStats stats() const;
  const EngineThreadOptions& options() const { return options_; }

 private:
  struct Text;
  struct Rate {
    Channel::Clock::time_point at;
    int64_t made = 0, read = 0;
  };
  void loop();
  bool take_mail(bool wait);
  void post(std::function<void()> mail);
  void read_folder(const std::vector<Request>& choices);
  void add(std::vector<Request> choices, const std::shared_ptr<Channel>& channel);
  std::unique_ptr<Text> text_of(Request request, int choice, const std::shared_ptr<Channel>& channel);
  void end_what_is_over();
  void end_all(const std::string& why);
  void count();
  template <class F>
  void tell(F&& change) {
    const std::lock_guard lock(mutex_);
    change(stats_);
  }

  Engine& engine_;
  PrefixCache cache_;
  EngineThreadOptions options_;
  std::unique_ptr<PrefixFolder> folder_;
  std::mutex reading_;  // what several ask for at once is read once
  Scheduler scheduler_;
  std::vector<std::unique_ptr<Text>> texts_;  // those that are not over
  std::deque<Rate> rates_;

  mutable std::mutex mutex_;  // of what follows
  std::condition_variable came_;
  std::deque<std::function<void()>> mail_;
  bool stops_ = false;
  EngineStats stats_;  // written by the engine's thread
  Channel::Clock::time_point counted_at_{}, pass_began_{};
  const Channel::Clock::time_point started_ = Channel::Clock::now();

  std::thread thread_;
};

}  // namespace jet
