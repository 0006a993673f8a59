#include "jet/text/jinja/value.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "jet/base/error.h"

namespace jet::jinja {
namespace {

int depth_of(const Value& v) {
  if (const auto* items = v.get<Items>()) return items->depth;
  if (const auto* dict = v.get<Entries>()) return dict->depth;
  return 0;
}

/// Adds a part's depth and weight to those of the whole.
template <class Whole>
void hold(Whole& whole, const Value& part) {
  whole.depth = std::max(whole.depth, depth_of(part) + 1);
  whole.weight += weight_of(part) + 1;
  require(whole.depth <= kDeepestValue, "a value nests deeper than {}", kDeepestValue);
  require(whole.weight <= kLargestValue, "a value of more than {} parts", kLargestValue);
}

bool is_integer(const Value& v) { return v.is<Int>() || v.is<bool>(); }
Int integer_of(const Value& v) { return v.is<bool>() ? Int{*v.get<bool>()} : *v.get<Int>(); }

bool all_equal(const Values& a, const Values& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), equal);
}

bool is_tuple(const Items& items) { return items.kind == Items::tuple || items.kind == Items::group; }

bool equal_dicts(const Entries& a, const Entries& b) {
  if (a.pairs.size() != b.pairs.size()) return false;
  return std::all_of(a.pairs.begin(), a.pairs.end(), [&](const auto& pair) {
    const Value* other = b.find(pair.first);
    return other && equal(pair.second, *other);
  });
}

}  // namespace

Value::Value(Text text) {
  require(static_cast<int64_t>(text.size()) <= kLargestValue, "a text of more than {} characters", kLargestValue);
  data = std::make_shared<const Text>(std::move(text));
}

Value make_items(Items::Kind kind, Values values) {
  Items made{.kind = kind, .values_of = std::move(values)};
  for (const Value& v : made.values_of) hold(made, v);
  return std::make_shared<const Items>(std::move(made));
}

const Value* Entries::find(const Value& key) const {
  for (const auto& [k, v] : pairs)
    if (equal(k, key)) return &v;
  return nullptr;
}

Value make_dict(std::vector<std::pair<Value, Value>> pairs) {
  Entries made;
  for (auto& [key, value] : pairs) {
    const bool is_key = !key.is<Entries>() && !(key.is<Items>() && !is_tuple(*key.get<Items>()));
    require(is_key, "unhashable type: '{}'", type_name(key));
    hold(made, key);
    hold(made, value);
    if (const Value* there = made.find(key)) {
      const_cast<Value&>(*there) = std::move(value);
    } else {
      made.pairs.emplace_back(std::move(key), std::move(value));
    }
  }
  return std::make_shared<const Entries>(std::move(made));
}

Value make_object(std::string name, std::function<Value(const Arguments&)> call) {
  return std::make_shared<const Object>(Object{std::move(name), std::move(call)});
}

const char* type_name(const Value& v) {
  static constexpr const char* kNames[] = {"Undefined", "NoneType", "bool", "int",      "float",
                                           "str",       "list",     "dict", "function", "Namespace"};
  const auto* items = v.get<Items>();
  if (items && is_tuple(*items)) return "tuple";
  if (items && items->kind != Items::list) return "iterator";
  return kNames[v.data.index()];
}

bool truth(const Value& v) {
  if (v.is<Undefined>() || v.is<None>()) return false;
  if (is_number(v)) return to_double(v) != 0;
  if (const auto* text = v.get<Text>()) return !text->empty();
  if (const auto* items = v.get<Items>()) return items->kind == Items::iterator || !items->values_of.empty();
  if (const auto* dict = v.get<Entries>()) return !dict->pairs.empty();
  return true;
}

bool is_number(const Value& v) { return is_integer(v) || v.is<double>(); }
bool is_none(const Value& v) { return v.is<None>(); }

bool equal(const Value& a, const Value& b) {
  if (is_integer(a) && is_integer(b)) return integer_of(a) == integer_of(b);
  if (is_number(a) && is_number(b)) return to_double(a) == to_double(b);
  if (a.data.index() != b.data.index()) return false;
  if (a.is<Undefined>() || a.is<None>()) return true;
  if (a.data == b.data) return true;
  if (const auto* text = a.get<Text>()) return is_equal(*text, *b.get<Text>());
  if (const auto* dict = a.get<Entries>()) return equal_dicts(*dict, *b.get<Entries>());
  const auto *x = a.get<Items>(), *y = b.get<Items>();
  return x && is_tuple(*x) == is_tuple(*y) && all_equal(x->values_of, y->values_of);
}

bool less(const Value& a, const Value& b) {
  if (is_integer(a) && is_integer(b)) return integer_of(a) < integer_of(b);
  if (is_number(a) && is_number(b)) return to_double(a) < to_double(b);
  if (a.is<Text>() && b.is<Text>()) return order(*a.get<Text>(), *b.get<Text>()) < 0;
  const auto *x = a.get<Items>(), *y = b.get<Items>();
  require(x && y && is_tuple(*x) == is_tuple(*y), "'<' not supported between instances of '{}' and '{}'", type_name(a),
          type_name(b));
  for (size_t i = 0; i < std::min(x->values_of.size(), y->values_of.size()); ++i)
    if (!equal(x->values_of[i], y->values_of[i])) return less(x->values_of[i], y->values_of[i]);
  return x->values_of.size() < y->values_of.size();
}

int64_t to_integer(const Value& v, const char* what) {
  require(is_integer(v), "{} must be a whole number, not {}", what, type_name(v));
  const Int n = integer_of(v);
  require(n == static_cast<int64_t>(n), "{} is too large", what);
  return static_cast<int64_t>(n);
}

double to_double(const Value& v) {
  require(is_number(v), "must be a number, not {}", type_name(v));
  return v.is<double>() ? *v.get<double>() : static_cast<double>(integer_of(v));
}

std::string integer_text(Int n) {
  std::string digits;
  for (Int rest = n; rest != 0 || digits.empty(); rest /= 10)
    digits += static_cast<char>('0' + std::abs(static_cast<int>(rest % 10)));
  if (n < 0) digits += '-';
  std::reverse(digits.begin(), digits.end());
  return digits;
}

std::string float_text(double x) {
  if (!std::isfinite(x)) return std::isnan(x) ? "nan" : x > 0 ? "inf" : "-inf";
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, x, std::chars_format::scientific).ptr;
  const std::string text(buffer, end);
  const size_t e = text.find('e');
  const int exponent = std::atoi(text.c_str() + e + 1);
  std::string digits = text.substr(0, e);
  if (exponent < -4 || exponent >= 16) return text;  // d.ddde-07: as Python has it
  const std::string sign = digits[0] == '-' ? "-" : "";
  std::erase_if(digits, [](char c) { return c == '-' || c == '.'; });
  if (exponent < 0) return sign + "0." + std::string(-exponent - 1, '0') + digits;
  const auto whole = static_cast<size_t>(exponent) + 1;
  if (digits.size() < whole) digits.append(whole - digits.size(), '0');
  return sign + digits.substr(0, whole) + "." + (digits.size() > whole ? digits.substr(whole) : "0");
}

int64_t weight_of(const Value& v) {
  if (const auto* text = v.get<Text>()) return static_cast<int64_t>(text->size());
  if (const auto* items = v.get<Items>()) return items->weight;
  if (const auto* dict = v.get<Entries>()) return dict->weight;
  return 1;
}

}  // namespace jet::jinja
