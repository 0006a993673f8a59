#include "jet/serve/channel.h"

#include <utility>

namespace jet {

bool Channel::push(int choice, const NewToken& token) {
  const std::lock_guard lock(mutex_);
  overrun_ = overrun_ || events_.size() >= most_events_;
  if (closed_ || overrun_) return false;
  events_.push_back({.choice = choice, .token = token});
  came_.notify_one();
  return true;
}

void Channel::end(int choice, Outcome outcome) {
  const std::lock_guard lock(mutex_);
  events_.push_back({.choice = choice, .is_end = true, .outcome = std::move(outcome)});
  came_.notify_one();
}

std::string Channel::end_reason() const {
  const std::lock_guard lock(mutex_);
  if (closed_) return "the client has gone";
  if (overrun_) return "the client reads more slowly than the model writes";
  if (Clock::now() > deadline_) return "the request took longer than the server allows";
  return "";
}

std::vector<ChannelEvent> Channel::take(std::chrono::milliseconds wait) {
  std::unique_lock lock(mutex_);
  came_.wait_for(lock, wait, [&] { return !events_.empty(); });
  return std::exchange(events_, {});
}

void Channel::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
}

}  // namespace jet
