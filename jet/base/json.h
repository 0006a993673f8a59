// JSON values, read with errors that name the file and the key; and structs that list their fields once:
//
//   template <class V> static void fields(Config& c, V&& v) { v("heads", c.heads); v("head_dim", c.head_dim); }
//
// from_json_fields and to_json_fields walk that list. Unknown keys are errors: a misspelt key must not be ignored. A
// number's range may stand beside it (number_range.h); what several fields must agree on is said by
//
//   void check(const std::string& where) const;       throws; called when all fields are read
//
// A std::optional field is written where it holds something.
#pragma once

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "jet/base/error.h"
#include "jet/base/number_range.h"

namespace jet {

using Json = nlohmann::ordered_json;
/// Searches its keys by halving where Json searches one after the other: for objects of thousands of keys.
using SortedJson = nlohmann::json;

/// Parses `text`; `where` names the source in the error. Text nested deeper than 200 is an error: walks recurse.
Json parse_json(const std::string& text, const std::string& where);
SortedJson parse_sorted_json(const std::string& text, const std::string& where);
Json read_json(const std::string& path);
/// The same of a file that Python may have written: its Infinity, -Infinity and NaN become strings.
Json read_python_json(const std::string& path);

/// The value as JSON; `indent` -1: on one line. Bytes that are no UTF-8 (a file's name, a prompt) become U+FFFD: what
/// took hours must not be lost for one of them. Nothing else turns values into text (tools/check_sources.py).
std::string json_text(const Json& value, int indent = -1);
std::string json_text(const SortedJson& value, int indent = -1);

template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};

/// Whether j is a T without loss. nlohmann's own conversions wrap numbers that are too wide and take true for 1.
template <class T>
bool fits(const Json& j) {
  if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    if (j.is_number_unsigned()) return std::in_range<T>(j.get<uint64_t>());
    if (j.is_number_integer()) return std::in_range<T>(j.get<int64_t>());
    if (!j.is_number_float()) return false;
    const auto x = j.get<double>();  // 4096.0
    return x == std::floor(x) && std::abs(x) < 0x1p53 && std::in_range<T>(static_cast<int64_t>(x));
  } else if constexpr (std::is_floating_point_v<T>) {
    return j.is_number() && std::abs(j.get<double>()) <= std::numeric_limits<T>::max();
  } else if constexpr (IsVector<T>::value) {
    return j.is_array() && std::all_of(j.begin(), j.end(), fits<typename T::value_type>);
  } else {
    return true;
  }
}

/// j[key] as T; throws "<where>: key '<key>' ..." where it is missing or of the wrong type.
template <class T>
T get(const Json& j, const std::string& key, const std::string& where) {
  require(j.is_object() && j.contains(key), "{}: key '{}' is missing", where, key);
  const Json& value = j.at(key);
  try {
    if (fits<T>(value)) return value.get<T>();
  } catch (const nlohmann::json::exception&) {}
  fail("{}: key '{}' has the wrong type or is out of range: {}", where, key, json_text(value).substr(0, 80));
}

/// As get, but `fallback` where the key is missing or null.
template <class T>
T get_or(const Json& j, const std::string& key, T fallback, const std::string& where) {
  if (!j.is_object() || !j.contains(key) || j.at(key).is_null()) return fallback;
  return get<T>(j, key, where);
}

/// Values by name in the order in which they were added: an object of JSON.
template <class T>
class ByName {
 public:
  void add(const std::string& name, T value) { items_.emplace_back(name, std::move(value)); }
  bool contains(const std::string& name) const { return find(name) != nullptr; }
  const T& at(const std::string& name) const {
    const T* value = find(name);
    require(value != nullptr, "no '{}' among {} names", name, items_.size());
    return *value;
  }
  size_t size() const { return items_.size(); }
  auto begin() const { return items_.begin(); }
  auto end() const { return items_.end(); }

 private:
  const T* find(const std::string& name) const {
    for (const auto& [key, value] : items_)
      if (key == name) return &value;
    return nullptr;
  }
  std::vector<std::pair<std::string, T>> items_;
};

