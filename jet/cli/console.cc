#include "jet/cli/console.h"

#include <signal.h>
#include <unistd.h>

#include <fmt/core.h>

#include <cstdio>
#include <iostream>
#include <iterator>

namespace jet {
namespace {

volatile sig_atomic_t interrupted = 0;
struct sigaction before {};

/// A line of standard input; false at its end and where Ctrl-C broke it off.
bool get_line(const char* prompt, std::string& line) {
  if (stdin_is_terminal()) {
    fmt::print("{}", prompt);
    std::fflush(stdout);
  }
  if (std::getline(std::cin, line)) return true;
  if (Interrupts::taken()) {  // the system call was interrupted, the input has not ended
    std::cin.clear();
    ::clearerr(stdin);
  }
  return false;
}

}  // namespace

std::string read_stdin() { return {std::istreambuf_iterator<char>(std::cin), {}}; }
bool stdin_is_terminal() { return ::isatty(STDIN_FILENO) == 1; }
bool stdout_is_terminal() { return ::isatty(STDOUT_FILENO) == 1; }

std::optional<std::string> read_message(const char* prompt) {
  static constexpr std::string_view kQuotes = "\"\"\"";
  std::string text, line;
  const auto broken_off = [&]() -> std::optional<std::string> {
    if (Interrupts::taken()) return "";
    return text.empty() ? std::nullopt : std::optional(text);
  };
  if (!get_line(prompt, line)) return broken_off();
  if (line.starts_with(kQuotes)) {
    text = line.substr(kQuotes.size());
    while (!text.ends_with(kQuotes)) {
      if (!get_line(". ", line)) return broken_off();
      text += (text.empty() ? "" : "\n") + line;
    }
    return text.substr(0, text.size() - kQuotes.size());
  }
  while (line.ends_with('\\')) {
    text += line.substr(0, line.size() - 1) + "\n";
    if (!get_line(". ", line)) return broken_off();
  }
  return text + line;
}

std::string printable(std::string_view text) {
  std::string made;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const bool is_c1 = c == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if (is_c1) ++i;
    if (!is_c1 && (c == '\n' || c == '\t' || (c >= 32 && c != 127))) made += text[i];
  }
  return made;
}

Interrupts::Interrupts() {
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted = 1; };  // no SA_RESTART: a read returns
  ::sigaction(SIGINT, &action, &before);
}
Interrupts::~Interrupts() { ::sigaction(SIGINT, &before, nullptr); }
bool Interrupts::taken() { return interrupted != 0; }
void Interrupts::clear() { interrupted = 0; }

}  // namespace jet
