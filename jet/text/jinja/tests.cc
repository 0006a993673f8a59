// What stands behind `is`, and the functions that templates find.
#include <algorithm>
#include <map>

#include "jet/text/jinja/interpreter.h"
#include "jet/text/utf8.h"

namespace jet::jinja {
namespace {

using Test = bool (*)(const Value& v, const Arguments& a);

const Value& argument(const Arguments& a) {
  require(a.positional.size() == 1 && a.named.empty(), "a test takes one argument here, {} given", a.positional.size());
  return a.positional[0];
}

Int remainder(const Value& v, int64_t by) {
  const Value rest = binary("%", v, by);
  require(rest.is<Int>(), "a test of whole numbers is asked of a {}", type_name(v));
  return *rest.get<Int>();
}

bool is_same(const Value& a, const Value& b) {
  const bool is_small = a.is<Int>() || a.is<None>() || a.is<bool>() || a.is<Text>();
  return a.data.index() == b.data.index() && (a.data == b.data || (is_small && equal(a, b)));
}

const std::map<std::string, Test>& comparisons() {
  constexpr Test kEqual = [](const Value& v, const Arguments& a) { return equal(v, argument(a)); };
  constexpr Test kUnequal = [](const Value& v, const Arguments& a) { return !equal(v, argument(a)); };
  constexpr Test kLess = [](const Value& v, const Arguments& a) { return less(used(v), used(argument(a))); };
  constexpr Test kMore = [](const Value& v, const Arguments& a) { return less(used(argument(a)), used(v)); };
  constexpr Test kMost = [](const Value& v, const Arguments& a) { return !less(used(argument(a)), used(v)); };
  constexpr Test kLeast = [](const Value& v, const Arguments& a) { return !less(used(v), used(argument(a))); };
  static const std::map<std::string, Test> all = {
      {"eq", kEqual}, {"equalto", kEqual}, {"==", kEqual}, {"ne", kUnequal}, {"!=", kUnequal},
      {"lt", kLess},  {"lessthan", kLess}, {"<", kLess},   {"gt", kMore},    {"greaterthan", kMore},
      {">", kMore},   {"le", kMost},       {"<=", kMost},  {"ge", kLeast},   {">=", kLeast},
  };
  return all;
}

const std::map<std::string, Test>& kinds() {
  static const std::map<std::string, Test> all = {
      {"defined", [](const Value& v, const Arguments&) { return !v.is<Undefined>(); }},
      {"undefined", [](const Value& v, const Arguments&) { return v.is<Undefined>(); }},
      {"none", [](const Value& v, const Arguments&) { return is_none(v); }},
      {"boolean", [](const Value& v, const Arguments&) { return v.is<bool>(); }},
      {"true", [](const Value& v, const Arguments&) { return v.is<bool>() && *v.get<bool>(); }},
      {"false", [](const Value& v, const Arguments&) { return v.is<bool>() && !*v.get<bool>(); }},
      {"integer", [](const Value& v, const Arguments&) { return v.is<Int>(); }},
      {"float", [](const Value& v, const Arguments&) { return v.is<double>(); }},
      {"number", [](const Value& v, const Arguments&) { return is_number(v); }},
      {"string", [](const Value& v, const Arguments&) { return v.is<Text>(); }},
      {"mapping", [](const Value& v, const Arguments&) { return v.is<Entries>(); }},
      {"sequence",
       [](const Value& v, const Arguments&) {
         const auto* items = v.get<Items>();
         return v.is<Text>() || v.is<Entries>() || v.is<Undefined>() || (items && items->kind <= Items::group);
       }},
      {"iterable",
       [](const Value& v, const Arguments&) {
         return v.is<Text>() || v.is<Entries>() || v.is<Items>() || v.is<Undefined>();
       }},
      {"callable", [](const Value& v, const Arguments&) { return v.is<Object>() && v.get<Object>()->call; }},
      {"odd", [](const Value& v, const Arguments&) { return remainder(v, 2) == 1; }},
      {"even", [](const Value& v, const Arguments&) { return remainder(v, 2) == 0; }},
      {"divisibleby",
       [](const Value& v, const Arguments& a) { return remainder(v, to_integer(argument(a), "divisibleby")) == 0; }},
      {"sameas", [](const Value& v, const Arguments& a) { return is_same(v, argument(a)); }},
      {"in", [](const Value& v, const Arguments& a) { return contains(argument(a), v); }},
      {"upper",
       [](const Value& v, const Arguments&) {
         const Text t = str(v);
         return std::any_of(t.begin(), t.end(), is_upper) && std::none_of(t.begin(), t.end(), is_lower);
       }},
      {"lower",
       [](const Value& v, const Arguments&) {
         const Text t = str(v);
         return std::any_of(t.begin(), t.end(), is_lower) && std::none_of(t.begin(), t.end(), is_upper);
       }},
      {"escaped", [](const Value&, const Arguments&) { return false; }},
      {"filter", [](const Value& v, const Arguments&) { return has_filter(utf8_from(str(v))); }},
      {"test", [](const Value& v, const Arguments&) { return has_test(utf8_from(str(v))); }},
  };
  return all;
}

Test find_test(const std::string& name) {
  for (const auto* all : {&kinds(), &comparisons()}) {
    const auto found = all->find(name);
    if (found != all->end()) return found->second;
  }
  return nullptr;
}

Value range(const Arguments& a) {
  const Given g("range", a, {"start", "stop", "step"});
  const int64_t first = g.integer(0, 0), by = g.integer(2, 1);
  const int64_t from = g.has(1) ? first : 0, to = g.has(1) ? g.integer(1, 0) : first;
  require(by != 0, "range() arg 3 must not be zero");
  const Int distance = by > 0 ? Int{to} - from : Int{from} - to, width = by > 0 ? Int{by} : -Int{by};
  const Int count = distance > 0 ? (distance + width - 1) / width : 0;
  require(count <= 100000, "Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000).");
  Values made;
  for (int64_t i = 0; i < count; ++i) made.emplace_back(from + i * by);
  return make_items(Items::list, std::move(made));
}

Value dict(const Arguments& a) {
  std::vector<std::pair<Value, Value>> pairs;
  for (const Value& v : a.positional) {
    if (const auto* other = v.get<Entries>()) {
      pairs.insert(pairs.end(), other->pairs.begin(), other->pairs.end());
      continue;
    }
    for (const Value& pair : items_of(v)) {
      const Values both = items_of(pair);
      require(both.size() == 2, "dict: expected pairs");
      pairs.emplace_back(both[0], both[1]);
    }
  }
  for (const auto& [name, value] : a.named) pairs.emplace_back(text_from(name), value);
  require(pairs.size() <= 100000, "dict: more than 100000 keys");
  return make_dict(std::move(pairs));
}

Value cycler(const Arguments& a) {
  require(!a.positional.empty(), "at least one item has to be provided");
  auto at = std::make_shared<size_t>(0);
  Object made{.name = "cycler"};
  made.attribute = [at, items = a.positional](const std::string& name) -> std::optional<Value> {
    if (name == "current") return items[*at];
    if (name == "reset") return make_object(name, [at](const Arguments&) -> Value { return *at = 0, None{}; });
    if (name != "next") return std::nullopt;
    return make_object(name, [at, items](const Arguments&) {
      const Value v = items[*at];
      *at = (*at + 1) % items.size();
      return v;
    });
  };
  return std::make_shared<const Object>(std::move(made));
}

Value joiner(const Arguments& a) {
  const Given g("joiner", a, {"sep"});
  return make_object("joiner",
                     [separator = g.text(0, U", "), used_once = std::make_shared<bool>(false)](const Arguments&) {
                       return std::exchange(*used_once, true) ? Value(separator) : Value(Text());
                     });
}

Value strftime_now(const Interpreter& in, const Arguments& a) {
  const Given g("strftime_now", a, {"format"});
  const std::string format = utf8_from(g.text(0, {})) + " ";  // never empty, so that 0 means too long
  const std::tm now = in.time();
  std::string made(4096, 0);
  made.resize(std::strftime(made.data(), made.size(), format.c_str(), &now));
  require(!made.empty(), "strftime_now: the result is too long");
  made.pop_back();
  return text_from(made);
}

}  // namespace

bool has_filter(const std::string& name) { return text_filter(name) || list_filter(name); }
bool has_test(const std::string& name) { return find_test(name) != nullptr; }

bool Interpreter::test(const std::string& name, const Value& input, const Arguments& a) {
  const Test holds = find_test(name);
  require(holds, "no test named {}", shown(name));
  charge(1 + weight_of(input) / 32);
  for (const Value& v : a.positional) charge(weight_of(v) / 32);
  return holds(input, a);
}

void add_globals(Scope& scope, Interpreter& in) {
  const auto add = [&](const char* name, std::function<Value(const Arguments&)> f) {
    scope.values[name] = make_object(name, std::move(f));
  };
  add("range", [&in](const Arguments& a) {
    Value made = range(a);
    in.charge(weight_of(made) / 4);
    return made;
  });
  add("dict", [&in](const Arguments& a) {
    Value made = dict(a);
    const auto size = static_cast<int64_t>(made.get<Entries>()->pairs.size());
    in.charge(size * size / 32);
    return made;
  });
  add("cycler", cycler);
  add("joiner", joiner);
  add("lipsum", [](const Arguments&) -> Value { fail("lipsum() is not supported"); });
  add("namespace", [&in](const Arguments& a) -> Value {
    Namespace* space = in.make_space();
    for (const Value& v : a.positional)
      for (const auto& [key, value] : used(dict({.positional = {v}})).get<Entries>()->pairs)
        space->values[utf8_from(str(key))] = value;
    for (const auto& [name, value] : a.named) space->values[name] = value;
    return space;
  });
  add("raise_exception", [](const Arguments& a) -> Value {
    const Given g("raise_exception", a, {"message"});
    throw Raised(utf8_from(g.text(0, {})));
  });
  add("strftime_now", [&in](const Arguments& a) { return strftime_now(in, a); });
}

}  // namespace jet::jinja
