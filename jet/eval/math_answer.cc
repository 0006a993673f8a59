#include "jet/eval/math_answer.h"

#include <vector>

namespace jet {

namespace {

void replace(std::string& s, const std::string& what, const std::string& by) {
  for (size_t at = 0; (at = s.find(what, at)) != s.npos; at += by.size()) s.replace(at, what.size(), by);
}

std::vector<std::string> split(const std::string& s, const std::string& by) {
  std::vector<std::string> parts;
  size_t from = 0;
  for (size_t at = 0; (at = s.find(by, from)) != s.npos; from = at + by.size())
    parts.push_back(s.substr(from, at - from));
  parts.push_back(s.substr(from));
  return parts;
}

// \sqrt3 -> \sqrt{3}
bool brace_roots(std::string& s) {
  const auto parts = split(s, "\\sqrt");
  std::string out = parts[0];
  for (size_t i = 1; i < parts.size(); ++i) {
    const std::string& p = parts[i];
    if (p.empty()) return false;
    out += p[0] == '{' ? "\\sqrt" + p : std::string("\\sqrt{") + p[0] + "}" + p.substr(1);
  }
  s = out;
  return true;
}

// \frac12 -> \frac{1}{2}, \frac1{72} -> \frac{1}{72}
bool brace_fractions(std::string& s) {
  const auto parts = split(s, "\\frac");
  std::string out = parts[0];
  for (size_t i = 1; i < parts.size(); ++i) {
    const std::string& p = parts[i];
    if (p.empty()) return false;
    out += "\\frac";
    if (p[0] == '{') {
      out += p;
      continue;
    }
    if (p.size() < 2) return true;  // left as it is, all of it
    out += std::string("{") + p[0] + "}";
    out += p[1] == '{' ? p.substr(1) : std::string("{") + p[1] + "}" + p.substr(2);
  }
  s = out;
  return true;
}

// Whether Python's int() takes it.
bool is_int(const std::string& s) {
  size_t at = s.starts_with('-') || s.starts_with('+') ? 1 : 0;
  bool digit = false;
  for (; at < s.size(); ++at) {
    if (s[at] == '_' ? !digit : (s[at] < '0' || s[at] > '9')) return false;
    digit = s[at] != '_';
  }
  return digit;
}

// As int() would print it again.
bool is_plain_int(const std::string& s) {
  const std::string digits = s.starts_with('-') ? s.substr(1) : s;
  return digits.find_first_not_of("0123456789") == s.npos && (digits == "0" ? digits == s : digits[0] != '0');
}

// 3/4 -> \frac{3}{4}
bool write_slash(std::string& s) {
  const auto parts = split(s, "/");
  if (parts.size() != 2) return true;
  if (!is_int(parts[0]) || !is_int(parts[1])) return false;
  if (is_plain_int(parts[0]) && is_plain_int(parts[1])) s = "\\frac{" + parts[0] + "}{" + parts[1] + "}";
  return true;
}

}  // namespace

std::optional<std::string> boxed_answer(const std::string& solution) {
  if (const size_t at = solution.rfind("\\boxed "); at != solution.npos) {
    const std::string rest = solution.substr(at + 7);
    return rest.substr(0, rest.find('$'));
  }
  size_t at = solution.rfind("\\boxed{");
  if (at == solution.npos) at = solution.rfind("\\fbox{");
  if (at == solution.npos) return std::nullopt;
  const size_t from = solution.find('{', at) + 1;
  int open = 1;
  for (size_t i = from; i < solution.size(); ++i) {
    open += solution[i] == '{' ? 1 : solution[i] == '}' ? -1 : 0;
    if (open == 0) return solution.substr(from, i - from);
  }
  return std::nullopt;
}

std::optional<std::string> math_form(const std::string& answer) {
  std::string s = answer;
  for (const auto& [what, by] : {std::pair{"\n", ""},
                                 {"\\!", ""},
                                 {"\\\\", "\\"},
                                 {"tfrac", "frac"},
                                 {"dfrac", "frac"},
                                 {"\\left", ""},
                                 {"\\right", ""},
                                 {"^{\\circ}", ""},
                                 {"^\\circ", ""},
                                 {"\\$", ""}})
    replace(s, what, by);
  const auto units = split(s, "\\text{ ");  // only ever before a unit
  if (units.size() > 2) return std::nullopt;
  s = units[0];
  for (const auto& [what, by] : {std::pair{"\\%", ""}, {" .", " 0."}, {"{.", "{0."}}) replace(s, what, by);
  if (s.empty()) return s;
  if (s[0] == '.') s = "0" + s;
  if (const auto sides = split(s, "="); sides.size() == 2 && sides[0].size() <= 2) s = sides[1];  // k = 5
  if (!brace_roots(s)) return std::nullopt;
  replace(s, " ", "");
  if (!brace_fractions(s)) return std::nullopt;
  if (s == "0.5") s = "\\frac{1}{2}";
  if (!write_slash(s)) return std::nullopt;
  return s;
}

bool same_math(const std::string& a, const std::string& b) {
  const auto x = math_form(a), y = math_form(b);
  return x && y ? *x == *y : a == b;
}

}  // namespace jet
