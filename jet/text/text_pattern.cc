#include "jet/text/text_pattern.h"

namespace jet {

TextPattern::TextPattern(const std::string& regex, const std::string& where) : scanner_(WordScanner::of(regex)) {
  if (!scanner_) regex_.emplace(regex, where);
}

TextPattern::TextPattern(const Component& c) {
  const PatternField field(c);
  // An empty literal matches between all characters, as the empty expression does.
  if (field.is_regex || field.text.empty()) {
    *this = TextPattern(field.text, c.where);
  } else {
    literal_ = field.text;
  }
}

std::string TextPattern::replaced(std::string_view text, std::string_view by) const {
  std::string out;
  size_t done = 0;
  for_each_match(text, [&](size_t begin, size_t end) {
    require(begin < end, "the tokenizer's Replace has an expression that matches the empty text; it cannot be read");
    out.append(text, done, begin - done).append(by);
    done = end;
  });
  return out.append(text, done);
}

}  // namespace jet
