#include "jet/base/json.h"

#include <algorithm>

#include "jet/base/file.h"

namespace jet {
namespace {

constexpr int kDeepest = 200;
// What Python's json writes and JSON does not know.
constexpr std::string_view kNoNumbers[] = {"Infinity", "-Infinity", "NaN"};

/// Whether brackets outside of strings nest at most kDeepest deep.
bool is_shallow(const std::string& text) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') {
      in_string = !in_string;
    } else if (in_string) {
      if (c == '\\') ++i;
    } else if (c == '[' || c == '{') {
      if (++depth > kDeepest) return false;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return true;
}

template <class J>
J parse(const std::string& text, const std::string& where) {
  require(is_shallow(text), "{}: JSON nested deeper than {}", where, kDeepest);
  try {
    return J::parse(text);
  } catch (const nlohmann::json::parse_error& e) {
    fail("{}: not valid JSON at byte {}", where, e.byte);
  } catch (const nlohmann::json::out_of_range&) { fail("{}: not valid JSON: a number is out of range", where); }
}

template <class J>
std::string text_of(const J& value, int indent) {
  return value.dump(indent, ' ', /*ensure_ascii=*/false, J::error_handler_t::replace);
}

}  // namespace

Json parse_json(const std::string& text, const std::string& where) { return parse<Json>(text, where); }
SortedJson parse_sorted_json(const std::string& text, const std::string& where) {
  return parse<SortedJson>(text, where);
}

void require_in(const NumberRange& range, const Json& value, const std::string& key, const std::string& where) {
  if (value.is_array()) {
    for (size_t i = 0; i < value.size(); ++i) require_in(range, value[i], fmt::format("{}[{}]", key, i), where);
  }
  if (!value.is_number()) return;
  const std::string hint = *range.hint ? fmt::format(" ({})", range.hint) : "";
  require(range.holds(value.get<double>()), "{}: {} is {}, expected a number in {}{}", where, key, value.get<double>(),
          range.text(), hint);
}

std::string json_text(const Json& value, int indent) { return text_of(value, indent); }
std::string json_text(const SortedJson& value, int indent) { return text_of(value, indent); }

Json read_json(const std::string& path) { return parse_json(read_file(path), path); }

Json read_python_json(const std::string& path) {
  const std::string text = read_file(path);
  std::string out;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const std::string_view rest = std::string_view(text).substr(i);
    const auto* word = std::find_if(std::begin(kNoNumbers), std::end(kNoNumbers),
                                    [&](std::string_view w) { return rest.starts_with(w); });
    if (!quoted && word != std::end(kNoNumbers)) {
      out += '"' + std::string(*word) + '"', i += word->size() - 1;
      continue;
    }
    out += text[i];
    if (quoted && text[i] == '\\' && i + 1 < text.size()) {
      out += text[++i];
    } else if (text[i] == '"') {
      quoted = !quoted;
    }
  }
  return parse_json(out, path);
}

}  // namespace jet
