// A terminal, or what stands in its place: lines in, text out.
//
//   > one line                         > several \            > """
//                                        lines                several
//                                                             lines"""
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace jet {

/// All that stands on standard input.
std::string read_stdin();
bool stdin_is_terminal();
bool stdout_is_terminal();

/// What a person typed, lines joined; nothing at the end of the input. `prompt` is shown where standard input is a
/// terminal. An interrupt (Ctrl-C) drops what was typed and gives an empty text.
std::optional<std::string> read_message(const char* prompt);

/// The text without control characters, which a terminal would obey; newlines and tabs stay.
std::string printable(std::string_view text);

/// Ctrl-C sets a mark, while one of these lives, and does not end the program.
class Interrupts {
 public:
  Interrupts();
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;
  static bool taken();  // whether there was one since the last clear()
  static void clear();
};

}  // namespace jet
