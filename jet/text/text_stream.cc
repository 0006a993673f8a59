#include "jet/text/text_stream.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "jet/base/error.h"
#include "jet/text/utf8.h"

namespace jet {
namespace {

/// Bytes at the end of `text` that may begin a character.
size_t unfinished_character(std::string_view text) {
  for (size_t back = 1; back <= std::min<size_t>(3, text.size()); ++back) {
    const auto b = static_cast<unsigned char>(text[text.size() - back]);
    if (b < 0x80) return 0;
    if (b >= 0xc0) return back < (b >= 0xf0 ? 4u : b >= 0xe0 ? 3u : 2u) ? back : 0;
  }
  return 0;
}

}  // namespace

TextStream::TextStream(std::vector<std::string> stop_strings) : stop_strings_(std::move(stop_strings)) {
  for (const auto& s : stop_strings_) {
    require(!s.empty(), "a stop string is empty: every text would end at once");
    require(is_valid_utf8(s), "the stop string '{}' is not valid UTF-8", shown(s));
  }
}

std::string TextStream::add(std::string_view bytes) {
  if (stopped_) return {};
  held_ += bytes;
  std::string text = stop();
  return stopped_ ? text : release(held_.size() - undecided());
}

std::string TextStream::finish() { return release(held_.size()); }

/// Where a stop string is whole: the text before it.
std::string TextStream::stop() {
  size_t end = std::string::npos, begin = 0;
  for (const auto& s : stop_strings_) {
    const size_t at = held_.find(s);
    if (at == std::string::npos) continue;
    const std::pair found(at + s.size(), at);
    if (end == std::string::npos || found < std::pair(end, begin)) std::tie(end, begin) = found;
  }
  if (end == std::string::npos) return {};
  stopped_ = true;
  std::string text = release(begin);
  held_.clear();
  return text;
}

size_t TextStream::undecided() const {
  size_t n = unfinished_character(held_);
  for (const auto& s : stop_strings_) n = std::max(n, unfinished(held_, s));
  return n;
}

std::string TextStream::release(size_t bytes) {
  std::string text = repair_utf8(std::string_view(held_).substr(0, bytes));
  held_.erase(0, bytes);
  return text;
}

size_t unfinished(std::string_view text, std::string_view tag) {
  size_t n = std::min(text.size(), tag.size() - 1);
  while (n > 0 && !text.ends_with(tag.substr(0, n))) --n;
  return n;
}

}  // namespace jet
