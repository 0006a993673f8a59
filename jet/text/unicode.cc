#include "jet/text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <vector>

#include "jet/base/error.h"
#include "jet/text/utf8.h"

namespace jet {
namespace {

bool composes(NormalForm form) { return form == NormalForm::c || form == NormalForm::kc; }
bool is_compatible(NormalForm form) { return form == NormalForm::kc || form == NormalForm::kd; }

/// Code points below it are in the normal form and change with none before them.
unsigned char first_changing_lead(NormalForm form) {
  // U+0300, the first that composes; U+00C0, the first that decomposes; U+00A0, the first compatible form. By the
  // leading byte: 0xcc, 0xc3, 0xc2.
  return form == NormalForm::c ? 0xcc : form == NormalForm::d ? 0xc3 : 0xc2;
}

utf8proc_option_t decompose_options(NormalForm form) {
  int options = UTF8PROC_STABLE | (composes(form) ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE);
  if (is_compatible(form)) options |= UTF8PROC_COMPAT;
  return static_cast<utf8proc_option_t>(options);
}

/// Decomposes `text`, puts the marks of every character in canonical order and composes again. The order is made by a
/// sort: utf8proc's own exchange of neighbours takes quadratic time on a long run of marks.
void append_changed(std::string& out, std::string_view text, NormalForm form) {
  std::vector<utf8proc_int32_t> codes;
  int boundary = 0;
  const auto options = decompose_options(form);
  for_each_code_point(text, [&](char32_t c, size_t, size_t) {
    const auto code = static_cast<utf8proc_int32_t>(c);
    std::array<utf8proc_int32_t, 32> parts;
    const auto count = utf8proc_decompose_char(code, parts.data(), parts.size(), options, &boundary);
    require(count >= 0 && count <= 32, "cannot decompose U+{:04X}", code);
    codes.insert(codes.end(), parts.begin(), parts.begin() + count);
  });
  const auto mark_class = [](utf8proc_int32_t c) { return utf8proc_get_property(c)->combining_class; };
  for (auto begin = codes.begin(); begin != codes.end();) {
    if (mark_class(*begin) == 0) {
      ++begin;
      continue;
    }
    const auto end = std::find_if(begin, codes.end(), [&](auto c) { return mark_class(c) == 0; });
    std::stable_sort(begin, end, [&](auto a, auto b) { return mark_class(a) < mark_class(b); });
    begin = end;
  }
  if (composes(form)) {
    constexpr auto compose = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    const auto count = utf8proc_normalize_utf32(codes.data(), static_cast<utf8proc_ssize_t>(codes.size()), compose);
    require(count >= 0, "cannot normalize the text");
    codes.resize(static_cast<size_t>(count));
  }
  for (const auto c : codes) append_utf8(out, static_cast<char32_t>(c));
}

utf8proc_category_t category(char32_t c) { return utf8proc_category(static_cast<utf8proc_int32_t>(c)); }

}  // namespace

std::string to_normal_form(std::string_view text, NormalForm form) {
  // Only runs of what may change, each with the one code point before it, need work.
  const unsigned char limit = first_changing_lead(form);
  const auto byte_at = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  std::string out;
  out.reserve(text.size());
  size_t last = 0;  // start of the code point before `at`
  size_t done = 0;
  for (size_t at = 0; at < text.size();) {
    if (byte_at(at) < limit) {
      last = at;
      at += byte_at(at) < 0x80 ? 1 : 2;
      continue;
    }
    out.append(text, done, last - done);
    const size_t begin = std::max(last, done);
    while (at < text.size() && byte_at(at) >= limit) at += static_cast<size_t>(utf8_length(text, at));
    append_changed(out, text.substr(begin, at - begin), form);
    done = last = at;
  }
  return out.append(text, done);
}

std::string normalize_nfc(std::string_view text) { return to_normal_form(text, NormalForm::c); }

void append_lower(std::string& out, char32_t c) {
  append_utf8(out, c == 0x130 ? U'i' : to_lower(c));
  if (c == 0x130) append_utf8(out, 0x307);
}

bool is_word_by_category(char32_t c) {
  const auto of = category(c);
  return (of >= UTF8PROC_CATEGORY_LU && of <= UTF8PROC_CATEGORY_ND) || of == UTF8PROC_CATEGORY_PC;
}
bool is_mark(char32_t c) {
  const auto of = category(c);
  return of >= UTF8PROC_CATEGORY_MN && of <= UTF8PROC_CATEGORY_ME;
}
bool is_numeric(char32_t c) {
  const auto of = category(c);
  return of >= UTF8PROC_CATEGORY_ND && of <= UTF8PROC_CATEGORY_NO;
}

bool is_punctuation(char32_t c) {
  if (c < 128) return (c > 32 && c < '0') || (c > '9' && c < 'A') || (c > 'Z' && c < 'a') || (c > 'z' && c < 127);
  const auto of = category(c);
  return of >= UTF8PROC_CATEGORY_PC && of <= UTF8PROC_CATEGORY_PO;
}

}  // namespace jet
