#include "jet/serve/reply_stream.h"

#include <algorithm>
#include <initializer_list>

namespace jet {
namespace {

constexpr std::string_view kOpen = "<tool_call>", kClose = "</tool_call>", kBlank = " \t\r\n";
constexpr size_t kLongestCall = size_t{1} << 20;

std::string_view trimmed(std::string_view text) {
  const size_t begin = std::min(text.find_first_not_of(kBlank), text.size());
  text.remove_prefix(begin);
  return text.substr(0, text.find_last_not_of(kBlank) + 1);
}

/// {"name", "arguments" or "parameters"}; arguments in a text are JSON, too.
bool read_call(const Json& j, std::vector<ToolCall>& calls) {
  if (!j.is_object() || !j.contains("name") || !j["name"].is_string()) return false;
  const char* key = j.contains("arguments") ? "arguments" : "parameters";
  Json arguments = j.contains(key) ? j[key] : Json::object();
  if (arguments.is_string()) {
    try {
      arguments = parse_json(arguments.get<std::string>(), "arguments");
    } catch (const Error&) { return false; }
  }
  if (!arguments.is_object()) return false;
  calls.push_back({j["name"].get<std::string>(), json_text(arguments)});
  return true;
}

std::vector<ToolCall> calls_in_json(std::string_view text) {
  std::vector<ToolCall> calls;
  try {
    const Json j = parse_json(std::string(text), "call");
    if (!j.is_array()) return read_call(j, calls) ? calls : std::vector<ToolCall>();
    for (const Json& call : j)
      if (!read_call(call, calls)) return {};
  } catch (const Error&) { return {}; }
  return calls;
}

/// What stands between `open` and the next `close`, cut off `text` with them; false where they are not there.
bool cut_between(std::string_view& text, std::string_view open, std::string_view close, std::string_view& inside) {
  const size_t begin = text.find(open);
  const size_t end = begin == text.npos ? text.npos : text.find(close, begin + open.size());
  if (end == text.npos) return false;
  inside = text.substr(begin + open.size(), end - begin - open.size());
  text.remove_prefix(end + close.size());
  return true;
}

/// name>content, as in <function=name>content
bool split_tag(std::string_view text, std::string& name, std::string_view& content) {
  const size_t end = text.find('>');
  if (end == text.npos || end == 0) return false;
  name = text.substr(0, end);
  content = text.substr(end + 1);
  return true;
}

/// What lies there, or null.
Json at(Json value, std::initializer_list<std::string> keys) {
  for (const auto& key : keys) value = value.is_object() ? value.value(key, Json()) : Json();
  return value;
}

/// What a parameter's schema has as its type: a name, a list of them, or null.
Json type_of(const Json& tools, const std::string& function, const std::string& parameter) {
  for (const Json& tool : tools)
    if (at(tool, {"function", "name"}) == function)
      return at(tool, {"function", "parameters", "properties", parameter, "type"});
  return {};
}

bool is_of_type(const Json& value, const Json& type) {
  if (type.is_array())
    return std::any_of(type.begin(), type.end(), [&](const Json& t) { return is_of_type(value, t); });
  if (type == "integer" || type == "number") return value.is_number();
  return !type.is_string() || type == value.type_name();
}

/// JSON where it can be read so and is of that type, else the text that it is.
Json value_of(std::string_view text, const Json& type) {
  if (type == "string") return text;
  try {
    Json value = parse_json(std::string(text), "value");
    if (is_of_type(value, type) || !is_of_type(text, type)) return value;
  } catch (const Error&) {}
  return text;
}

/// Values are without the line breaks around them.
std::vector<ToolCall> calls_in_tags(std::string_view text, const Json& tools) {
  std::string_view function, parameters, parameter, value;
  ToolCall call;
  if (!text.starts_with("<function=") || !cut_between(text, "<function=", "</function>", function) ||
      !split_tag(function, call.name, parameters) || !trimmed(text).empty())
    return {};
  Json arguments = Json::object();
  std::string name;
  while (cut_between(parameters, "<parameter=", "</parameter>", parameter)) {
    if (!split_tag(parameter, name, value)) return {};
    if (value.starts_with('\n')) value.remove_prefix(1);
    if (value.ends_with('\n')) value.remove_suffix(1);
    arguments[name] = value_of(value, type_of(tools, call.name, name));
  }
  if (!trimmed(parameters).empty()) return {};
  call.arguments = json_text(arguments);
  return {call};
}

}  // namespace

std::vector<ToolCall> tool_calls_of(std::string_view text, const Json& tools) {
  text = trimmed(text);
  auto calls = calls_in_tags(text, tools);
  return calls.empty() ? calls_in_json(text) : calls;
}

/// Takes one thing off held_; false where what is there has to wait. White space waits for what follows it, as before a
/// call it is none of the text.
bool ReplyStream::take_next(ReplyPart& part) {
  if (whole_) return false;
  const size_t open = held_.find(kOpen);
  if (open == std::string::npos) {
    release(held_.size() - unfinished(held_, kOpen), part);
    return false;
  }
  const size_t close = held_.find(kClose, open);
  if (close == std::string::npos && held_.size() - open < kLongestCall) {
    release(open, part);
    return false;
  }
  const size_t end = close == std::string::npos ? held_.size() : close + kClose.size();
  const size_t begin = open + kOpen.size();
  const auto calls = close == std::string::npos
                         ? std::vector<ToolCall>()
                         : tool_calls_of(std::string_view(held_).substr(begin, close - begin), tools_);
  if (calls.empty()) {
    part.text += held_.substr(0, end);
    held_.erase(0, end);
    called_ = false;
  } else {
    release(open, part);
    held_.erase(0, held_.find(kClose) + kClose.size());
    part.calls.insert(part.calls.end(), calls.begin(), calls.end());
    called_ = true;
  }
  return true;
}

/// The first n bytes of held_ are text, but for white space at their end.
void ReplyStream::release(size_t n, ReplyPart& part) {
  n = std::string_view(held_).substr(0, n).find_last_not_of(kBlank) + 1;
  part.text += held_.substr(0, n);
  held_.erase(0, n);
  called_ = called_ && n == 0;
}

void ReplyStream::take(std::string_view text, ReplyPart& part) {
  if (tools_.is_null()) {
    part.text += text;
    return;
  }
  held_ += text;
  const size_t word = held_.find_first_not_of(kBlank);
  if (!began_ && word == std::string::npos) return;
  if (!began_) whole_ = held_[word] == '{' || held_[word] == '[';
  began_ = true;
  if (held_.size() > kLongestCall) whole_ = false;
  while (take_next(part)) continue;
}

ReplyPart ReplyStream::add(std::string_view text) {
  const auto parts = thinking_.add(text);
  ReplyPart part{.thinking = parts.thinking};
  take(parts.answer, part);
  return part;
}

ReplyPart ReplyStream::finish() {
  const auto parts = thinking_.finish();
  ReplyPart part{.thinking = parts.thinking};
  take(parts.answer, part);
  std::vector<ToolCall> last;
  if (whole_) last = tool_calls_of(held_, tools_);
  // A call that was not closed, as its end may have been a token that ends the text, too.
  if (const auto rest = trimmed(held_); !whole_ && rest.starts_with(kOpen))
    last = tool_calls_of(rest.substr(kOpen.size()), tools_);
  if (last.empty() && !(called_ && trimmed(held_).empty())) part.text += held_;
  part.calls.insert(part.calls.end(), last.begin(), last.end());
  held_.clear();
  return part;
}

}  // namespace jet
