// A template as tokens. Outside of tags all is data; white space around tags goes as jinja2 has it with trim_blocks and
// lstrip_blocks:
//
//   {{ expression }}     {% statement %}     {# comment #}     {% raw %} data {% endraw %}
//
//   {{- {%- {#-     all white space before it goes          -}} -%} -#}     all white space after it
//   {% {#           blanks before it, where it stands       %} #}           one newline after it
//                   first in its line
//   {%+ {#+         nothing                                 +%} +#}         nothing
//
// \r\n and \r are \n; one newline at the end of the template goes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "jet/text/jinja/value.h"

namespace jet::jinja {

struct Token {
  enum Kind { data, print_begin, print_end, block_begin, block_end, name, text, integer, number, sign, end } kind = end;
  int line = 1;
  std::string word{};  // of a name or sign; what was meant where an error shows it
  Value value{};       // of data, text, integer and number
};

/// Throws TemplateError (jinja.h).
std::vector<Token> tokens_of(std::string_view source, const std::string& where);

}  // namespace jet::jinja
