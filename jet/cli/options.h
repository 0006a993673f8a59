// Numbers on the command line, and the options that several commands share.
//
//   typed               010   0x10    -1 (unsigned)   nan     ""
//   the parser's own    8     16      2^64 - 1        NaN     0
//   here                10    error   error           error   error: they name the option and its range
#pragma once

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "jet/base/number.h"
#include "jet/engine/engine.h"

namespace jet {

/// What an option's value is made of: itself, or what its list or optional holds.
template <class T>
struct NumberIn {
  using type = T;
};
template <class T>
requires requires { typename T::value_type; }
struct NumberIn<T> {
  using type = typename T::value_type;
};

/// An option that takes a number from `least` to `most`, or where `value` is a list any number of them, with commas or
/// blanks between. Its default is what `value` holds.
template <class T, class N = typename NumberIn<T>::type>
CLI::Option* add_number(CLI::App& app, const std::string& names, T& value, const std::string& help,
                        std::type_identity_t<N> least, std::type_identity_t<N> most = std::numeric_limits<N>::max()) {
  constexpr bool is_list = std::is_same_v<T, std::vector<N>>;
  const std::string name = names.substr(names.rfind(',') + 1);
  const auto read = [&value, name, least, most](const std::vector<std::string>& texts) {
    if constexpr (is_list) value.clear();
    for (const auto& text : texts) {
      if constexpr (is_list) {
        for (size_t at = 0; at <= text.size();) {
          const size_t end = std::min(text.find(',', at), text.size());
          value.push_back(read_number<N>(name, text.substr(at, end - at), least, most));
          at = end + 1;
        }
      } else {
        value = read_number<N>(name, text, least, most);
      }
    }
    return true;
  };
  auto* option = app.add_option(names, read, help)->type_name(std::is_integral_v<N> ? "INT" : "FLOAT");
  if constexpr (is_list) {
    option->expected(1, CLI::detail::expected_max_vector_size)->allow_extra_args(true);
    if (!value.empty()) option->default_str(fmt::format("{}", fmt::join(value, ",")));
  } else if constexpr (std::is_same_v<T, N>) {
    option->default_str(fmt::to_string(value));
  }
  return option;
}

/// As add_number, in bytes: 5GB, 500 MB, 64KiB, 1000.
CLI::Option* add_size(CLI::App& app, const std::string& names, int64_t& bytes, const std::string& help);

CLI::Option* add_threads(CLI::App& app, int& threads);

/// Options of everything that runs the engine; commands set their own defaults.
struct EngineArguments {
  std::string kv = "bf16", state = "f32";
  int threads = 0;
  bool exact = false;
  EngineOptions options() const;
  /// The model of a folder; what the user should know of its files goes to standard error.
  std::shared_ptr<Engine> load(const std::string& model) const;
};
void add_engine_options(CLI::App& app, EngineArguments& arguments);

}  // namespace jet
