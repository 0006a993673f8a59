// Methods of texts, dicts and lists that a template may call; those that would change a value are refused.
#include <algorithm>
#include <map>

#include "jet/text/jinja/interpreter.h"

namespace jet::jinja {
namespace {

using TextMethod = Value (*)(const Text& t, const Arguments& a);

Value list_of(const std::vector<Text>& texts, Items::Kind kind = Items::list) {
  return make_items(kind, Values(texts.begin(), texts.end()));
}

const Text& text_at(const Given& g, size_t i) {
  const auto* text = used(g[i]).get<Text>();
  require(text, "argument {} must be str, not {}", i + 1, type_name(g[i]));
  return *text;
}

template <Side side>
Value strip(const Text& t, const Arguments& a) {
  const Given g("strip", a, {"chars"});
  return stripped(t, side, !g.has(0) || is_none(g[0]) ? std::nullopt : std::optional(text_at(g, 0)));
}

template <bool from_right>
Value split_text(const Text& t, const Arguments& a) {
  const Given g("split", a, {"sep", "maxsplit"});
  std::optional<Text> separator;
  if (g.has(0) && !is_none(g[0])) separator = text_at(g, 0);
  require(!separator || !separator->empty(), "empty separator");
  return list_of(split(t, separator, g.integer(1, -1), from_right));
}

template <bool (*holds)(const Text&, const Text&)>
Value begins_or_ends(const Text& t, const Arguments& a) {
  const Given g("startswith", a, {"prefix"});
  const auto* choices = used(g[0]).get<Items>();
  if (!choices) return holds(t, text_at(g, 0));
  return std::any_of(choices->values_of.begin(), choices->values_of.end(),
                     [&](const Value& v) { return v.is<Text>() && holds(t, *v.get<Text>()); });
}

/// The first place of a part, or the last, or -1.
template <bool last>
Value find(const Text& t, const Arguments& a) {
  const Given g("find", a, {"sub"});
  const Text part = text_at(g, 0);
  if (!last) return static_cast<int64_t>(find_first(t, part).value_or(-1));
  const auto found = find_first(Text(t.rbegin(), t.rend()), Text(part.rbegin(), part.rend()));
  return found ? static_cast<int64_t>(t.size() - part.size() - *found) : int64_t{-1};
}

Value index(const Text& t, const Arguments& a) {
  const Value at = find<false>(t, a);
  require(to_integer(at, "a place") >= 0, "substring not found");
  return at;
}

Value replace(const Text& t, const Arguments& a) {
  const Given g("replace", a, {"old", "new", "count"});
  const int64_t most = g.integer(2, -1);
  const auto found = static_cast<int64_t>(find_all(t, text_at(g, 0), most).size());
  require(found * static_cast<int64_t>(text_at(g, 1).size()) <= kLargestValue, "a text of more than {} characters",
          kLargestValue);
  return replaced(t, text_at(g, 0), text_at(g, 1), most);
}

Value join(const Text& t, const Arguments& a) {
  const Given g("join", a, {"iterable"});
  Text made;
  size_t i = 0;
  for (const Value& v : items_of(used(g[0]))) {
    require(v.is<Text>(), "sequence item {}: expected str, {} found", i, type_name(v));
    made += (i++ > 0 ? t : Text()) + *v.get<Text>();
    require(static_cast<int64_t>(made.size()) <= kLargestValue, "a text of more than {} characters", kLargestValue);
  }
  return made;
}

template <bool from_right>
Value partition(const Text& t, const Arguments& a) {
  const Given g("partition", a, {"sep"});
  const Text& separator = text_at(g, 0);
  require(!separator.empty(), "empty separator");
  auto parts = split(t, separator, 1, from_right);
  if (parts.size() == 1) {
    parts = from_right ? std::vector<Text>{{}, {}, parts[0]} : std::vector<Text>{parts[0], {}, {}};
  } else {
    parts.insert(parts.begin() + 1, separator);
  }
  return list_of(parts, Items::tuple);
}

/// Filled up to a width, the text at the left, in the middle or at the right.
template <char where>
Value padded(const Text& t, const Arguments& a) {
  const Given g("padding", a, {"width", "fillchar"});
  const int64_t width = g.integer(0, 0), missing = width - static_cast<int64_t>(t.size());
  require(width <= kLargestValue, "a text of more than {} characters", kLargestValue);
  if (missing <= 0) return t;
  const auto n = static_cast<size_t>(missing);
  const char32_t fill = g.has(1) && text_at(g, 1).size() == 1 ? text_at(g, 1)[0] : where == '0' ? U'0' : U' ';
  const size_t left = where == 'l' ? 0 : where == 'c' ? n / 2 + (n & static_cast<size_t>(width) & 1) : n;
  const bool is_signed = where == '0' && !t.empty() && (code(t[0]) == '-' || code(t[0]) == '+');
  return t.substr(0, is_signed) + Text(left, fill) + t.substr(is_signed) + Text(n - left, fill);
}

template <bool (*holds)(char32_t), bool (*or_holds)(char32_t)>
Value all_are(const Text& t, const Arguments&) {
  return !t.empty() && std::all_of(t.begin(), t.end(), [](char32_t c) { return holds(c) || or_holds(c); });
}

template <bool (*wanted)(char32_t), bool (*other)(char32_t)>
Value cased(const Text& t, const Arguments&) {
  return std::any_of(t.begin(), t.end(), wanted) && std::none_of(t.begin(), t.end(), other);
}

Value swapped(const Text& t, const Arguments&) {
  Text made;
  for (const char32_t c : t) made += is_upper(c) ? lower(Text(1, c)) : upper(Text(1, c));
  return made;
}

Value without(const Text& t, const Arguments& a, bool at_end) {
  const Given g("removeprefix", a, {"prefix"});
  const Text& part = text_at(g, 0);
  if (at_end) return ends_with(t, part) ? t.substr(0, t.size() - part.size()) : t;
  return starts_with(t, part) ? t.substr(part.size()) : t;
}

const std::map<std::string, TextMethod>& text_methods() {
  static const std::map<std::string, TextMethod> all = {
      {"upper", [](const Text& t, const Arguments&) -> Value { return upper(t); }},
      {"lower", [](const Text& t, const Arguments&) -> Value { return lower(t); }},
      {"casefold", [](const Text& t, const Arguments&) -> Value { return lower(t); }},
      {"title", [](const Text& t, const Arguments&) -> Value { return title(t); }},
      {"capitalize", [](const Text& t, const Arguments&) -> Value { return capitalized(t); }},
      {"swapcase", swapped},
      {"strip", strip<Side::both>},
      {"lstrip", strip<Side::left>},
      {"rstrip", strip<Side::right>},
      {"split", split_text<false>},
      {"rsplit", split_text<true>},
      {"splitlines", [](const Text& t, const Arguments&) -> Value { return list_of(split_lines(t)); }},
      {"startswith", begins_or_ends<starts_with>},
      {"endswith", begins_or_ends<ends_with>},
      {"find", find<false>},
      {"rfind", find<true>},
      {"index", index},
      {"replace", replace},
      {"join", join},
      {"count",
       [](const Text& t, const Arguments& a) -> Value {
         return find_all(t, text_at(Given("count", a, {"sub"}), 0)).size();
       }},
      {"partition", partition<false>},
      {"rpartition", partition<true>},
      {"ljust", padded<'l'>},
      {"rjust", padded<'r'>},
      {"center", padded<'c'>},
      {"zfill", padded<'0'>},
      {"isalpha", all_are<is_letter, is_letter>},
      {"isdigit", all_are<is_digit, is_digit>},
      {"isdecimal", all_are<is_digit, is_digit>},
      {"isnumeric", all_are<is_digit, is_digit>},
      {"isalnum", all_are<is_letter, is_digit>},
      {"isspace", all_are<is_space, is_space>},
      {"isupper", cased<is_upper, is_lower>},
      {"islower", cased<is_lower, is_upper>},
      {"removeprefix", [](const Text& t, const Arguments& a) { return without(t, a, false); }},
      {"removesuffix", [](const Text& t, const Arguments& a) { return without(t, a, true); }},
      {"format", [](const Text& t, const Arguments& a) -> Value { return brace_format(t, a); }},
  };
  return all;
}

std::optional<Value> dict_method(const Value& v, const std::string& name) {
  const auto view = [&](Items::Kind kind) {
    return make_object(name, [v, kind](const Arguments&) {
      Values made;
      for (const auto& [key, value] : v.get<Entries>()->pairs) {
        if (kind == Items::pairs)
          made.push_back(make_items(Items::tuple, {key, value}));
        else
          made.push_back(kind == Items::keys ? key : value);
      }
      return make_items(kind, std::move(made));
    });
  };
  if (name == "keys") return view(Items::keys);
  if (name == "values") return view(Items::values);
  if (name == "items") return view(Items::pairs);
  if (name == "copy") return make_object(name, [v](const Arguments&) { return v; });
  if (name != "get") return std::nullopt;
  return make_object(name, [v](const Arguments& a) -> Value {
    const Given g("get", a, {"key", "default"});
    const Value* found = v.get<Entries>()->find(g[0]);
    return found ? *found : g.has(1) ? g[1] : Value(None{});
  });
}

std::optional<Value> list_method(const Value& v, const std::string& name) {
  const Items& items = *v.get<Items>();
  if (items.kind == Items::group && (name == "grouper" || name == "list")) return items.values_of[name == "list"];
  if (name == "count") {
    return make_object(name, [v](const Arguments& a) -> Value {
      const Given g("count", a, {"value"});
      const auto& all = v.get<Items>()->values_of;
      return std::count_if(all.begin(), all.end(), [&](const Value& x) { return equal(x, g[0]); });
    });
  }
  if (name != "index") return std::nullopt;
  return make_object(name, [v](const Arguments& a) -> Value {
    const Given g("index", a, {"value"});
    const auto& all = v.get<Items>()->values_of;
    const auto found = std::find_if(all.begin(), all.end(), [&](const Value& x) { return equal(x, g[0]); });
    require(found != all.end(), "the value is not in the list");
    return found - all.begin();
  });
}

}  // namespace

std::optional<Value> method(const Value& v, const std::string& name) {
  if (v.is<Text>()) {
    const auto found = text_methods().find(name);
    if (found == text_methods().end()) return std::nullopt;
    return make_object(name, [v, f = found->second](const Arguments& a) { return f(*v.get<Text>(), a); });
  }
  for (const char* changes :
       {"append", "extend", "insert", "remove", "pop", "clear", "sort", "reverse", "update", "setdefault", "popitem"}) {
    const bool is_for_list = std::string("update setdefault popitem").find(changes) == std::string::npos;
    const bool is_for_dict = !is_for_list || name == "pop" || name == "clear";
    if (name == changes && (v.is<Entries>() ? is_for_dict : v.is<Items>() && is_for_list))
      return undefined(
          fmt::format("access to attribute '{}' of '{}' object is unsafe: values do not change", name, type_name(v)));
  }
  if (v.is<Entries>()) return dict_method(v, name);
  if (v.is<Items>()) return list_method(v, name);
  return std::nullopt;
}

}  // namespace jet::jinja
