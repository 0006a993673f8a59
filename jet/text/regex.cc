#include "jet/text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "jet/base/error.h"

namespace jet {
namespace {

constexpr uint32_t kMostHeapKib = 512 << 10;  // of one search; PCRE2's own limit is 20 GB

std::string message_of(int error) {
  unsigned char text[256] = {};
  pcre2_get_error_message(error, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

}  // namespace

struct Regex::Code {
  explicit Code(pcre2_code* c) : code(c), limits(pcre2_match_context_create(nullptr)) {
    if (limits) pcre2_set_heap_limit(limits, kMostHeapKib);
  }
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
  ~Code() {
    pcre2_match_context_free(limits);
    pcre2_code_free(code);
  }
  pcre2_code* code;
  pcre2_match_context* limits;
  std::string where;
  int groups = 0;
};

Regex::Regex(const std::string& pattern, const std::string& where, bool multiline) {
  int error = 0;
  PCRE2_SIZE at = 0;
  // \C would match part of a character: what follows it would be no valid UTF-8.
  const uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C | (multiline ? PCRE2_MULTILINE : 0);
  pcre2_code* code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), options, &error, &at, nullptr);
  require(code != nullptr, "{}: the regular expression is wrong at its byte {}: {}", where, at, message_of(error));
  code_ = std::make_unique<Code>(code);
  code_->where = where;
  uint32_t groups = 0;
  pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &groups);
  code_->groups = static_cast<int>(groups);
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // where this fails, matching interprets
}

Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;
Regex::~Regex() = default;
int Regex::groups() const { return code_->groups; }

struct Regex::Search::State {
  const Code* code;
  std::string_view text;
  pcre2_match_data* data;
  size_t at = 0;

  int match() const {
    const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
    constexpr uint32_t options = PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY;
    const int rc = pcre2_match(code->code, subject, text.size(), at, options, data, code->limits);
    if (rc != PCRE2_ERROR_JIT_STACKLIMIT) return rc;
    return pcre2_match(code->code, subject, text.size(), at, options | PCRE2_NO_JIT, data, code->limits);
  }
};

Regex::Search::Search(const Regex& regex, std::string_view text)
    : state_(std::make_unique<State>(
          State{regex.code_.get(), text, pcre2_match_data_create_from_pattern(regex.code_->code, nullptr)})) {
  require(state_->data != nullptr, "{}: out of memory", state_->code->where);
}

Regex::Search::~Search() { pcre2_match_data_free(state_->data); }

bool Regex::Search::next() {
  if (state_->at >= state_->text.size()) return false;
  const int rc = state_->match();
  if (rc == PCRE2_ERROR_NOMATCH) {
    state_->at = state_->text.size();
    return false;
  }
  require(rc > 0, "{}: the regular expression gives up on this text: {}; use one that backtracks less",
          state_->code->where, message_of(rc));
  // \K can put the beginning where it should not be.
  require(state_->at <= begin() && begin() <= end(), "{}: the regular expression matches backwards; do not use \\K",
          state_->code->where);
  state_->at = end();
  return true;
}

size_t Regex::Search::begin(int group) const { return pcre2_get_ovector_pointer(state_->data)[2 * group]; }
size_t Regex::Search::end(int group) const { return pcre2_get_ovector_pointer(state_->data)[2 * group + 1]; }

}  // namespace jet
