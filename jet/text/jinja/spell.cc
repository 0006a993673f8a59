// How values are written: str, repr, JSON.
#include <algorithm>
#include <cmath>

#include "jet/base/error.h"
#include "jet/text/jinja/value.h"

namespace jet::jinja {
namespace {

Text ascii(const std::string& text) { return Text(text.begin(), text.end()); }

Text repr_of_text(const Text& text) {
  const Text plain = unmarked(text);
  const bool doubled = plain.find('\'') != Text::npos && plain.find('"') == Text::npos;
  const char32_t quote = doubled ? '"' : '\'';
  Text made(1, quote);
  for (const char32_t c : text) {
    const char32_t p = code(c);
    const auto escaped = [&](const std::string& s) {
      for (const char e : s) made += as_of(static_cast<char32_t>(e), c);
    };
    if (p == quote || p == '\\') {
      escaped("\\");
      made += c;
    } else if (p == '\n' || p == '\r' || p == '\t') {
      escaped(p == '\n' ? "\\n" : p == '\r' ? "\\r" : "\\t");
    } else if (is_printable(c)) {
      made += c;
    } else {
      const auto n = static_cast<uint32_t>(p);
      escaped(n < 0x100     ? fmt::format("\\x{:02x}", n)
              : n < 0x10000 ? fmt::format("\\u{:04x}", n)
                            : fmt::format("\\U{:08x}", n));
    }
  }
  made += quote;
  return made;
}

Text enclosed(const Text& open, const Text& inside, const Text& close) {
  Text made = open;
  made += inside;
  return made += close;
}

Text joined(const Values& values) {
  Text made;
  for (const Value& v : values) {
    if (!made.empty()) made += U", ";
    made += repr(v);
  }
  return made;
}

Text repr_of_items(const Items& items) {
  const Text inside = joined(items.values_of);
  switch (items.kind) {
    case Items::list: return enclosed(U"[", inside, U"]");
    case Items::tuple:
    case Items::group: return enclosed(U"(", inside, items.values_of.size() == 1 ? U",)" : U")");
    case Items::keys: return enclosed(U"dict_keys([", inside, U"])");
    case Items::values: return enclosed(U"dict_values([", inside, U"])");
    case Items::pairs: return enclosed(U"dict_items([", inside, U"])");
    case Items::iterator: break;
  }
  return U"<generator object>";
}

class JsonWriter {
 public:
  explicit JsonWriter(const JsonStyle& style) : style_(style) {}

  Text write(const Value& v, int level) const {
    if (v.is<None>()) return U"null";
    if (v.is<bool>()) return *v.get<bool>() ? U"true" : U"false";
    if (v.is<Int>()) return ascii(integer_text(*v.get<Int>()));
    if (v.is<double>()) return number(*v.get<double>());
    if (const auto* text = v.get<Text>()) return quoted(*text);
    if (const auto* dict = v.get<Entries>()) return object(*dict, level);
    const auto* items = v.get<Items>();
    const bool is_list = items && items->kind <= Items::group;
    require(is_list, "Object of type {} is not JSON serializable", type_name(v));
    std::vector<Text> parts;
    for (const Value& part : items->values_of) parts.push_back(write(part, level + 1));
    return enclosed('[', parts, ']', level);
  }

 private:
  static Text number(double x) {
    if (std::isfinite(x)) return ascii(float_text(x));
    return std::isnan(x) ? U"NaN" : x > 0 ? U"Infinity" : U"-Infinity";
  }

  Text quoted(const Text& text) const {
    Text made(1, '"');
    for (const char32_t c : text) {
      const char32_t p = code(c);
      const auto escaped = [&](const std::string& s) {
        for (const char e : s) made += as_of(static_cast<char32_t>(e), c);
      };
      static constexpr std::string_view kShort = "\"\\\n\r\t\b\f", kNames = "\"\\nrtbf";
      const size_t at = p < 128 ? kShort.find(static_cast<char>(p)) : std::string_view::npos;
      if (at != std::string_view::npos) {
        escaped({'\\', kNames[at]});
      } else if (p >= 0x10000 && style_.ascii) {
        const auto n = static_cast<uint32_t>(p) - 0x10000;
        escaped(fmt::format("\\u{:04x}\\u{:04x}", 0xd800 + (n >> 10), 0xdc00 + (n & 0x3ff)));
      } else if (p < 32 || (p > 126 && style_.ascii)) {
        escaped(fmt::format("\\u{:04x}", static_cast<uint32_t>(p)));
      } else {
        made += c;
      }
    }
    made += U'"';
    return made;
  }

