// The Jinja that chat templates are written in, as transformers sets it up: jinja2's sandbox with trim_blocks,
// lstrip_blocks, loop controls, the generation tag, and its own tojson, raise_exception and strftime_now. parser.h has
// the grammar, lexer.h the white space, value.h the values.
//
//   source --> tokens --> nodes --(variables, steps)--> text, and which of it came from outside
//
// Written for this project: what C++ has of Jinja (minja, inja, Jinja2Cpp) either differs from transformers' texts,
// keeps no record of where characters come from, or has no bound on what a template may do. Differences from jinja2:
// loops and filters work at once, where jinja2 works when asked; an int has 128 bits; results of `safe`, `escape` are
// plain strings; a filter or test of no known name fails where it is used. There are no other templates to include.
#pragma once

#include <ctime>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "jet/base/error.h"
#include "jet/text/jinja/value.h"

namespace jet::jinja {

/// "<template>:<line>: <what>"; of raise_exception(), what it was given.
class TemplateError : public Error {
 public:
  TemplateError(const std::string& where, int line, const std::string& what, bool raised = false)
      : Error(one_line(fmt::format("{}:{}: {}", where, line, what))), raised_(raised), what_(what) {}
  bool raised() const { return raised_; }
  const std::string& message() const { return what_; }

 private:
  bool raised_;
  std::string what_;
};

struct Environment {
  /// What strftime_now() tells; the local time where there is none.
  std::function<std::tm()> clock{};
  int64_t most_steps = 10'000'000;  // nodes run, and what they worked through
  int64_t most_output = 1 << 24;    // characters
};

/// Bytes [first, second) of the text were not written by the template.
using Ranges = std::vector<std::pair<size_t, size_t>>;

struct Rendered {
  std::string text{};
  Ranges foreign{};  // in order, apart from each other
};

using Variables = std::map<std::string, Value>;

class Template {
 public:
  /// `where` names the source in errors. Throws TemplateError on wrong syntax.
  Template(std::string_view source, std::string where);
  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;
  ~Template();
  /// Throws TemplateError: what went wrong, what the template raised, or that it does not end.
  Rendered render(const Variables& variables, const Environment& environment = {}) const;

 private:
  struct Impl;
  std::unique_ptr<const Impl> impl_;
};

}  // namespace jet::jinja
