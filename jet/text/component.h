// The components of tokenizer.json (normalizer, pre-tokenizer, decoder, ...) as JSON: an object of a "type" and its
// fields. A field that is not known is an error: what it asks for would be left out without a word.
#pragma once

#include <initializer_list>
#include <string>

#include "jet/base/json.h"

namespace jet {

struct Component {
  /// `where`: file and kind. Throws where `j` is no object with a type.
  Component(const Json& j, const std::string& where);
  /// Throws where there are other fields than these and the type.
  void allow(std::initializer_list<const char*> fields) const;
  template <class T>
  T get(const char* field) const {
    return jet::get<T>(json, field, where);
  }
  template <class T>
  T get_or(const char* field, T fallback) const {
    return jet::get_or(json, field, fallback, where);
  }
  /// The list of components that a Sequence holds.
  Json list(const char* field) const;
  /// A field of exactly one code point.
  std::string character(const char* field) const;
  [[noreturn]] void refuse(const char* known) const;

  const Json& json;
  std::string type, where;  // where: with the type
};

/// {"String": text} or {"Regex": pattern}.
struct PatternField {
  explicit PatternField(const Component& c);
  bool is_regex = false;
  std::string text;
};

}  // namespace jet
