#include "jet/text/charsmap.h"

#include <cstring>

#include "jet/base/error.h"
#include "jet/text/utf8.h"

namespace jet {
namespace {

size_t offset_of(uint32_t unit) { return static_cast<size_t>(unit >> 10) << ((unit & (1u << 9)) >> 6); }

}  // namespace

Charsmap::Charsmap(std::string_view bytes, const std::string& where) {
  uint32_t size = 0;
  if (bytes.size() >= sizeof size) std::memcpy(&size, bytes.data(), sizeof size);
  require(size >= 4 && size % 4 == 0 && size <= bytes.size() - 4, "{}: the character map is damaged", where);
  units_.resize(size / 4);
  std::memcpy(units_.data(), bytes.data() + 4, size);
  replacements_ = bytes.substr(4 + size);
  require(is_valid_utf8(replacements_), "{}: the character map's replacements are no UTF-8", where);
}

std::optional<Charsmap::Match> Charsmap::find(std::string_view text, bool longest) const {
  std::optional<Match> found;
  size_t node = offset_of(units_[0]);
  for (size_t i = 0; i < text.size() && text[i] != '\0'; ++i) {
    node ^= static_cast<unsigned char>(text[i]);
    if (node >= units_.size() || (units_[node] & 0x800000ffu) != static_cast<unsigned char>(text[i])) break;
    const uint32_t unit = units_[node];
    node ^= offset_of(unit);
    if ((unit >> 8 & 1) == 0) continue;
    const size_t at = node < units_.size() ? units_[node] & 0x7fffffffu : replacements_.size();
    // A damaged file may lead into the middle of a character.
    if (at >= replacements_.size() || (static_cast<unsigned char>(replacements_[at]) & 0xc0) == 0x80) break;
    const std::string_view rest = std::string_view(replacements_).substr(at);
    found = Match{i + 1, rest.substr(0, rest.find('\0'))};
    if (!longest) break;
  }
  return found;
}

std::string from_base64(std::string_view text, const std::string& where) {
  std::string out;
  uint32_t bits = 0;
  int count = 0;
  while (text.ends_with('=')) text.remove_suffix(1);
  for (const char c : text) {
    const int digit = c >= 'A' && c <= 'Z'   ? c - 'A'
                      : c >= 'a' && c <= 'z' ? c - 'a' + 26
                      : c >= '0' && c <= '9' ? c - '0' + 52
                      : c == '+'             ? 62
                      : c == '/'             ? 63
                                             : -1;
    require(digit >= 0, "{}: is no base64", where);
    bits = bits << 6 | static_cast<uint32_t>(digit);
    count += 6;
    if (count >= 8) out += static_cast<char>(bits >> (count -= 8) & 0xff);
  }
  return out;
}

}  // namespace jet