  Text key_text(const Value& key) const {
    if (key.is<Text>()) return quoted(*key.get<Text>());
    const bool is_plain = key.is<None>() || is_number(key);
    require(is_plain, "keys must be str, int, float, bool or None, not {}", type_name(key));
    return jinja::enclosed(U"\"", write(key, 0), U"\"");
  }

  Text object(const Entries& dict, int level) const {
    auto pairs = dict.pairs;
    if (style_.sort_keys)
      std::stable_sort(pairs.begin(), pairs.end(), [](const auto& a, const auto& b) { return less(a.first, b.first); });
    std::vector<Text> parts;
    for (const auto& [key, value] : pairs)
      parts.push_back(jinja::enclosed(key_text(key), style_.key, write(value, level + 1)));
    return enclosed('{', parts, '}', level);
  }

  Text enclosed(char32_t open, const std::vector<Text>& parts, char32_t close, int level) const {
    const auto line = [&](int depth) {
      return style_.indent < 0 ? Text() : Text(1, '\n').append(static_cast<size_t>(style_.indent * depth), ' ');
    };
    Text made(1, open);
    for (size_t i = 0; i < parts.size(); ++i) {
      if (i > 0) made += style_.item;
      made += line(level + 1);
      made += parts[i];
      require(static_cast<int64_t>(made.size()) <= kLargestValue, "JSON of more than {} characters", kLargestValue);
    }
    if (!parts.empty()) made += line(level);
    made += close;
    return made;
  }

  const JsonStyle& style_;
};

}  // namespace

Text str(const Value& v) { return v.is<Text>() ? *v.get<Text>() : v.is<Undefined>() ? Text() : repr(v); }

Text repr(const Value& v) {
  if (v.is<Undefined>()) return U"Undefined";
  if (v.is<None>()) return U"None";
  if (v.is<bool>()) return *v.get<bool>() ? U"True" : U"False";
  if (v.is<Int>()) return ascii(integer_text(*v.get<Int>()));
  if (v.is<double>()) return ascii(float_text(*v.get<double>()));
  if (const auto* text = v.get<Text>()) return repr_of_text(*text);
  if (const auto* items = v.get<Items>()) return repr_of_items(*items);
  if (const auto* object = v.get<Object>()) return text_from("<function " + object->name + ">");
  if (v.space()) return U"<Namespace>";
  Text made;
  for (const auto& [key, value] : v.get<Entries>()->pairs) {
    if (!made.empty()) made += U", ";
    made += enclosed(repr(key), U": ", repr(value));
  }
  return enclosed(U"{", made, U"}");
}

Text json_of(const Value& v, const JsonStyle& style) {
  require(style.indent <= 64, "tojson: an indent of {}, expected at most 64", style.indent);
  return JsonWriter(style).write(v, 0);
}

Value value_from(const Json& json, char32_t mark) {
  if (json.is_null()) return None{};
  if (json.is_boolean()) return json.get<bool>();
  if (json.is_number_unsigned()) return json.get<uint64_t>();
  if (json.is_number_integer()) return json.get<int64_t>();
  if (json.is_number()) return json.get<double>();
  if (json.is_string()) return text_from(json.get_ref<const std::string&>(), mark);
  if (json.is_array()) {
    Values values;
    for (const Json& item : json) values.push_back(value_from(item, mark));
    return make_items(Items::list, std::move(values));
  }
  std::vector<std::pair<Value, Value>> pairs;
  for (const auto& [key, value] : json.items()) pairs.emplace_back(text_from(key, mark), value_from(value, mark));
  return make_dict(std::move(pairs));
}

}  // namespace jet::jinja
