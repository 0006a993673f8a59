#include "jet/text/utf8.h"

#include <utf8proc.h>

#include <array>
#include <cstring>

#include "jet/base/error.h"

namespace jet {
namespace {

constexpr int kAlphabetEnd = 0x144;

struct ByteAlphabet {
  std::array<int, 256> code_of{};
  std::array<int, kAlphabetEnd> byte_of{};
};

constexpr ByteAlphabet make_alphabet() {
  ByteAlphabet a;
  for (int& b : a.byte_of) b = -1;
  int next = 256;
  for (int b = 0; b < 256; ++b) {
    const bool printable = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
    const int code = printable ? b : next++;
    a.code_of[b] = code;
    a.byte_of[code] = b;
  }
  return a;
}

constexpr ByteAlphabet kAlphabet = make_alphabet();

int byte_at(std::string_view text, size_t i) { return static_cast<unsigned char>(text[i]); }

}  // namespace

int utf8_length(std::string_view text, size_t at, int* bad) {
  int unused = 0;
  int& damage = bad ? *bad : unused;
  damage = 1;
  const int first = byte_at(text, at);
  if (first < 0x80) return 1;
  const int length = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (length == 0) return 0;
  // The second byte's range excludes long forms, surrogates and what lies beyond U+10FFFF.
  int low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  int high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  for (int i = 1; i < length; ++i) {
    if (at + i >= text.size() || byte_at(text, at + i) < low || byte_at(text, at + i) > high) return 0;
    damage = i + 1;
    low = 0x80, high = 0xbf;
  }
  return length;
}

char32_t utf8_code_point(std::string_view text, size_t at, int length) {
  if (length == 1) return static_cast<char32_t>(byte_at(text, at));
  auto code = static_cast<char32_t>(byte_at(text, at) & (0xff >> (length + 1)));
  for (int i = 1; i < length; ++i) code = code << 6 | static_cast<char32_t>(byte_at(text, at + i) & 0x3f);
  return code;
}

void append_utf8(std::string& out, char32_t c) {
  if (c < 0x80) return out.push_back(static_cast<char>(c));
  utf8proc_uint8_t bytes[4];
  const auto n = utf8proc_encode_char(static_cast<utf8proc_int32_t>(c), bytes);
  out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(n));
}

size_t ascii_length(std::string_view text, size_t at) {
  size_t end = at;
  for (uint64_t eight; end + sizeof(eight) <= text.size(); end += sizeof(eight)) {
    std::memcpy(&eight, text.data() + end, sizeof(eight));
    if ((eight & 0x8080808080808080) != 0) break;
  }
  while (end < text.size() && byte_at(text, end) < 0x80) ++end;
  return end - at;
}

bool is_valid_utf8(std::string_view text) {
  for (size_t at = 0; (at += ascii_length(text, at)) < text.size();) {
    const int n = utf8_length(text, at);
    if (n == 0) return false;
    at += n;
  }
  return true;
}

std::string repair_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    int bad = 0;
    const int n = utf8_length(text, at, &bad);
    if (n > 0) {
      out.append(text, at, n);
    } else {
      out += "\xef\xbf\xbd";
    }
    at += n > 0 ? n : bad;
  }
  return out;
}

char32_t to_lower(char32_t c) {
  if (c < 128) return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
  return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
}

bool is_white_space(char32_t c) {
  return (c >= 9 && c <= 13) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
         c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool is_word_character(char32_t c) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NO) || category == UTF8PROC_CATEGORY_PC;
}

bool is_byte_level_token(std::string_view token) {
  for (size_t at = 0; at < token.size();) {
    const int n = utf8_length(token, at);
    const char32_t code = n > 0 ? utf8_code_point(token, at, n) : kAlphabetEnd;
    if (code >= kAlphabetEnd || kAlphabet.byte_of[code] < 0) return false;
    at += n;
  }
  return true;
}

std::string bytes_from_token(std::string_view token) {
  if (!is_byte_level_token(token)) return std::string(token);
  std::string bytes;
  for (size_t at = 0; at < token.size();) {
    const int n = utf8_length(token, at);
    bytes += static_cast<char>(kAlphabet.byte_of[utf8_code_point(token, at, n)]);
    at += n;
  }
  return bytes;
}

char32_t byte_alphabet(unsigned char byte) { return static_cast<char32_t>(kAlphabet.code_of[byte]); }

std::string token_from_byte(unsigned char byte) {
  std::string token;
  append_utf8(token, byte_alphabet(byte));
  return token;
}

std::string shown(std::string_view text) {
  std::string out = repair_utf8(text.substr(0, 80));
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 32 || c == 127) c = '?';
  return fmt::format("'{}{}'", out, text.size() > 80 ? "..." : "");
}

void require_utf8(std::string_view text, const std::string& path, int64_t line) {
  for (size_t at = 0; at < text.size();) {
    const int length = utf8_length(text, at);
    if (length > 0) {
      line += text[at] == '\n', at += static_cast<size_t>(length);
      continue;
    }
    const auto byte = static_cast<unsigned char>(text[at]);
    const bool wide = text.substr(at, 2) == "\xFF\xFE" || text.substr(at, 2) == "\xFE\xFF";
    fail("{}:{}: byte 0x{:02X} is no UTF-8{}; convert the file: iconv -f {} -t UTF-8", path, line, byte,
         wide ? " but the mark of UTF-16" : "", wide ? "UTF-16" : "LATIN1");
  }
}

}  // namespace jet
