#include "jet/base/progress.h"

#include <fmt/format.h>

namespace jet {

namespace {
ProgressSink* the_sink = nullptr;
}

ProgressSink* set_progress_sink(ProgressSink* sink) {
  ProgressSink* before = the_sink;
  the_sink = sink;
  return before;
}

Progress::Progress(std::string stage, int64_t total, const char* unit, int64_t done)
    : start_(std::chrono::steady_clock::now()) {
  state_.stage = std::move(stage), state_.unit = unit;
  state_.total = total, state_.done = state_.before = done;
}

Progress::~Progress() {
  if (!state_.finished && the_sink) the_sink->give_up();
}

void Progress::update(int64_t done, const std::string& note) {
  state_.done = done;
  if (!note.empty()) state_.note = note;
  tell();
}

void Progress::finish(const std::string& note) {
  state_.finished = true;
  update(state_.total, note);
}

void Progress::tell() {
  if (!the_sink) return;
  state_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  const double rate = state_.rate();
  state_.left = rate > 0 ? static_cast<double>(state_.total - state_.done) / rate : -1;
  the_sink->show(state_);
}

std::string format_duration(double seconds) {
  const auto s = static_cast<int64_t>(seconds + 0.5);
  if (s >= 3600) return fmt::format("{}h{:02}m", s / 3600, s / 60 % 60);
  if (s >= 60) return fmt::format("{}m{:02}s", s / 60, s % 60);
  return fmt::format("{}s", s);
}

std::string format_count(double n) {
  if (n >= 1e9) return fmt::format("{:.2f}G", n / 1e9);
  if (n >= 1e6) return fmt::format("{:.2f}M", n / 1e6);
  if (n >= 1e4) return fmt::format("{:.0f}k", n / 1e3);
  return fmt::format("{:.0f}", n);
}

}  // namespace jet
