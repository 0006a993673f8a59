#include "jet/text/unigram.h"

#include <algorithm>

#include "jet/text/utf8.h"

namespace jet {
namespace {

constexpr double kUnknownPenalty = 10;

size_t first_two(std::string_view text) {
  return static_cast<size_t>(static_cast<unsigned char>(text[0])) << 8 | static_cast<unsigned char>(text[1]);
}

}  // namespace

Unigram::Unigram(Pieces pieces) : p_(std::move(pieces)), starts_((1 << 16) + 1), ids_(p_.texts.size()) {
  single_.fill(-1);
  for (size_t i = p_.texts.size(); i-- > 0;) {  // of a text listed twice the last counts
    const auto id = static_cast<int32_t>(i);
    const std::string& text = p_.texts[i];
    if (text.empty() || !p_.usable[i] || ids_.add(text, id) != id) continue;
    if (text.size() == 1) {
      single_[static_cast<unsigned char>(text[0])] = id;
    } else {
      sorted_.push_back(id);
      ++starts_[first_two(text) + 1];
    }
  }
  for (size_t i = 1; i < starts_.size(); ++i) starts_[i] += starts_[i - 1];
  std::sort(sorted_.begin(), sorted_.end(), [&](int32_t a, int32_t b) { return p_.texts[a] < p_.texts[b]; });
}

/// Calls use(id, size) for every usable token that `text` begins with, the shortest first.
template <class Use>
void Unigram::for_each_prefix(std::string_view text, Use&& use) const {
  if (const int32_t id = single_[static_cast<unsigned char>(text[0])]; id >= 0) use(id, size_t{1});
  if (text.size() < 2) return;
  auto begin = sorted_.begin() + starts_[first_two(text)], end = sorted_.begin() + starts_[first_two(text) + 1];
  // All of [begin, end) have the first `size` bytes of the text.
  for (size_t size = 2; begin != end; ++size) {
    if (p_.texts[*begin].size() == size) use(*begin++, size);
    if (size >= text.size()) return;
    const auto next = static_cast<unsigned char>(text[size]);
    const auto byte = [&](int32_t id) { return static_cast<unsigned char>(p_.texts[id][size]); };
    begin = std::partition_point(begin, end, [&](int32_t id) { return byte(id) < next; });
    end = std::partition_point(begin, end, [&](int32_t id) { return byte(id) == next; });
  }
}

std::vector<Unigram::Node> Unigram::best_path(std::string_view word) const {
  std::vector<Node> best(word.size() + 1);
  const auto rounded = [&](double sum) { return p_.float_sums ? static_cast<double>(static_cast<float>(sum)) : sum; };
  const double unknown_score = rounded(p_.lowest_score - kUnknownPenalty);
  const auto offer = [&](Node& node, size_t begin, int32_t id, double sum) {
    if (node.begin < 0 || sum > node.sum) node = {rounded(sum), static_cast<int64_t>(begin), id};
  };
  for (size_t at = 0; at < word.size();) {
    const auto length = static_cast<size_t>(utf8_length(word, at));
    const double here = best[at].sum;
    bool has_single = false;
    for_each_prefix(word.substr(at), [&](int32_t id, size_t size) {
      offer(best[at + size], at, id, p_.scores[id] + here);
      has_single = has_single || size == length;
    });
    if (!has_single) {
      require(p_.unknown >= 0, "{}: has no token for a character of the text, and no unk_id", p_.where);
      offer(best[at + length], at, p_.unknown, rounded(unknown_score + here));
    }
    at += length;
  }
  return best;
}

void Unigram::encode(std::string_view word, std::vector<int32_t>& ids) const {
  const std::vector<Node> best = best_path(word);
  std::vector<std::string_view> parts;  // from the right; neighbours that are unknown are one
  bool last_unknown = false;
  for (size_t end = word.size(); end > 0;) {
    const Node& node = best[end];
    const auto begin = static_cast<size_t>(node.begin);
    const bool unknown = node.id == p_.unknown;
    if (unknown && last_unknown) {
      parts.back() = word.substr(begin, end - begin + parts.back().size());
    } else {
      parts.push_back(word.substr(begin, end - begin));
    }
    last_unknown = unknown;
    end = begin;
  }
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) append_ids(*part, ids);
}

/// The token of `part`, or those of its bytes, or the unknown one.
void Unigram::append_ids(std::string_view part, std::vector<int32_t>& ids) const {
  if (const int32_t id = ids_.find(part); id >= 0) return ids.push_back(id);
  const auto has_token = [&](char c) { return p_.byte_tokens[static_cast<unsigned char>(c)] >= 0; };
  if (!p_.byte_tokens.empty() && std::all_of(part.begin(), part.end(), has_token)) {
    for (const char c : part) ids.push_back(p_.byte_tokens[static_cast<unsigned char>(c)]);
    return;
  }
  require(p_.unknown >= 0, "{}: has no token for a character of the text, and no unk_id", p_.where);
  ids.push_back(p_.unknown);
}

}  // namespace jet
