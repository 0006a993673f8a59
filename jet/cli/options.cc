#include "jet/cli/options.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "jet/base/threads.h"

namespace jet {
namespace {

/// Bytes of "", b, kb, mb, gb, tb (and without the b), of kib, mib, gib, tib; 0: no unit.
int64_t bytes_in(std::string unit) {
  if (unit.ends_with('b')) unit.pop_back();
  if (unit.empty()) return 1;
  const int64_t step = unit.size() == 2 && unit[1] == 'i' ? 1024 : 1000;
  if (step == 1024) unit.pop_back();
  const size_t power = unit.size() == 1 ? std::string("kmgt").find(unit) : std::string::npos;
  if (power == std::string::npos) return 0;
  int64_t bytes = step;
  for (size_t i = 0; i < power; ++i) bytes *= step;
  return bytes;
}

int64_t read_size(const std::string& option, const std::string& text) {
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  std::string unit = text.substr(std::min(text.find_first_not_of(' ', digits), text.size()));
  std::transform(unit.begin(), unit.end(), unit.begin(), [](unsigned char c) { return std::tolower(c); });
  const int64_t bytes = bytes_in(unit);
  int64_t n = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + digits, n);
  require(error == std::errc() && n > 0 && bytes > 0 && n <= INT64_MAX / bytes,
          "{}: '{}' is no size; write bytes, or 500MB, 5GB, 64KiB, from 1 to 2^63 - 1 bytes", option, text);
  return n * bytes;
}

}  // namespace

CLI::Option* add_size(CLI::App& app, const std::string& names, int64_t& bytes, const std::string& help) {
  const std::string name = names.substr(names.rfind(',') + 1);
  const auto read = [&bytes, name](const std::vector<std::string>& texts) {
    bytes = read_size(name, texts.front());
    return true;
  };
  return app.add_option(names, read, help)->type_name("SIZE")->default_str(fmt::to_string(bytes));
}

CLI::Option* add_threads(CLI::App& app, int& threads) {
  return add_number(app, "--threads", threads, "0: all cores", 0, kMostThreads);
}

EngineOptions EngineArguments::options() const {
  return {.threads = threads,
          .kv = dtype_from_name(kv, "--kv"),
          .state = dtype_from_name(state, "--state"),
          .exact = exact};
}

std::shared_ptr<Engine> EngineArguments::load(const std::string& model) const {
  auto engine = Engine::load(model, options());
  for (const auto& note : engine->notes()) fmt::print(stderr, "{}: {}\n", model, note);
  return engine;
}

void add_engine_options(CLI::App& app, EngineArguments& arguments) {
  app.add_option("--kv", arguments.kv, "type of keys and values: bf16, f32 or i8")->capture_default_str();
  app.add_option("--state", arguments.state, "type of recurrent states: f32 or bf16")->capture_default_str();
  app.add_flag(
      "--exact", arguments.exact,
      "no rounding of activations to bf16 where that is faster; a text's numbers are the same to the bit alone "
      "and among others, read at once and in parts");
  add_threads(app, arguments.threads);
}

}  // namespace jet
