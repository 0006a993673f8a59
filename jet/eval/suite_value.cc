#include "jet/eval/suite_value.h"

#include <map>
#include <optional>

#include "jet/base/error.h"
#include "jet/eval/math_answer.h"
#include "jet/text/jinja/jinja.h"
#include "jet/text/regex.h"
#include "jet/text/utf8.h"

namespace jet {
namespace {

std::string text_argument(const jinja::Arguments& a, size_t i, const char* function) {
  require(i < a.positional.size() && a.positional[i].is<jinja::Text>(), "{}: argument {} must be a text", function,
          i + 1);
  return jinja::utf8_from(*a.positional[i].get<jinja::Text>());
}

/// Compiled once: definitions have few patterns and documents many.
const Regex& compiled(const std::string& pattern) {
  thread_local std::map<std::string, Regex> known;
  const auto at = known.find(pattern);
  return at != known.end() ? at->second : known.emplace(pattern, Regex(pattern, "expression")).first->second;
}

jinja::Value text_value(const std::string& text) { return jinja::Value(jinja::text_from(text)); }

jinja::Variables functions() {
  return {
      {"re_sub", jinja::make_object("re_sub",
                                    [](const jinja::Arguments& a) {
                                      return text_value(replace_all(text_argument(a, 0, "re_sub"),
                                                                    text_argument(a, 1, "re_sub"),
                                                                    text_argument(a, 2, "re_sub")));
                                    })},
      {"re_find", jinja::make_object("re_find",
                                     [](const jinja::Arguments& a) {
                                       const Regex& regex = compiled(text_argument(a, 0, "re_find"));
                                       const std::string text = text_argument(a, 1, "re_find");
                                       Regex::Search s(regex, text);
                                       const int group = regex.groups() > 0 ? 1 : 0;
                                       if (!s.next() || s.begin(group) == std::string::npos) return text_value("");
                                       return text_value(text.substr(s.begin(group), s.end(group) - s.begin(group)));
                                     })},
      {"boxed", jinja::make_object("boxed", [](const jinja::Arguments& a) {
         const auto answer = boxed_answer(text_argument(a, 0, "boxed"));
         require(answer.has_value(), "boxed: the solution has no \\boxed{{answer}}");
         return text_value(*answer);
       })}};
}

jinja::Variables variables_of(const Json& doc) {
  static const jinja::Variables kFunctions = functions();
  jinja::Variables variables = kFunctions;
  for (const auto& [key, value] : doc.items()) variables[key] = jinja::value_from(value, 0);
  return variables;
}

/// The expression of a text that is one and nothing else.
std::string lone_expression(const std::string& text) {
  const bool one = text.size() > 4 && text.starts_with("{{") && text.ends_with("}}") &&
                   text.find("{{", 2) == text.npos && text.find("}}") == text.size() - 2 &&
                   text.find("{%") == text.npos;
  return one ? text.substr(2, text.size() - 4) : "";
}

std::string template_of(const std::string& text) {
  if (const std::string e = lone_expression(text); !e.empty()) return "{{ (" + e + ") | tojson }}";
  return text.ends_with('\n') ? text + "\n" : text;  // a template's last end of line is not part of it
}

}  // namespace

std::string replace_all(const std::string& pattern, const std::string& by, const std::string& text) {
  std::string out;
  size_t from = 0;
  for (Regex::Search s(compiled(pattern), text); s.next();) {
    out.append(text, from, s.begin() - from);
    from = s.end();
    for (size_t i = 0; i < by.size(); ++i) {
      const bool group = (by[i] == '\\' || by[i] == '$') && i + 1 < by.size() && by[i + 1] >= '1' && by[i + 1] <= '9';
      if (!group) {
        out += by[i];
      } else {
        const int g = by[++i] - '0';
        require(g <= compiled(pattern).groups(), "re_sub: '{}' names group {}, '{}' has {}", by, g, pattern,
                compiled(pattern).groups());
        if (s.begin(g) == text.npos) continue;
        out.append(text, s.begin(g), s.end(g) - s.begin(g));
      }
    }
  }
  return out.append(text, from);
}

struct SuiteValue::Impl {
  Json plain;                           // what is no text
  std::string text, where;              // as it was written
  bool lone = false;                    // an expression and nothing else
  bool listed = false;                  // a part of a list, which names no field
  std::optional<jinja::Template> form;  // of texts
  std::vector<SuiteValue> list;         // of lists
  std::map<std::string, SuiteValue> parts;

  Json by_part(const Json& doc) const {
    const std::string part = get_or(doc, "part", std::string(), where);
    const auto at = parts.find(part);
    require(at != parts.end(), "{}: says nothing of the part '{}'", where, part);
    return at->second.of(doc);
  }
};

SuiteValue::SuiteValue(const Json& source, const std::string& where) : impl_(std::make_unique<Impl>()) {
  impl_->plain = source, impl_->where = where;
  if (source.is_array()) {
    for (const Json& part : source) impl_->list.emplace_back(part, where).impl_->listed = true;
  } else if (source.is_object()) {
    for (const auto& [part, value] : source.items()) impl_->parts.emplace(part, SuiteValue(value, where));
  } else if (source.is_string()) {
    impl_->text = source.get<std::string>();
    impl_->lone = !lone_expression(impl_->text).empty();
    impl_->form.emplace(template_of(impl_->text), where);
  }
}
SuiteValue::SuiteValue(SuiteValue&&) noexcept = default;
SuiteValue::~SuiteValue() = default;

Json SuiteValue::of(const Json& doc) const {
  if (impl_->plain.is_array()) {
    Json out = Json::array();
    for (const auto& part : impl_->list) out.push_back(part.of(doc));
    return out;
  }
  if (impl_->plain.is_object()) return impl_->by_part(doc);
  if (!impl_->form) return impl_->plain;
  if (!impl_->listed && doc.contains(impl_->text)) return doc.at(impl_->text);
  if (impl_->text.find('{') == std::string::npos) return impl_->text;
  const std::string text = impl_->form->render(variables_of(doc)).text;
  return impl_->lone ? parse_json(text, impl_->where) : Json(text);
}

std::string SuiteValue::text_of(const Json& doc) const {
  const Json value = of(doc);
  if (value.is_null()) return "";
  return value.is_string() ? value.get<std::string>() : json_text(value);
}

}  // namespace jet
