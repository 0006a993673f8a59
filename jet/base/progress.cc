#include "jet/base/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

namespace jet {

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

Progress::Progress(std::string stage, int64_t total, const char* unit, int64_t done)
    : stage_(std::move(stage)), unit_(unit), total_(total), first_(done), done_(done), start_(Clock::now()),
      printed_(start_ - std::chrono::hours(1)), terminal_(::isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
  if (!finished_ && terminal_ && !quiet) std::fputc('\n', stderr);
}

double Progress::seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

void Progress::update(int64_t done, const std::string& note) {
  done_ = done;
  if (!note.empty()) note_ = note;
  const auto now = Clock::now();
  if (now - printed_ < (terminal_ ? std::chrono::milliseconds(200) : std::chrono::milliseconds(10000))) return;
  printed_ = now;
  print(false);
}

void Progress::finish(const std::string& note) {
  done_ = total_;
  if (!note.empty()) note_ = note;
  print(true);
  finished_ = true;
}

void Progress::print(bool last) {
  if (quiet) return;
  const double t = seconds(), rate = t > 0 ? static_cast<double>(done_ - first_) / t : 0;
  const std::string when =
      last ? "in " + format_duration(t)
           : (rate > 0 ? "ETA " + format_duration(static_cast<double>(total_ - done_) / rate) : "ETA ?");
  const std::string line =
      fmt::format("{:<34} {:3.0f}%  {:>6} {}  {:>6}/s  {}  {}", stage_,
                  total_ > 0 ? 100.0 * static_cast<double>(done_) / static_cast<double>(total_) : 100.0,
                  format_count(static_cast<double>(done_)), unit_, format_count(rate), note_, when);
  std::fprintf(stderr, terminal_ ? "\r\033[K%s%s" : "%s%s", line.c_str(), last || !terminal_ ? "\n" : "");
  std::fflush(stderr);
}

}  // namespace jet
