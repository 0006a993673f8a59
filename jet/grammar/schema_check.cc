#include "jet/grammar/schema_check.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace jet {
namespace {

constexpr const char* kUnknown[] = {"not",
                                    "if",
                                    "then",
                                    "else",
                                    "dependentRequired",
                                    "contains",
                                    "minContains",
                                    "maxContains",
                                    "uniqueItems",
                                    "dependentSchemas",
                                    "$dynamicRef",
                                    "$recursiveRef",
                                    "dependencies"};
constexpr const char* kLeading[] = {"$ref", "const", "enum", "anyOf", "oneOf", "allOf"};
constexpr const char* kTyping[] = {"type",  "properties",  "additionalProperties", "unevaluatedProperties",
                                   "items", "prefixItems", "unevaluatedItems"};
constexpr const char* kConstraints[] = {"type",
                                        "properties",
                                        "additionalProperties",
                                        "unevaluatedProperties",
                                        "patternProperties",
                                        "propertyNames",
                                        "required",
                                        "minProperties",
                                        "maxProperties",
                                        "items",
                                        "prefixItems",
                                        "minItems",
                                        "maxItems",
                                        "unevaluatedItems",
                                        "pattern",
                                        "minLength",
                                        "maxLength",
                                        "minimum",
                                        "maximum",
                                        "exclusiveMinimum",
                                        "exclusiveMaximum",
                                        "multipleOf",
                                        "$ref",
                                        "const",
                                        "enum",
                                        "anyOf",
                                        "oneOf",
                                        "allOf"};
constexpr const char* kMaps[] = {"properties", "patternProperties", "$defs", "definitions"};
constexpr const char* kLists[] = {"anyOf", "oneOf", "allOf", "prefixItems"};
constexpr const char* kSchemas[] = {"items", "additionalProperties", "unevaluatedProperties", "unevaluatedItems",
                                    "propertyNames"};

/// The first of `keys` that the schema has, null where it has none.
template <size_t n>
const char* first_of(const Json& schema, const char* const (&keys)[n]) {
  const auto found = std::find_if(std::begin(keys), std::end(keys), [&](const char* k) { return schema.contains(k); });
  return found == std::end(keys) ? nullptr : *found;
}

void check_alone(const Json& schema, const char* leader, const std::string& where) {
  const std::string_view lead = leader ? leader : "";
  for (const char* key : kConstraints) {
    if (key == lead || !schema.contains(key)) continue;
    if (key == std::string_view("type") && (lead == "const" || lead == "enum")) continue;
    require(leader, "{}: '{}' without a 'type' is not supported", where, key);
    fail("{}: '{}' beside '{}' is not supported", where, key, leader);
  }
}

}  // namespace

void check_schema(const Json& schema, const std::string& where) {
  if (!schema.is_object()) return;
  const char* unknown = first_of(schema, kUnknown);
  require(!unknown, "{}: {} is not supported", where, unknown ? unknown : "");
  const char* leader = first_of(schema, kLeading);
  if (leader || !first_of(schema, kTyping)) check_alone(schema, leader, where);
  for (const char* key : kMaps) {
    if (!schema.contains(key) || !schema[key].is_object()) continue;
    for (const auto& [name, inner] : schema[key].items()) check_schema(inner, where + "/" + key + "/" + name);
  }
  for (const char* key : kLists) {
    if (!schema.contains(key) || !schema[key].is_array()) continue;
    for (size_t i = 0; i < schema[key].size(); ++i)
      check_schema(schema[key][i], fmt::format("{}/{}/{}", where, key, i));
  }
  for (const char* key : kSchemas)
    if (schema.contains(key)) check_schema(schema[key], where + "/" + key);
}

}  // namespace jet
