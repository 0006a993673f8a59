#include "jet/text/component.h"

#include <algorithm>
#include <cstring>

#include "jet/text/utf8.h"

namespace jet {

Component::Component(const Json& j, const std::string& w) : json(j), type(jet::get<std::string>(j, "type", w)) {
  where = fmt::format("{} {}", w, one_line(type.substr(0, 40)));
}

void Component::allow(std::initializer_list<const char*> fields) const {
  for (const auto& item : json.items()) {
    const std::string& name = item.key();
    const bool known = name == "type" || std::any_of(fields.begin(), fields.end(),
                                                     [&](const char* f) { return std::strcmp(f, name.c_str()) == 0; });
    require(known, "{}: the field {} is not known", where, shown(name));
  }
}

Json Component::list(const char* field) const {
  allow({field});
  Json all = get<Json>(field);
  require(all.is_array(), "{}: '{}' is no list", where, field);
  return all;
}

std::string Component::character(const char* field) const {
  auto text = get<std::string>(field);
  require(!text.empty() && utf8_length(text, 0) == static_cast<int>(text.size()), "{}: '{}' is {}, not one character",
          where, field, shown(text));
  return text;
}

void Component::refuse(const char* known) const { fail("{}: this type cannot be read, only {}", where, known); }

PatternField::PatternField(const Component& c) {
  const Json pattern = c.get<Json>("pattern");
  require(pattern.is_object() && pattern.size() == 1 && (pattern.contains("Regex") || pattern.contains("String")),
          "{}: the pattern must be {{\"Regex\": ...}} or {{\"String\": ...}}", c.where);
  is_regex = pattern.contains("Regex");
  text = get<std::string>(pattern, is_regex ? "Regex" : "String", c.where);
}

}  // namespace jet