template <class S>
concept HasFields = requires(S& s) {
  S::fields(s, [](const char*, auto&, const auto&...) {});
};
template <class S>
concept HasCheck = requires(const S& s, const std::string& where) {
  s.check(where);
};

template <HasFields S>
Json to_json_fields(const S& s);

template <class T>
void write_field(Json& j, const char* key, const T& field) {
  j[key] = field;
}
/// JSON has no NaN: null stands for it, and reads as the field's first value.
inline void write_field(Json& j, const char* key, const double& field) {
  j[key] = std::isfinite(field) ? Json(field) : Json();
}
template <class T>
void write_field(Json& j, const char* key, const ByName<T>& field) {
  j[key] = Json::object();
  for (const auto& [name, value] : field) write_field(j[key], name.c_str(), value);
}
template <class T>
void write_field(Json& j, const char* key, const std::optional<T>& field) {
  if (field) write_field(j, key, *field);
}

template <HasFields S>
Json to_json_fields(const S& s) {
  Json j = Json::object();
  S::fields(const_cast<S&>(s), [&](const char* key, auto& field, const auto&...) { write_field(j, key, field); });
  return j;
}

/// Nested structs of fields convert like any other value.
template <HasFields S>
void to_json(Json& j, const S& s) {
  j = to_json_fields(s);
}

template <HasFields S>
S from_json_fields(const Json& j, const std::string& where);

/// Throws unless the number, or every number of the list, is within `range`; other values pass.
void require_in(const NumberRange& range, const Json& value, const std::string& key, const std::string& where);

/// j[key] into `field`, which keeps its value where the key is missing; errors name the path of the key.
template <class T>
void read_field(const Json& j, const std::string& key, T& field, const std::string& where) {
  field = get_or(j, key, field, where);
}
template <HasFields T>
void read_field(const Json& j, const std::string& key, T& field, const std::string& where) {
  if (j.contains(key)) field = from_json_fields<T>(j.at(key), where + ": " + key);
}
template <HasFields T>
void read_field(const Json& j, const std::string& key, std::vector<T>& field, const std::string& where) {
  if (!j.contains(key)) return;
  require(j.at(key).is_array(), "{}: key '{}' must be a list", where, key);
  field.clear();
  for (const auto& item : j.at(key)) {
    field.push_back(from_json_fields<T>(item, fmt::format("{}: {}[{}]", where, key, field.size())));
  }
}
template <class T>
void read_field(const Json& j, const std::string& key, std::optional<T>& field, const std::string& where) {
  if (!j.contains(key) || j.at(key).is_null()) return;
  read_field(j, key, field.emplace(), where);
}
template <class T>
void read_field(const Json& j, const std::string& key, ByName<T>& field, const std::string& where) {
  if (!j.contains(key)) return;
  require(j.at(key).is_object(), "{}: key '{}' must be an object", where, key);
  field = {};
  for (const auto& [name, unused] : j.at(key).items()) {
    T value{};
    read_field(j.at(key), name, value, where + ": " + key);
    field.add(name, std::move(value));
  }
}
template <class T>
void read_field(const Json& j, const std::string& key, T& field, const std::string& where, const NumberRange& range) {
  if (j.contains(key)) require_in(range, j.at(key), key, where);
  read_field(j, key, field, where);
}

/// Fills the fields that `j` names and keeps the others' defaults.
template <HasFields S>
S from_json_fields(const Json& j, const std::string& where) {
  require(j.is_object(), "{}: expected a table of keys, found {}", where, json_text(j).substr(0, 80));
  S s{};
  std::vector<std::string> known;
  S::fields(s, [&](const char* key, auto& field, const auto&... range) {
    known.push_back(key);
    read_field(j, key, field, where, range...);
  });
  for (const auto& [key, value] : j.items()) {
    bool found = false;
    for (const auto& k : known) found = found || k == key;
    require(found, "{}: unknown key '{}' (known: {})", where, key, fmt::join(known, ", "));
  }
  if constexpr (HasCheck<S>) s.check(where);
  return s;
}

}  // namespace jet
