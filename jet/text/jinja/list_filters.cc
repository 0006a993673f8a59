// jinja2's filters of lists and dicts.
#include <algorithm>
#include <map>

#include "jet/text/jinja/interpreter.h"
#include "jet/text/utf8.h"

namespace jet::jinja {
namespace {

Value list_of(Values values, Items::Kind kind = Items::list) { return make_items(kind, std::move(values)); }

Value length(Interpreter&, const Value& v, const Arguments&) {
  if (v.is<Undefined>()) return 0;
  if (const auto* text = v.get<Text>()) return text->size();
  if (const auto* dict = v.get<Entries>()) return dict->pairs.size();
  const auto* items = v.get<Items>();
  require(items && items->kind != Items::iterator, "object of type '{}' has no len()", type_name(v));
  return items->values_of.size();
}

Value first(Interpreter&, const Value& v, const Arguments&) {
  const Values values = items_of(v);
  return values.empty() ? undefined("no first item, the list is empty") : values.front();
}
Value last(Interpreter&, const Value& v, const Arguments&) {
  const Values values = items_of(v);
  return values.empty() ? undefined("no last item, the list is empty") : values.back();
}

/// What a filter looks at of an item: an attribute where it is asked for, without case where it is a text.
struct Look {
  Interpreter& in;
  std::optional<Value> attribute{};
  bool case_sensitive = true;
  Value operator()(const Value& v) const {
    const Value seen = attribute ? in.path(v, *attribute) : v;
    return !case_sensitive && seen.is<Text>() ? Value(lower(*seen.get<Text>())) : seen;
  }
};
std::optional<Value> optional_at(const Given& g, size_t i) {
  return g.has(i) && !is_none(g[i]) ? std::optional(g[i]) : std::nullopt;
}

Value join(Interpreter& in, const Value& v, const Arguments& a) {
  const Given g("join", a, {"d", "attribute"});
  const Look look{in, optional_at(g, 1)};
  Text made;
  bool begins = true;
  for (const Value& item : items_of(v)) {
    made += (begins ? Text() : g.text(0, {})) + str(look(item));
    begins = false;
    require(static_cast<int64_t>(made.size()) <= kLargestValue, "a text of more than {} characters", kLargestValue);
  }
  return made;
}

/// Keys are made once: comparing them takes their sizes in steps.
template <class Key>
void sort_by(Interpreter& in, Values& values, const Key& key, bool reverse) {
  std::vector<std::pair<Value, Value>> keyed;
  for (Value& v : values) keyed.emplace_back(key(v), v);
  const auto before = [&](const auto& x, const auto& y) {
    in.charge(1 + std::min(weight_of(x.first), weight_of(y.first)) / 32);
    return reverse ? less(used(y.first), used(x.first)) : less(used(x.first), used(y.first));
  };
  std::stable_sort(keyed.begin(), keyed.end(), before);
  for (size_t i = 0; i < values.size(); ++i) values[i] = keyed[i].second;
}

/// By several attributes, "a,b": a tuple of them.
Value sort(Interpreter& in, const Value& v, const Arguments& a) {
  const Given g("sort", a, {"reverse", "case_sensitive", "attribute"});
  Values values = items_of(v);
  const auto attribute = optional_at(g, 2);
  std::vector<Look> looks;
  if (attribute && attribute->is<Text>()) {
    for (const Text& part : split(*attribute->get<Text>(), U",", -1, false))
      looks.push_back({in, Value(part), g.truth(1, false)});
  } else {
    looks.push_back({in, attribute, g.truth(1, false)});
  }
  const auto key = [&](const Value& item) {
    if (looks.size() == 1) return looks[0](item);
    Values parts;
    for (const Look& look : looks) parts.push_back(look(item));
    return list_of(std::move(parts));
  };
  sort_by(in, values, key, g.truth(0, false));
  return list_of(std::move(values));
}

Value dictsort(Interpreter& in, const Value& v, const Arguments& a) {
  const Given g("dictsort", a, {"case_sensitive", "by", "reverse"});
  const std::string by = utf8_from(g.text(1, U"key"));
  require(by == "key" || by == "value", "dictsort: by must be key or value, not {}", shown(by));
  const auto* dict = used(v).get<Entries>();
  require(dict, "dictsort: expected a dict, not {}", type_name(v));
  Values pairs;
  for (const auto& [key, value] : dict->pairs) pairs.push_back(make_items(Items::tuple, {key, value}));
  const Look look{in, Value(by == "key" ? 0 : 1), g.truth(0, false)};
  sort_by(in, pairs, look, g.truth(2, false));
  return list_of(std::move(pairs));
}

Value groupby(Interpreter& in, const Value& v, const Arguments& a) {
  const Given g("groupby", a, {"attribute", "default", "case_sensitive"});
  const Look seen{in, g[0]};
  const auto shown_key = [&](const Value& item) {
    const Value key = seen(item);
    return key.is<Undefined>() && g.has(1) ? g[1] : key;
  };
  const auto key = [&](const Value& item) {
    const Value k = shown_key(item);
    return !g.truth(2, false) && k.is<Text>() ? Value(lower(*k.get<Text>())) : k;
  };
  Values values = items_of(v), groups;
  sort_by(in, values, key, false);
  for (size_t begin = 0; begin < values.size();) {
    size_t end = begin;
    while (end < values.size() && equal(key(values[end]), key(values[begin]))) ++end;
    groups.push_back(
        make_items(Items::group, {shown_key(values[begin]), list_of({values.begin() + static_cast<int64_t>(begin),
                                                                     values.begin() + static_cast<int64_t>(end)})}));
    begin = end;
  }
  return list_of(std::move(groups));
}

Value unique(Interpreter& in, const Value& v, const Arguments& a) {
  const Given g("unique", a, {"case_sensitive", "attribute"});
  const Look look{in, optional_at(g, 1), g.truth(0, false)};
  Values made, keys;
  for (const Value& item : items_of(v)) {
    const Value key = look(item);
    in.charge(static_cast<int64_t>(keys.size()) / 8 + weight_of(key) / 32);
    if (std::any_of(keys.begin(), keys.end(), [&](const Value& k) { return equal(k, key); })) continue;
    keys.push_back(key);
    made.push_back(item);
  }
  return list_of(std::move(made), Items::iterator);
}

template <bool greatest>
Value extreme(Interpreter& in, const Value& v, const Arguments& a) {
  const Given g("min", a, {"case_sensitive", "attribute"});
  const Look look{in, optional_at(g, 1), g.truth(0, false)};
  const Values values = items_of(v);
  if (values.empty()) return undefined("no aggregated item, the list is empty");
  const Value* best = &values[0];
  for (const Value& item : values)
    if (greatest ? less(look(*best), look(item)) : less(look(item), look(*best))) best = &item;
  return *best;
}

Value sum(Interpreter& in, const Value& v, const Arguments& a) {
  const Given g("sum", a, {"attribute", "start"});
  const Look look{in, optional_at(g, 0)};
  Value made = g.has(1) ? g[1] : Value(0);
  require(!made.is<Text>(), "sum: cannot sum strings, join them");
  for (const Value& item : items_of(v)) {
    in.charge(weight_of(made) / 32);
    made = binary("+", made, look(item));
  }
  return made;
}

Value map(Interpreter& in, const Value& v, const Arguments& a) {
  Values made;
  const bool by_attribute = a.positional.empty();
  if (by_attribute) {
    const Given g("map", a, {"attribute", "default"});
    for (const Value& item : items_of(v)) {
      in.charge(1);
      const Value seen = in.path(item, g[0]);
      made.push_back(seen.is<Undefined>() && g.has(1) ? g[1] : seen);
    }
  } else {
    const Arguments rest{{a.positional.begin() + 1, a.positional.end()}, a.named};
    const std::string name = utf8_from(str(a.positional[0]));
    require(text_filter(name) || list_filter(name), "no filter named {}", shown(name));
    for (const Value& item : items_of(v)) made.push_back(in.filter(name, item, rest));
  }
  return list_of(std::move(made), Items::iterator);
}

/// Those that pass a test, or whose attribute does; without a test, those that are true.
template <bool by_attribute, bool wanted>
Value select(Interpreter& in, const Value& v, const Arguments& a) {
  const size_t skip = by_attribute ? 1 : 0;
  require(a.positional.size() >= skip, "selectattr: no attribute is given");
  const bool has_test = a.positional.size() > skip;
  Arguments rest{.named = a.named};
  std::string name;
  if (has_test) {
    name = utf8_from(str(a.positional[skip]));
    rest.positional.assign(a.positional.begin() + static_cast<int64_t>(skip) + 1, a.positional.end());
  }
  Values made;
  for (const Value& item : items_of(v)) {
    in.charge(1);
    const Value seen = by_attribute ? in.path(item, a.positional[0]) : item;
    if ((has_test ? in.test(name, seen, rest) : truth(seen)) == wanted) made.push_back(item);
  }
  return list_of(std::move(made), Items::iterator);
}

Value reverse(Interpreter&, const Value& v, const Arguments&) {
  if (const auto* text = v.get<Text>()) return Text(text->rbegin(), text->rend());
  Values values = items_of(v);
  std::reverse(values.begin(), values.end());
  return list_of(std::move(values), Items::iterator);
}

Value batch(Interpreter&, const Value& v, const Arguments& a) {
  const Given g("batch", a, {"linecount", "fill_with"});
  const int64_t size = g.integer(0, 0);
  require(size > 0 && size <= kLargestValue, "batch: {} items a line, expected 1 or more", size);
  Values made, line;
  for (const Value& item : items_of(v)) {
    line.push_back(item);
    if (static_cast<int64_t>(line.size()) == size) made.push_back(list_of(std::exchange(line, {})));
  }
  if (!line.empty()) {
    if (g.has(1) && !is_none(g[1])) line.resize(static_cast<size_t>(size), g[1]);
    made.push_back(list_of(std::move(line)));
  }
  return list_of(std::move(made), Items::iterator);
}

Value slice(Interpreter&, const Value& v, const Arguments& a) {
  const Given g("slice", a, {"slices", "fill_with"});
  const int64_t count = g.integer(0, 0);
  require(count > 0 && count <= kLargestValue / 16, "slice: {} slices, expected 1 or more", count);
  const Values values = items_of(v);
  const auto size = static_cast<int64_t>(values.size()), each = size / count, longer = size % count;
  Values made;
  auto at = values.begin();
  for (int64_t i = 0; i < count; ++i) {
    const int64_t n = each + (i < longer);
    Values part(at, at + n);
    at += n;
    if (g.has(1) && !is_none(g[1]) && i >= longer && longer > 0) part.push_back(g[1]);
    made.push_back(list_of(std::move(part)));
  }
  return list_of(std::move(made), Items::iterator);
}

Value pairs_of(Interpreter& in, const Value& v, const Arguments&) {
  if (v.is<Undefined>()) return list_of({}, Items::iterator);
  require(v.is<Entries>(), "Can only get item pairs from a mapping.");
  return list_of(items_of(in.call(*method(v, "items"), {})), Items::iterator);
}

Value fallback(Interpreter&, const Value& v, const Arguments& a) {
  const Given g("default", a, {"default_value", "boolean"});
  const bool is_missing = v.is<Undefined>() || (g.truth(1, false) && !truth(v));
  return !is_missing ? v : g.has(0) ? g[0] : Value(Text());
}

/// Attributes only, no keys.
Value attr(Interpreter& in, const Value& v, const Arguments& a) {
  const Given g("attr", a, {"name"});
  const std::string name = utf8_from(g.text(0, {}));
  if (auto found = method(used(v), name)) return *found;
  return v.is<Entries>() ? undefined(fmt::format("'dict object' has no attribute {}", shown(name)))
                         : in.attribute(v, name);
}

}  // namespace

Filter list_filter(const std::string& name) {
  static const std::map<std::string, Filter> all = {
      {"length", length},
      {"count", length},
      {"first", first},
      {"last", last},
      {"join", join},
      {"sort", sort},
      {"dictsort", dictsort},
      {"groupby", groupby},
      {"unique", unique},
      {"min", extreme<false>},
      {"max", extreme<true>},
      {"sum", sum},
      {"map", map},
      {"select", select<false, true>},
      {"reject", select<false, false>},
      {"selectattr", select<true, true>},
      {"rejectattr", select<true, false>},
      {"reverse", reverse},
      {"batch", batch},
      {"slice", slice},
      {"items", pairs_of},
      {"default", fallback},
      {"d", fallback},
      {"attr", attr},
      {"random", first},  // a rendering is the same each time
      {"list", [](Interpreter&, const Value& v, const Arguments&) { return list_of(items_of(v)); }},
  };
  const auto found = all.find(name);
  return found == all.end() ? nullptr : found->second;
}

}  // namespace jet::jinja
