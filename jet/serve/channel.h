// What becomes of one request, on its way from the engine's thread to the one that answers its client.
//
//   engine's thread    push(choice, token) ... end(choice, outcome)  -->  | events |  -->  take()    client's thread
//                      false: the client has gone, or reads too slowly                     close()
//
// The engine never waits for a client: who lets `most_events` pile up is dropped.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "jet/engine/generate.h"

namespace jet {

/// How a text ended, and what it took.
struct Outcome {
  Finish finish = Finish::none;
  std::string error{};  // not empty: it failed
  std::string tail{};   // the end of the text that no token brought
  int64_t prompt_tokens = 0, cached_tokens = 0, made_tokens = 0;
  double queue_seconds = 0, read_seconds = 0, decode_seconds = 0;  // the first token comes with the reading
};

struct ChannelEvent {
  int choice = 0;
  NewToken token{};
  bool is_end = false;
  Outcome outcome{};
};

class Channel {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Channel(Clock::time_point deadline = Clock::time_point::max(), size_t most_events = 16384)
      : most_events_(most_events), deadline_(deadline) {}

  // The engine's thread.
  bool push(int choice, const NewToken& token);
  void end(int choice, Outcome outcome);
  /// Why its texts have to end now; empty where they may go on.
  std::string end_reason() const;

  // The client's thread.
  /// What has come; waits at most so long where nothing has.
  std::vector<ChannelEvent> take(std::chrono::milliseconds wait);
  /// The client has gone.
  void close();

 private:
  mutable std::mutex mutex_;
  std::condition_variable came_;
  std::vector<ChannelEvent> events_;
  size_t most_events_;
  Clock::time_point deadline_;
  bool closed_ = false, overrun_ = false;
};

}  // namespace jet
