// Values of templates, as Python has them:
//
//   undefined  None  bool  int (128 bits)  float  str  list, tuple, ...  dict  namespace  object (what can be called)
//
// All but namespaces are constant and share what they hold. A list or dict knows how deep and how large it is with all
// that it holds, and none becomes too deep or too large: what walks over one may recurse, and ends.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "jet/base/json.h"
#include "jet/text/jinja/text.h"

namespace jet::jinja {

struct Value;
struct Items;
struct Entries;
struct Object;
struct Namespace;
using Int = __int128;
using Values = std::vector<Value>;

inline constexpr int kDeepestValue = 210;                   // JSON may nest 200 deep
inline constexpr int64_t kLargestValue = int64_t{1} << 24;  // characters, items

struct Undefined {
  std::shared_ptr<const std::string> why{};  // what its use is told as; null: nothing more to say
  bool operator==(const Undefined&) const = default;
};
struct None {
  bool operator==(const None&) const = default;
};

struct Value {
  Value() = default;  // undefined
  Value(Undefined u) : data(std::move(u)) {}
  Value(None n) : data(n) {}
  template <std::same_as<bool> B>
  Value(B b) : data(b) {}
  template <class N>
  requires(std::integral<N> && !std::same_as<N, bool>) || std::same_as<N, Int> Value(N n) : data(static_cast<Int>(n)) {}
  Value(double x) : data(x) {}
  /// Throws Error where the text is too large.
  Value(Text text);
  Value(const char* ascii) : Value(text_from(ascii)) {}
  Value(std::shared_ptr<const Items> items) : data(std::move(items)) {}
  Value(std::shared_ptr<const Entries> entries) : data(std::move(entries)) {}
  Value(std::shared_ptr<const Object> object) : data(std::move(object)) {}
  Value(Namespace* space) : data(space) {}

  template <class T>
  const T* get() const {
    if constexpr (std::same_as<T, Text> || std::same_as<T, Items> || std::same_as<T, Entries> ||
                  std::same_as<T, Object>) {
      const auto* shared = std::get_if<std::shared_ptr<const T>>(&data);
      return shared ? shared->get() : nullptr;
    } else {
      return std::get_if<T>(&data);
    }
  }
  template <class T>
  bool is() const {
    return get<T>() != nullptr;
  }
  Namespace* space() const { return is<Namespace*>() ? *get<Namespace*>() : nullptr; }

  std::variant<Undefined, None, bool, Int, double, std::shared_ptr<const Text>, std::shared_ptr<const Items>,
               std::shared_ptr<const Entries>, std::shared_ptr<const Object>, Namespace*>
      data;
};

/// A list, a tuple, or what Python iterates over without its being either.
struct Items {
  enum Kind { list, tuple, group, iterator, keys, values, pairs } kind = list;
  Values values_of{};
  int depth = 1;
  int64_t weight = 1;
};
/// Throws Error where it would be too deep or too large; so does make_dict.
Value make_items(Items::Kind kind, Values values);

/// A dict, in the order of its keys.
struct Entries {
  std::vector<std::pair<Value, Value>> pairs{};
  int depth = 1;
  int64_t weight = 1;
  /// Null where there is none.
  const Value* find(const Value& key) const;
};
/// Of equal keys the first key keeps its place, the last value stands. Throws Error on a key that is a list or dict.
Value make_dict(std::vector<std::pair<Value, Value>> pairs);

struct Namespace {
  std::map<std::string, Value> values{};
};

struct Arguments {
  Values positional{};
  std::vector<std::pair<std::string, Value>> named{};
};

/// What can be called: functions, methods, macros, loops.
struct Object {
  std::string name;
  std::function<Value(const Arguments&)> call{};
  std::function<std::optional<Value>(const std::string& attribute)> attribute{};
};
Value make_object(std::string name, std::function<Value(const Arguments&)> call);

/// As Python names it: str, NoneType.
const char* type_name(const Value& v);
bool truth(const Value& v);
bool is_number(const Value& v);  // bools are numbers
bool is_none(const Value& v);
/// As Python compares: 1 == True == 1.0, a list is no tuple.
bool equal(const Value& a, const Value& b);
/// Whether a < b; throws Error where Python has no order for them.
bool less(const Value& a, const Value& b);
/// Of an int or bool; throws Error ("<what> must be ...") on others and beyond 64 bits.
int64_t to_integer(const Value& v, const char* what);
double to_double(const Value& v);
/// str(v) and repr(v).
Text str(const Value& v);
Text repr(const Value& v);
std::string integer_text(Int n);
/// The shortest that reads back, as Python spells it: 1e+22, 0.1, 2.0.
std::string float_text(double x);
/// Characters and items in all.
int64_t weight_of(const Value& v);

struct JsonStyle {
  int indent = -1;  // -1: on one line
  bool ascii = false, sort_keys = false;
  Text item = U", ", key = U": ";
};
/// json.dumps. Throws Error on what is no JSON.
Text json_of(const Value& v, const JsonStyle& style);
/// Strings, keys included, are marked by `mark`.
Value value_from(const Json& json, char32_t mark);

}  // namespace jet::jinja
