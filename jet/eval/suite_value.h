// Values of a suite's definition (suite.h): texts with expressions of Jinja, of a document's fields.
//
//   "label"                        the field's value
//   "Question: {{goal}}\nAnswer:"  a text
//   "{{[sol1, sol2]}}"             an expression alone: its value, whatever its type
//   {"anatomy": ..}                the value for the document's part
//   ["no", "yes"]; 0               a list of values; what is no text is itself
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "jet/base/json.h"

namespace jet {

class SuiteValue {
 public:
  /// `where` names it in errors. Throws Error on wrong syntax.
  SuiteValue(const Json& source, const std::string& where);
  SuiteValue(SuiteValue&&) noexcept;
  ~SuiteValue();
  Json of(const Json& doc) const;
  /// of() as text: numbers in figures, nothing for null.
  std::string text_of(const Json& doc) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Python's re.sub with $1 or \1 for groups.
std::string replace_all(const std::string& pattern, const std::string& by, const std::string& text);

}  // namespace jet
