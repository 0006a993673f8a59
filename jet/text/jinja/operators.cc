// Operators, slices, and what can be iterated over or looked into.
#include <algorithm>
#include <cmath>

#include "jet/text/jinja/interpreter.h"

namespace jet::jinja {
namespace {

bool is_whole(const Value& v) { return v.is<Int>() || v.is<bool>(); }
Int whole(const Value& v) { return v.is<bool>() ? Int{*v.get<bool>()} : *v.get<Int>(); }

template <class Overflows>
Value in_range(Overflows&& overflows) {
  Int n = 0;
  require(!overflows(&n), "a number is beyond 128 bits");
  return n;
}

Int floor_divide(Int a, Int b) {
  require(b != 0, "division by zero");
  require(b != -1 || -a != a || a == 0, "a number is beyond 128 bits");
  return a / b - ((a % b != 0) && ((a < 0) != (b < 0)));
}

Value power(Int base, Int exponent) {
  if (exponent < 0) {
    require(base != 0, "0 cannot be raised to a negative power");
    return std::pow(static_cast<double>(base), static_cast<double>(exponent));
  }
  if (base == 0 || base == 1 || exponent == 0) return exponent == 0 ? Int{1} : base;
  if (base == -1) return exponent % 2 == 0 ? Int{1} : Int{-1};
  require(exponent < 128, "a number is beyond 128 bits");
  Int made = 1;
  for (Int i = 0; i < exponent; ++i) require(!__builtin_mul_overflow(made, base, &made), "a number is beyond 128 bits");
  return made;
}

Value of_integers(const std::string& op, Int a, Int b) {
  if (op == "+") return in_range([&](Int* n) { return __builtin_add_overflow(a, b, n); });
  if (op == "-") return in_range([&](Int* n) { return __builtin_sub_overflow(a, b, n); });
  if (op == "*") return in_range([&](Int* n) { return __builtin_mul_overflow(a, b, n); });
  if (op == "//") return floor_divide(a, b);
  if (op == "%") return b == -1 ? Int{0} : a - floor_divide(a, b) * b;
  if (op == "**") return power(a, b);
  require(b != 0, "division by zero");
  return static_cast<double>(a) / static_cast<double>(b);
}

Value of_floats(const std::string& op, double a, double b) {
  if (op == "+") return a + b;
  if (op == "-") return a - b;
  if (op == "*") return a * b;
  if (op == "**") return std::pow(a, b);
  require(b != 0, "division by zero");
  if (op == "/") return a / b;
  if (op == "//") return std::floor(a / b);
  const double rest = std::fmod(a, b);
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

Value repeated(const Value& v, Int times) {
  const auto n = static_cast<int64_t>(std::clamp<Int>(times, 0, kLargestValue + 1));
  const auto* text = v.get<Text>();
  const auto size = static_cast<int64_t>(text ? text->size() : v.get<Items>()->values_of.size());
  require(size * n <= kLargestValue, "a value of more than {} parts", kLargestValue);
  if (text) {
    Text made;
    for (int64_t i = 0; i < n && size > 0; ++i) made += *text;
    return made;
  }
  Values made;
  for (int64_t i = 0; i < n && size > 0; ++i)
    made.insert(made.end(), v.get<Items>()->values_of.begin(), v.get<Items>()->values_of.end());
  return make_items(v.get<Items>()->kind, std::move(made));
}

}  // namespace

Value binary(const std::string& op, const Value& a, const Value& b) {
  used(a);
  if (op == "%" && a.is<Text>()) return percent_format(*a.get<Text>(), b);
  used(b);
  if (is_whole(a) && is_whole(b)) return of_integers(op, whole(a), whole(b));
  if (is_number(a) && is_number(b)) return of_floats(op, to_double(a), to_double(b));
  const auto *x = a.get<Items>(), *y = b.get<Items>();
  if (op == "+") {
    if (a.is<Text>() && b.is<Text>()) return *a.get<Text>() + *b.get<Text>();
    require(!a.is<Text>(), "can only concatenate str (not \"{}\") to str", type_name(b));
    if (x && y && x->kind == y->kind) {
      Values made = x->values_of;
      made.insert(made.end(), y->values_of.begin(), y->values_of.end());
      return make_items(x->kind, std::move(made));
    }
    require(!x, "can only concatenate {} (not \"{}\") to {}", type_name(a), type_name(b), type_name(a));
  }
  if (op == "*" && (a.is<Text>() || x) && is_whole(b)) return repeated(a, whole(b));
  if (op == "*" && (b.is<Text>() || y) && is_whole(a)) return repeated(b, whole(a));
  fail("unsupported operand type(s) for {}: '{}' and '{}'", op, type_name(a), type_name(b));
}

bool contains(const Value& whole_value, const Value& part) {
  if (whole_value.is<Undefined>()) return false;
  if (const auto* text = whole_value.get<Text>()) {
    require(used(part).is<Text>(), "'in <string>' requires string as left operand, not {}", type_name(part));
    return find_first(*text, *part.get<Text>()).has_value();
  }
  if (const auto* dict = whole_value.get<Entries>()) return dict->find(part) != nullptr;
  const auto* items = whole_value.get<Items>();
  require(items, "argument of type '{}' is not iterable", type_name(whole_value));
  return std::any_of(items->values_of.begin(), items->values_of.end(), [&](const Value& v) { return equal(v, part); });
}

Values items_of(const Value& v) {
  if (v.is<Undefined>()) return {};
  if (const auto* items = v.get<Items>()) return items->values_of;
  Values made;
  if (const auto* text = v.get<Text>()) {
    for (const char32_t c : *text) made.emplace_back(Text(1, c));
    return made;
  }
  const auto* dict = v.get<Entries>();
  require(dict, "'{}' object is not iterable", type_name(v));
  for (const auto& [key, value] : dict->pairs) made.push_back(key);
  return made;
}

Value sliced(const Value& v, const Value& begin, const Value& end, const Value& step) {
  used(v);
  const auto* text = v.get<Text>();
  const auto* items = v.get<Items>();
  require(text || (items && items->kind <= Items::group), "a {} cannot be cut", type_name(v));
  const auto size = static_cast<int64_t>(text ? text->size() : items->values_of.size());
  const int64_t by = is_none(step) ? 1 : to_integer(used(step), "a slice's step");
  require(by != 0, "slice step cannot be zero");
  const int64_t low = by > 0 ? 0 : -1, high = by > 0 ? size : size - 1;
  const auto place = [&](const Value& p, int64_t fallback) {
    if (is_none(p)) return fallback;
    const int64_t at = to_integer(used(p), "a slice's end");
    return std::clamp(at < 0 ? std::max(at, -size - 1) + size : at, low, high);
  };
  const int64_t from = place(begin, by > 0 ? 0 : size - 1), to = place(end, by > 0 ? size : -1);
  Text made_text;
  Values made;
  for (int64_t i = from; by > 0 ? i < to : i > to;) {
    if (text) {
      made_text += (*text)[static_cast<size_t>(i)];
    } else {
      made.push_back(items->values_of[static_cast<size_t>(i)]);
    }
    if (by > size || by < -size) break;
    i += by;
  }
  if (text) return made_text;
  return make_items(items->kind == Items::list ? Items::list : Items::tuple, std::move(made));
}

}  // namespace jet::jinja
