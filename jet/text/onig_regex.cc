#include "jet/text/onig_regex.h"

#include <oniguruma.h>

#include <array>
#include <mutex>

#include "jet/base/error.h"
#include "jet/text/unicode.h"
#include "jet/text/utf8.h"

namespace jet {
namespace {

constexpr unsigned kMostStack = 1 << 23;         // entries of one search, of some 50 bytes; the library sets no bound
constexpr unsigned long kMostRetries = 1 << 24;  // of one match, beside one for every byte of the text
constexpr size_t kLongestPattern = 1 << 16;      // the library's compiler recurses over it

std::string message_of(int error, OnigErrorInfo* info = nullptr) {
  OnigUChar text[ONIG_MAX_ERROR_MESSAGE_LEN] = {};
  onig_error_code_to_str(text, error, info);
  return repair_utf8(reinterpret_cast<const char*>(text));
}

const OnigUChar* bytes(std::string_view text) { return reinterpret_cast<const OnigUChar*>(text.data()); }

void start_library() {
  static std::once_flag once;
  std::call_once(once, [] {
    OnigEncoding used[] = {ONIG_ENCODING_UTF8};
    onig_initialize(used, 1);
  });
}

/// In the Oniguruma of the `tokenizers` library [[:punct:]] has symbols too, in Debian's it has not: said in full.
std::string with_symbols(const std::string& pattern, const std::string& where) {
  constexpr std::string_view kPunct = "[:punct:]";
  std::string out;
  int depth = 0;  // of brackets
  for (size_t i = 0; i < pattern.size(); ++i) {
    const std::string_view rest = std::string_view(pattern).substr(i);
    require(depth == 0 || !rest.starts_with("[:^punct:]"), "{}: [:^punct:] cannot be read; write ^\\p{{P}}\\p{{S}}",
            where);
    if (depth > 0 && rest.starts_with(kPunct)) {
      out += "\\p{P}\\p{S}";
      i += kPunct.size() - 1;
      continue;
    }
    out += pattern[i];
    if (pattern[i] == '\\' && i + 1 < pattern.size()) {
      out += pattern[++i];
    } else if (pattern[i] == '[') {
      ++depth;
      if (rest.starts_with("[^]")) out += pattern[++i];
      if (rest.starts_with("[^]") || rest.starts_with("[]")) out += pattern[++i];  // a bracket that closes nothing
    } else if (pattern[i] == ']' && depth > 0) {
      --depth;
    }
  }
  return out;
}

}  // namespace

struct OnigRegex::Code {
  Code(regex_t* r, std::string w) : regex(r), where(std::move(w)) {}
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
  ~Code() { onig_free(regex); }
  regex_t* regex;
  std::string where;
};

OnigRegex::OnigRegex(const std::string& given, const std::string& where) {
  start_library();
  const std::string pattern = with_symbols(given, where);
  require(is_valid_utf8(pattern), "{}: the regular expression is no valid UTF-8", where);
  require(pattern.size() <= kLongestPattern, "{}: the regular expression has {} bytes; {} are read", where,
          pattern.size(), kLongestPattern);
  regex_t* regex = nullptr;
  OnigErrorInfo info{};
  const int rc = onig_new(&regex, bytes(pattern), bytes(pattern) + pattern.size(), ONIG_OPTION_NONE, ONIG_ENCODING_UTF8,
                          ONIG_SYNTAX_DEFAULT, &info);
  if (rc != ONIG_NORMAL)
    fail("{}: the regular expression {} is wrong: {}", where, shown(pattern), message_of(rc, &info));
  code_ = std::make_unique<Code>(regex, where);
}

OnigRegex::OnigRegex(OnigRegex&&) noexcept = default;
OnigRegex& OnigRegex::operator=(OnigRegex&&) noexcept = default;
OnigRegex::~OnigRegex() = default;
int OnigRegex::groups() const { return onig_number_of_captures(code_->regex); }

struct OnigRegex::Search::State {
  State(const Code* c, std::string_view t)
      : code(c), text(t), region(onig_region_new()), limits(onig_new_match_param()) {
    if (!region || !limits) return;
    onig_initialize_match_param(limits);
    onig_set_match_stack_limit_size_of_match_param(limits, kMostStack);
    onig_set_retry_limit_in_match_of_match_param(limits, kMostRetries + text.size());
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    if (region) onig_region_free(region, 1);
    if (limits) onig_free_match_param(limits);
  }
  const Code* code;
  std::string_view text;
  OnigRegion* region;
  OnigMatchParam* limits;
  size_t at = 0, last_end = std::string_view::npos;
};

OnigRegex::Search::Search(const OnigRegex& regex, std::string_view text)
    : state_(std::make_unique<State>(regex.code_.get(), text)) {
  require(state_->region && state_->limits, "{}: out of memory", state_->code->where);
}

OnigRegex::Search::~Search() = default;

bool OnigRegex::Search::next() {
  State& s = *state_;
  const OnigUChar *text = bytes(s.text), *text_end = text + s.text.size();
  while (s.at <= s.text.size()) {
    const int rc = onig_search_with_param(s.code->regex, text, text_end, text + s.at, text_end, s.region,
                                          ONIG_OPTION_NONE, s.limits);
    if (rc == ONIG_MISMATCH) break;
    if (rc < 0)
      fail("{}: the regular expression gives up on this text: {}; use one that backtracks less", s.code->where,
           message_of(rc));
    // \K can put the beginning where it should not be.
    require(s.last_end == std::string_view::npos || begin() >= s.last_end,
            "{}: the regular expression matches backwards; do not use \\K", s.code->where);
    if (begin() == end() && end() == s.last_end) {
      s.at += s.at < s.text.size() ? static_cast<size_t>(utf8_length(s.text, s.at)) : 1;
      continue;
    }
    s.at = s.last_end = end();
    return true;
  }
  s.at = s.text.size() + 1;
  return false;
}

size_t OnigRegex::Search::begin(int group) const {
  const int at = state_->region->beg[group];
  return at < 0 ? std::string_view::npos : static_cast<size_t>(at);
}
size_t OnigRegex::Search::end(int group) const {
  const int at = state_->region->end[group];
  return at < 0 ? std::string_view::npos : static_cast<size_t>(at);
}

CharClass char_class(char32_t c) {
  struct Classes {
    Classes() {
      start_library();
      const auto type = [](char name) {
        OnigUChar text[] = {static_cast<OnigUChar>(name)};
        return static_cast<OnigCtype>(ONIGENC_PROPERTY_NAME_TO_CTYPE(ONIG_ENCODING_UTF8, text, text + 1));
      };
      letter = type('L'), mark = type('M'), number = type('N');
      for (char32_t i = 0; i < ascii.size(); ++i) ascii[i] = find(i);
    }
    CharClass find(char32_t code) const {
      const auto is = [&](OnigCtype type) { return ONIGENC_IS_CODE_CTYPE(ONIG_ENCODING_UTF8, code, type) != 0; };
      return is(letter)                ? CharClass::letter
             : is(ONIGENC_CTYPE_SPACE) ? CharClass::space
             : is(number)              ? CharClass::number
             : is(mark)                ? CharClass::mark
                                       : CharClass::other;
    }
    OnigCtype letter, mark, number;
    std::array<CharClass, 128> ascii{};
  };
  static const Classes classes;
  return c < classes.ascii.size() ? classes.ascii[c] : classes.find(c);
}

bool is_word_of_regex(char32_t c) {
  start_library();
  return c == 0x200c || c == 0x200d || is_word_by_category(c) || ONIGENC_IS_CODE_ALPHA(ONIG_ENCODING_UTF8, c);
}

}  // namespace jet
