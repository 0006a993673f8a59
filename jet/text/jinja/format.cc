// "%5.1f" % x and "{:>5.1f}".format(x).
//
//   %       "%" [-+ #0]* width? ("." precision)? one of d i s r f e g x X o c %
//   braces  "{" (index | name)? ("!" [rs])? (":" spec)? "}"
//   spec    (fill? [<>^=])? [+- ]? "0"? width? ","? ("." precision)? type?
#include <algorithm>
#include <cmath>

#include "jet/text/jinja/interpreter.h"
#include "jet/text/utf8.h"

namespace jet::jinja {
namespace {

constexpr int kWidest = 10000;

struct Spec {
  char32_t fill = ' ', align = 0, sign = '-', type = 0;
  int width = 0, precision = -1;
  bool zeros = false, commas = false, alternate = false;
};

int number_at(const Text& t, size_t& at) {
  int n = 0;
  for (; at < t.size() && code(t[at]) >= '0' && code(t[at]) <= '9'; ++at) {
    n = n * 10 + static_cast<int>(code(t[at]) - '0');
    require(n <= kWidest, "a format wider than {}", kWidest);
  }
  return n;
}

std::string based(Int n, int base) {
  std::string digits;
  for (Int rest = n < 0 ? -n : n; rest != 0 || digits.empty(); rest /= base)
    digits += "0123456789abcdef"[std::abs(static_cast<int>(rest % base))];
  std::reverse(digits.begin(), digits.end());
  return digits;
}

std::string float_digits(double x, const Spec& s) {
  const int precision = s.precision < 0 ? 6 : s.precision;
  switch (s.type) {
    case 'e': return fmt::format("{:.{}e}", x, precision);
    case 'E': return fmt::format("{:.{}E}", x, precision);
    case 'g': return fmt::format("{:.{}g}", x, std::max(precision, 1));
    case 'G': return fmt::format("{:.{}G}", x, std::max(precision, 1));
    case '%': return fmt::format("{:.{}f}%", x * 100, precision);
    case 0: return s.precision < 0 ? float_text(x) : fmt::format("{:.{}g}", x, std::max(precision, 1));
    default: return fmt::format("{:.{}f}", x, precision);
  }
}

/// The digits without a sign, and whether there is one.
std::pair<std::string, bool> digits_of(const Value& v, const Spec& s) {
  const bool wants_float = s.type != 0 && std::u32string_view(U"fFeEgG%").find(s.type) != std::u32string_view::npos;
  if (v.is<double>() || wants_float) {
    require(is_number(v), "a number is required, not {}", type_name(v));
    const double x = to_double(v);
    if (s.type == 'd' || s.type == 'i' || s.type == 'u') {
      require(std::abs(x) < 1e38, "a number is beyond 128 bits");
      return {integer_text(static_cast<Int>(std::trunc(std::abs(x)))), x <= -1};
    }
    return {float_digits(std::abs(x), s), std::signbit(x) && !std::isnan(x)};
  }
  require(is_number(v), "%d format: a real number is required, not {}", type_name(v));
  const Int n = v.is<bool>() ? Int{*v.get<bool>()} : *v.get<Int>();
  const int base = s.type == 'x' || s.type == 'X' ? 16 : s.type == 'o' ? 8 : s.type == 'b' ? 2 : 10;
  std::string digits = based(n, base);
  if (s.type == 'X')
    std::transform(digits.begin(), digits.end(), digits.begin(), [](char c) { return c >= 'a' ? c - 32 : c; });
  return {digits, n < 0};
}

Text aligned(const Text& text, const Spec& s, char32_t fallback) {
  const auto width = static_cast<size_t>(s.width);
  if (text.size() >= width) return text;
  const size_t missing = width - text.size();
  const char32_t align = s.align ? s.align : fallback;
  const size_t left = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
  return Text(left, s.fill) + text + Text(missing - left, s.fill);
}

Text formatted(const Value& v, const Spec& s) {
  const bool as_text =
      s.type == 's' || s.type == 'r' || (s.type == 0 && !is_number(v)) || (s.type == 0 && v.is<bool>());
  if (as_text) {
    Text text = s.type == 'r' ? repr(v) : str(v);
    if (s.precision >= 0) text.resize(std::min(text.size(), static_cast<size_t>(s.precision)));
    return aligned(text, s, '<');
  }
  auto [digits, negative] = digits_of(used(v), s);
  if (s.commas)
    for (auto at = static_cast<int64_t>(std::min(digits.find_first_of(".e"), digits.size())) - 3; at > 0; at -= 3)
      digits.insert(digits.begin() + at, ',');
  const std::string sign = negative ? "-" : s.sign == '-' ? "" : std::string(1, static_cast<char>(s.sign));
  if (s.zeros && !s.align) {
    const size_t used_up = sign.size() + digits.size();
    if (used_up < static_cast<size_t>(s.width))
      digits = std::string(static_cast<size_t>(s.width) - used_up, '0') + digits;
  }
  return aligned(text_from(sign + digits), s, '>');
}

Spec brace_spec(const Text& t) {
  Spec s;
  size_t at = 0;
  const auto is_align = [&](size_t i) { return i < t.size() && Text(U"<>^=").find(code(t[i])) != Text::npos; };
  if (is_align(1)) s.fill = t[0], at = 1;
  if (is_align(at)) s.align = code(t[at++]);
  if (at < t.size() && Text(U"+- ").find(code(t[at])) != Text::npos) s.sign = code(t[at++]);
  if (at < t.size() && code(t[at]) == '0') s.zeros = true, ++at;
  s.width = number_at(t, at);
  if (at < t.size() && code(t[at]) == ',') s.commas = true, ++at;
  if (at < t.size() && code(t[at]) == '.') s.precision = number_at(t, ++at);
  if (at < t.size()) s.type = code(t[at++]);
  const bool known = s.type == 0 || Text(U"sdfFeEgGxXob%").find(s.type) != Text::npos;
  require(at == t.size() && known, "invalid format specifier {}", shown(utf8_from(t)));
  return s;
}

Value brace_argument(const Text& field, const Arguments& a, size_t& next) {
  size_t at = 0;
  if (field.empty())
    at = next++;
  else if (std::all_of(field.begin(), field.end(), is_digit))
    at = static_cast<size_t>(number_at(field, at));
  else {
    const std::string name = utf8_from(field);
    for (const auto& [word, value] : a.named)
      if (word == name) return value;
    fail("format(): no argument {}", shown(name));
  }
  if (!field.empty()) {
    size_t begin = 0;
    at = static_cast<size_t>(number_at(field, begin));
  }
  require(at < a.positional.size(), "format(): no argument {}", at);
  return a.positional[at];
}

}  // namespace

Text percent_format(const Text& format, const Value& arguments) {
  const auto* tuple = arguments.get<Items>();
  const bool is_tuple = tuple && (tuple->kind == Items::tuple || tuple->kind == Items::group);
  const Values values = is_tuple ? tuple->values_of : Values{arguments};
  size_t next = 0;
  Text made;
  for (size_t at = 0; at < format.size(); ++at) {
    if (code(format[at]) != '%') {
      made += format[at];
      continue;
    }
    Spec s{.sign = '-'};
    for (++at; at < format.size() && Text(U"-+ #0").find(code(format[at])) != Text::npos; ++at) {
      const char32_t flag = code(format[at]);
      if (flag == '-') s.align = '<';
      if (flag == '0') s.zeros = true;
      if (flag == '+' || flag == ' ') s.sign = flag;
    }
    s.width = number_at(format, at);
    if (at < format.size() && code(format[at]) == '.') s.precision = number_at(format, ++at);
    require(at < format.size(), "incomplete format");
    s.type = code(format[at]);
    if (s.type == '%') {
      made += format[at];
      continue;
    }
    require(Text(U"disrfFeEgGxXouc").find(s.type) != Text::npos, "unsupported format character {}",
            shown(utf8_from(format.substr(at, 1))));
    require(next < values.size(), "not enough arguments for format string");
    if (s.type == 's' && !s.align) s.align = '>';
    made += formatted(values[next++], s);
    require(static_cast<int64_t>(made.size()) <= kLargestValue, "a text of more than {} characters", kLargestValue);
  }
  require(next == values.size() || arguments.is<Entries>(), "not all arguments converted during string formatting");
  return made;
}

Text brace_format(const Text& format, const Arguments& arguments) {
  Text made;
  size_t next = 0;
  for (size_t at = 0; at < format.size(); ++at) {
    const char32_t c = code(format[at]);
    const bool doubled = at + 1 < format.size() && code(format[at + 1]) == c;
    if ((c != '{' && c != '}') || doubled) {
      made += format[at];
      at += c == '{' || c == '}';
      continue;
    }
    require(c == '{', "Single '}}' encountered in format string");
    const size_t begin = at + 1;
    while (at < format.size() && code(format[at]) != '}') ++at;
    require(at < format.size(), "expected '}}' before end of string");
    const auto parts = split(format.substr(begin, at - begin), U":", 1, false);
    const auto named = split(parts[0], U"!", 1, false);
    Value v = brace_argument(named[0], arguments, next);
    if (named.size() > 1) v = code(named[1].empty() ? U's' : named[1][0]) == 'r' ? repr(v) : str(v);
    made += formatted(v, brace_spec(parts.size() > 1 ? parts[1] : Text()));
    require(static_cast<int64_t>(made.size()) <= kLargestValue, "a text of more than {} characters", kLargestValue);
  }
  return made;
}

}  // namespace jet::jinja
