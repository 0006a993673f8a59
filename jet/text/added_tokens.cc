#include "jet/text/added_tokens.h"

#include <algorithm>
#include <utility>

#include "jet/text/onig_regex.h"
#include "jet/text/utf8.h"

namespace jet {
namespace {

/// Where the code point that ends at `end` begins (valid UTF-8, end > 0).
size_t previous(std::string_view text, size_t end) {
  do --end;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80);
  return end;
}

char32_t code_point(std::string_view text, size_t at) { return utf8_code_point(text, at, utf8_length(text, at)); }

bool touches_word(std::string_view text, size_t begin, size_t end) {
  return (begin > 0 && is_word_of_regex(code_point(text, previous(text, begin)))) ||
         (end < text.size() && is_word_of_regex(code_point(text, end)));
}

}  // namespace

void AddedTokens::add(AddedToken token) {
  if (token.content.empty()) return;
  first_bytes_[static_cast<unsigned char>(token.content[0])] = true;
  int32_t node = 0;
  for (const unsigned char byte : token.content) {
    const auto [edge, is_new] =
        edges_.try_emplace(static_cast<uint64_t>(node) << 8 | byte, static_cast<int32_t>(token_of_node_.size()));
    if (is_new) token_of_node_.push_back(-1);
    node = edge->second;
  }
  if (token_of_node_[node] >= 0) return;
  token_of_node_[node] = static_cast<int32_t>(tokens_.size());
  tokens_.push_back(std::move(token));
}

const AddedToken* AddedTokens::longest_at(std::string_view text, size_t at) const {
  const AddedToken* longest = nullptr;
  int32_t node = 0;
  for (size_t i = at; i < text.size(); ++i) {
    const auto edge = edges_.find(static_cast<uint64_t>(node) << 8 | static_cast<unsigned char>(text[i]));
    if (edge == edges_.end()) break;
    node = edge->second;
    if (token_of_node_[node] >= 0) longest = &tokens_[token_of_node_[node]];
  }
  return longest;
}

/// The first token that begins at or after `from`; before `done` all is taken.
bool AddedTokens::find(std::string_view text, size_t from, size_t done, Match& m) const {
  if (tokens_.empty()) return false;
  for (size_t at = from; at < text.size(); ++at) {
    if (!first_bytes_[static_cast<unsigned char>(text[at])]) continue;
    const AddedToken* token = longest_at(text, at);
    if (!token) continue;
    m = {at, at + token->content.size(), at + token->content.size(), token->id};
    if (token->single_word && touches_word(text, m.begin, m.end)) {
      at = m.end - 1;
      continue;
    }
    while (token->left_strip && m.begin > done && is_white_space(code_point(text, previous(text, m.begin))))
      m.begin = previous(text, m.begin);
    if (token->left_strip) m.begin = std::max(m.begin, done);
    while (token->right_strip && m.end < text.size() && is_white_space(code_point(text, m.end)))
      m.end += utf8_length(text, m.end);
    if (m.begin < m.end) return true;
    at = m.next - 1;  // the token before took all of it
  }
  return false;
}

}  // namespace jet
