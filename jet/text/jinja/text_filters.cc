// jinja2's filters of texts and numbers.
#include <algorithm>
#include <cmath>
#include <map>

#include "jet/text/jinja/interpreter.h"
#include "jet/text/utf8.h"

namespace jet::jinja {
namespace {

int64_t bounded(int64_t n) {
  require(n <= kLargestValue, "a text of more than {} characters", kLargestValue);
  return n;
}

Value trim(Interpreter&, const Value& v, const Arguments& a) {
  const Given g("trim", a, {"chars"});
  return stripped(str(v), Side::both, g.has(0) && !is_none(g[0]) ? std::optional(g.text(0, {})) : std::nullopt);
}

Value title_filter(Interpreter&, const Value& v, const Arguments&) {
  const Text text = lower(str(v));
  Text made;
  bool begins = true;
  for (const char32_t c : text) {
    made += begins ? upper(Text(1, c)) : Text(1, c);
    begins = is_space(c) || Text(U"-({[<").find(code(c)) != Text::npos;
  }
  return made;
}

Value replace(Interpreter&, const Value& v, const Arguments& a) {
  const Given g("replace", a, {"old", "new", "count"});
  const Text text = str(v), from = g.text(0, {}), to = g.text(1, {});
  const int64_t most = g.has(2) && !is_none(g[2]) ? g.integer(2, -1) : -1;
  bounded(static_cast<int64_t>(find_all(text, from, most).size() * to.size()));
  return replaced(text, from, to, most);
}

Value escape(Interpreter&, const Value& v, const Arguments&) {
  Text made;
  for (const char32_t c : str(v)) {
    const char* name = code(c) == '&'    ? "&amp;"
                       : code(c) == '<'  ? "&lt;"
                       : code(c) == '>'  ? "&gt;"
                       : code(c) == '"'  ? "&#34;"
                       : code(c) == '\'' ? "&#39;"
                                         : nullptr;
    if (!name) made += c;
    for (const char* e = name; e && *e; ++e) made += as_of(static_cast<char32_t>(*e), c);
  }
  return made;
}

Value indent(Interpreter&, const Value& v, const Arguments& a) {
  const Given g("indent", a, {"width", "first", "blank"});
  const Text by = g.has(0) && g[0].is<Text>()
                      ? *g[0].get<Text>()
                      : Text(static_cast<size_t>(bounded(std::max<int64_t>(0, g.integer(0, 4)))), ' ');
  const Text text = str(v) + (g.truth(2, false) ? U"" : U"");
  const auto lines = split(text, U"\n", -1, false);
  bounded(static_cast<int64_t>(lines.size() * by.size()));
  Text made;
  for (size_t i = 0; i < lines.size(); ++i) {
    const bool indented = i == 0 ? g.truth(1, false) : g.truth(2, false) || !lines[i].empty();
    made += (i > 0 ? U"\n" : U"") + (indented ? by : Text()) + lines[i];
  }
  return made;
}

Value truncate(Interpreter&, const Value& v, const Arguments& a) {
  const Given g("truncate", a, {"length", "killwords", "end", "leeway"});
  const Text text = str(v), end = g.text(2, U"...");
  const int64_t length = g.integer(0, 255), leeway = g.has(3) && !is_none(g[3]) ? g.integer(3, 5) : 5;
  require(length >= static_cast<int64_t>(end.size()), "truncate: length is {}, expected at least {}", length,
          end.size());
  if (static_cast<int64_t>(text.size()) <= length + leeway) return text;
  const Text cut = text.substr(0, static_cast<size_t>(length) - end.size());
  return (g.truth(1, false) ? cut : split(cut, U" ", 1, true)[0]) + end;
}

/// Lines of words, each as long as fits; a longer word is cut.
Value wordwrap(Interpreter&, const Value& v, const Arguments& a) {
  const Given g("wordwrap", a, {"width", "break_long_words", "wrapstring", "break_on_hyphens"});
  const auto width = static_cast<size_t>(std::max<int64_t>(1, g.integer(0, 79)));
  const Text between = g.has(2) && !is_none(g[2]) ? g.text(2, {}) : U"\n";
  Text made;
  bool first = true;
  for (const Text& line : split_lines(str(v))) {
    Text out;
    const auto flush = [&] {
      made += (first ? Text() : between) + out;
      out.clear();
      first = false;
    };
    for (Text word : split(line, std::nullopt, -1, false)) {
      if (!out.empty() && out.size() + 1 + word.size() > width) flush();
      while (g.truth(1, true) && word.size() > width) {
        out = word.substr(0, width);
        word.erase(0, width);
        flush();
      }
      out += (out.empty() ? U"" : U" ") + word;
      bounded(static_cast<int64_t>(made.size()));
    }
    flush();
  }
  return made;
}

Text url_quoted(const Value& v, const Text& safe) {
  Text made;
  for (const char32_t c : str(v)) {
    for (const char byte : utf8_from(Text(1, c))) {
      const auto b = static_cast<unsigned char>(byte);
      const bool stays =
          b < 128 && (std::isalnum(b) || Text(U"_.-~").find(b) != Text::npos || safe.find(b) != Text::npos);
      const Text spelled = stays ? Text(1, b) : text_from(fmt::format("%{:02X}", b));
      for (const char32_t e : spelled) made += as_of(e, c);
    }
  }
  return made;
}

Value urlencode(Interpreter&, const Value& v, const Arguments&) {
  if (!v.is<Entries>() && !v.is<Items>()) return url_quoted(v, U"/");
  Text made;
  const auto add = [&](const Value& key, const Value& value) {
    made += (made.empty() ? U"" : U"&") + replaced(url_quoted(key, U" "), U" ", U"+", -1) + U"=" +
            replaced(url_quoted(value, U" "), U" ", U"+", -1);
  };
  if (const auto* dict = v.get<Entries>()) {
    for (const auto& [key, value] : dict->pairs) add(key, value);
  } else {
    for (const Value& pair : v.get<Items>()->values_of) {
      const Values both = items_of(pair);
      require(both.size() == 2, "urlencode: expected pairs");
      add(both[0], both[1]);
    }
  }
  return made;
}

Value striptags(Interpreter&, const Value& v, const Arguments&) {
  Text text = str(v), made;
  for (size_t at = 0; at < text.size(); ++at) {
    const size_t end = code(text[at]) != '<'
                           ? Text::npos
                           : find_first(text.substr(at, 10000),
                                        at + 4 <= text.size() && is_equal(text.substr(at, 4), U"<!--") ? U"-->" : U">")
                                 .value_or(Text::npos);
    if (end == Text::npos)
      made += text[at];
    else
      at += end + (code(text[at + end]) == '-' ? 2 : 0);
  }
  static const std::pair<Text, Text> kNames[] = {{U"&lt;", U"<"},    {U"&gt;", U">"},  {U"&#34;", U"\""},
                                                 {U"&quot;", U"\""}, {U"&#39;", U"'"}, {U"&amp;", U"&"}};
  for (const auto& [name, meant] : kNames) made = replaced(made, name, meant, -1);
  text.clear();
  for (const Text& word : split(made, std::nullopt, -1, false)) text += (text.empty() ? U"" : U" ") + word;
  return text;
}

Value xmlattr(Interpreter& in, const Value& v, const Arguments& a) {
  const Given g("xmlattr", a, {"autospace"});
  const auto* dict = used(v).get<Entries>();
  require(dict, "xmlattr: expected a dict, not {}", type_name(v));
  Text made;
  for (const auto& [key, value] : dict->pairs) {
    if (is_none(value) || value.is<Undefined>()) continue;
    const Text name = str(key);
    require(std::none_of(name.begin(), name.end(),
                         [](char32_t c) { return is_space(c) || Text(U"/>=").find(code(c)) != Text::npos; }),
            "xmlattr: invalid character in attribute name {}", shown(utf8_from(name)));
    made += (made.empty() ? U"" : U" ") + str(escape(in, name, {})) + U"=\"" + str(escape(in, value, {})) + U"\"";
  }
  return !made.empty() && g.truth(0, true) ? U" " + made : made;
}

Value to_int(Interpreter&, const Value& v, const Arguments& a) {
  const Given g("int", a, {"default", "base"});
  const Value fallback = g.has(0) ? g[0] : Value(0);
  if (v.is<Int>() || v.is<bool>()) return binary("+", v, 0);
  double x = 0;
  if (v.is<double>()) {
    x = *v.get<double>();
  } else if (v.is<Text>()) {
    std::string text = utf8_from(stripped(*v.get<Text>(), Side::both));
    const auto base = g.integer(1, 10);
    require(base == 0 || (base >= 2 && base <= 36), "int: base {} is not from 2 to 36", base);
    char* end = nullptr;
    errno = 0;
    const long long n = std::strtoll(text.c_str(), &end, static_cast<int>(base));
    if (!text.empty() && *end == 0 && errno == 0) return n;
    x = std::strtod(text.c_str(), &end);
    if (text.empty() || *end != 0) return fallback;
  } else {
    return fallback;
  }
  return std::abs(x) < 1e38 ? Value(static_cast<Int>(x)) : fallback;
}

Value to_float(Interpreter&, const Value& v, const Arguments& a) {
  const Given g("float", a, {"default"});
  const Value fallback = g.has(0) ? g[0] : Value(0.0);
  if (is_number(v)) return to_double(v);
  if (!v.is<Text>()) return fallback;
  const std::string text = utf8_from(stripped(*v.get<Text>(), Side::both));
  char* end = nullptr;
  const double x = std::strtod(text.c_str(), &end);
  return text.empty() || *end != 0 ? fallback : Value(x);
}

Value round(Interpreter&, const Value& v, const Arguments& a) {
  const Given g("round", a, {"precision", "method"});
  const int64_t precision = g.integer(0, 0);
  require(std::abs(precision) <= 300, "round: a precision of {}, expected at most 300", precision);
  const std::string how = utf8_from(g.text(1, U"common"));
  require(how == "common" || how == "ceil" || how == "floor", "round: method must be common, ceil or floor");
  const double x = to_double(used(v)), scale = std::pow(10.0, static_cast<double>(precision));
  if (how != "common") return (how == "ceil" ? std::ceil(x * scale) : std::floor(x * scale)) / scale;
  if (precision >= 0) {
    const double rounded = std::strtod(fmt::format("{:.{}f}", x, precision).c_str(), nullptr);
    return v.is<double>() ? Value(rounded) : v;
  }
  const double rounded = std::nearbyint(x * scale) / scale;
  return v.is<double>() || std::abs(rounded) > 1e38 ? Value(rounded) : Value(static_cast<Int>(rounded));
}

Value filesizeformat(Interpreter&, const Value& v, const Arguments& a) {
  const Given g("filesizeformat", a, {"binary"});
  const bool binary_units = g.truth(0, false);
  const double bytes = to_double(v), base = binary_units ? 1024 : 1000;
  if (bytes == 1) return "1 Byte";
  if (bytes < base) return text_from(fmt::format("{} Bytes", std::trunc(bytes)));
  double unit = base;
  size_t i = 0;
  for (; i < 7 && bytes >= unit * base; ++i) unit *= base;
  return text_from(fmt::format("{:.1f} {}{}", bytes / unit, binary_units ? "KMGTPEZY"[i] : "kMGTPEZY"[i],
                               binary_units ? "iB" : "B"));
}

Value tojson(Interpreter&, const Value& v, const Arguments& a) {
  const Given g("tojson", a, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style{.ascii = g.truth(0, false), .sort_keys = g.truth(3, false)};
  if (g.has(1) && !is_none(g[1]))
    style.indent = static_cast<int>(std::clamp<int64_t>(g.integer(1, 0), 0, 1000)), style.item = U",";
  if (g.has(2) && !is_none(g[2])) {
    const Values both = items_of(g[2]);
    require(both.size() == 2 && both[0].is<Text>() && both[1].is<Text>(), "tojson: separators are two strings");
    style.item = *both[0].get<Text>(), style.key = *both[1].get<Text>();
  }
  return json_of(v, style);
}

Value center(Interpreter& in, const Value& v, const Arguments& a) {
  const Given g("center", a, {"width"});
  return in.call(*method(str(v), "center"), {.positional = {g.integer(0, 80)}});
}

}  // namespace

Filter text_filter(const std::string& name) {
  static const std::map<std::string, Filter> all = {
      {"trim", trim},
      {"title", title_filter},
      {"replace", replace},
      {"escape", escape},
      {"e", escape},
      {"forceescape", escape},
      {"indent", indent},
      {"truncate", truncate},
      {"wordwrap", wordwrap},
      {"urlencode", urlencode},
      {"striptags", striptags},
      {"xmlattr", xmlattr},
      {"int", to_int},
      {"float", to_float},
      {"round", round},
      {"filesizeformat", filesizeformat},
      {"tojson", tojson},
      {"center", center},
      {"upper", [](Interpreter&, const Value& v, const Arguments&) -> Value { return upper(str(v)); }},
      {"lower", [](Interpreter&, const Value& v, const Arguments&) -> Value { return lower(str(v)); }},
      {"capitalize", [](Interpreter&, const Value& v, const Arguments&) -> Value { return capitalized(str(v)); }},
      {"string", [](Interpreter&, const Value& v, const Arguments&) -> Value { return str(v); }},
      {"safe", [](Interpreter&, const Value& v, const Arguments&) -> Value { return str(v); }},
      {"pprint", [](Interpreter&, const Value& v, const Arguments&) -> Value { return repr(v); }},
      {"wordcount",
       [](Interpreter&, const Value& v, const Arguments&) -> Value {
         return split(str(v), std::nullopt, -1, false).size();
       }},
      {"format",
       [](Interpreter&, const Value& v, const Arguments& a) -> Value {
         return percent_format(str(v), a.named.empty() ? make_items(Items::tuple, a.positional) : Value(Text()));
       }},
      {"abs",
       [](Interpreter&, const Value& v, const Arguments&) -> Value {
         return to_double(used(v)) < 0 ? binary("-", 0, v) : v;
       }},
  };
  const auto found = all.find(name);
  return found == all.end() ? nullptr : found->second;
}

}  // namespace jet::jinja
