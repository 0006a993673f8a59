#include "jet/cli/terminal_progress.h"

#include <unistd.h>

#include <cstdio>

#include <fmt/format.h>

namespace jet {

namespace {

std::string line_of(const ProgressState& s) {
  std::string when = s.left >= 0 ? "ETA " + format_duration(s.left) : "ETA ?";
  if (s.finished) when = "in " + format_duration(s.seconds);
  if (s.whole_left >= 0) when += fmt::format(" (run {})", format_duration(s.whole_left));
  const std::string rate = s.rate() < 10 ? fmt::format("{:.2g}", s.rate()) : format_count(s.rate());
  const auto done = static_cast<double>(s.done), total = static_cast<double>(s.total);
  return fmt::format("{:<34} {:3.0f}%  {:>6} {}  {:>6}/s  {}  {}", s.stage, s.total > 0 ? 100 * done / total : 100.0,
                     format_count(done), s.unit, rate, s.note, when);
}

}  // namespace

// In a log, work that ends within the first pause has its last line only, and an error stands alone.
TerminalProgress::TerminalProgress() : terminal_(::isatty(STDERR_FILENO) == 1) {
  if (!terminal_) shown_ = std::chrono::steady_clock::now();
}

void TerminalProgress::show(const ProgressState& s) {
  const auto now = std::chrono::steady_clock::now();
  const std::chrono::milliseconds pause(terminal_ ? 200 : 10000);
  if (!s.finished && now - shown_ < pause) return;
  shown_ = now;
  open_ = terminal_ && !s.finished;
  std::fprintf(stderr, terminal_ ? "\r\033[K%s%s" : "%s%s", line_of(s).c_str(), open_ ? "" : "\n");
  std::fflush(stderr);
}

void show_progress() {
  static TerminalProgress terminal;
  set_progress_sink(&terminal);
}

void TerminalProgress::give_up() {
  if (open_) std::fputc('\n', stderr);
  open_ = false;
}

}  // namespace jet
