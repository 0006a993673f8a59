// One exception type for everything that input can do wrong. The message says what was wrong, where, and how to
// mend it, on one line. Library code throws it and never prints or exits; main() and the server catch it.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace jet {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The same text without control characters: what it quotes from a file must not break the line.
inline std::string one_line(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 32 || c == 127) c = ' ';
  return text;
}

template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> text, Args&&... args) {
  throw Error(one_line(fmt::format(text, std::forward<Args>(args)...)));
}

/// Throws Error with the formatted text unless `ok`.
template <class... Args>
void require(bool ok, fmt::format_string<Args...> text, Args&&... args) {
  if (!ok) fail(text, std::forward<Args>(args)...);
}

}  // namespace jet
