// UTF-8: repair, normal form C, and the byte alphabet of byte-level tokenizers.
//
//   1 byte   0xxxxxxx                                 to U+007F
//   2        110xxxxx 10xxxxxx                        to U+07FF
//   3        1110xxxx 10xxxxxx 10xxxxxx               to U+FFFF, no surrogates (U+D800..U+DFFF)
//   4        11110xxx 10xxxxxx 10xxxxxx 10xxxxxx      to U+10FFFF
//
//   byte alphabet: 33..126, 161..172, 174..255 stand for themselves; the other 68 bytes, in order, are U+0100..U+0143
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace jet {

/// Bytes of the valid code point at text[at], or 0 where there is none; the length of the damage is in `*bad`.
int utf8_length(std::string_view text, size_t at, int* bad = nullptr);
/// The code point of `length` valid bytes at text[at].
char32_t utf8_code_point(std::string_view text, size_t at, int length);
/// Bytes from text[at] on that are ASCII.
size_t ascii_length(std::string_view text, size_t at);
void append_utf8(std::string& out, char32_t c);

bool is_valid_utf8(std::string_view text);
/// Throws where `text`, whose first line is the `line`-th of the file `path`, is no UTF-8: with the line, the byte, and
/// what it looks like.
void require_utf8(std::string_view text, const std::string& path, int64_t line = 1);
/// Each maximal invalid subsequence becomes one U+FFFD.
std::string repair_utf8(std::string_view text);

/// Normal form C of valid UTF-8 (unicode.h has the others).
std::string normalize_nfc(std::string_view text);

/// The lower case of one code point, or the code point itself.
char32_t to_lower(char32_t c);
/// Unicode White_Space.
bool is_white_space(char32_t c);
/// Letters, marks, digits and connectors.
bool is_word_character(char32_t c);

/// The bytes that a byte-level token stands for; a token outside the alphabet stands for its own UTF-8.
std::string bytes_from_token(std::string_view token);
/// Whether all of a token is in the byte alphabet.
bool is_byte_level_token(std::string_view token);
/// One byte in the byte alphabet.
char32_t byte_alphabet(unsigned char byte);
std::string token_from_byte(unsigned char byte);

/// Text from a file, cut and fit for an error message of one line.
std::string shown(std::string_view text);

}  // namespace jet
