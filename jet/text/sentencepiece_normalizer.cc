#include "jet/text/sentencepiece_normalizer.h"

#include <utility>

#include "jet/text/utf8.h"

namespace jet {
namespace {

constexpr std::string_view kSpace = "\xe2\x96\x81";

}  // namespace

SentencePieceNormalizer::SentencePieceNormalizer(Spec spec) : spec_(std::move(spec)) {
  for (const auto& piece : spec_.user_defined) user_defined_.add({.content = piece});
}

/// Takes what is normalized together off the front of `rest`; what becomes of it.
std::string_view SentencePieceNormalizer::step(std::string_view& rest) const {
  size_t length = static_cast<size_t>(utf8_length(rest, 0));
  std::string_view made;
  if (const AddedToken* user = user_defined_.longest_at(rest, 0)) {
    made = rest.substr(0, length = user->content.size());
  } else if (const auto found = spec_.map ? spec_.map->longest(rest) : std::nullopt) {
    made = found->replacement, length = found->length;
  } else {
    made = rest.substr(0, length);
  }
  rest.remove_prefix(length);
  return made;
}

void SentencePieceNormalizer::apply(std::string& text, bool&) const {
  std::string_view rest = text;
  if (spec_.remove_extra_whitespaces)
    for (std::string_view after = rest; !rest.empty() && step(after) == " ";) rest = after;
  const std::string_view space = spec_.escape_whitespaces ? kSpace : " ";
  std::string out;
  if (!rest.empty() && spec_.add_dummy_prefix) out = space;
  bool after_space = spec_.remove_extra_whitespaces;
  while (!rest.empty()) {
    std::string_view made = step(rest);
    while (after_space && made.starts_with(' ')) made.remove_prefix(1);
    for (const char c : made) c == ' ' ? out += space : out += c;
    if (!made.empty()) after_space = spec_.remove_extra_whitespaces && made.ends_with(' ');
  }
  std::string_view kept = out;
  if (spec_.remove_extra_whitespaces)
    while (kept.ends_with(space)) kept.remove_suffix(space.size());
  text = kept;
}

}  // namespace jet
