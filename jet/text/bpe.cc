#include "jet/text/bpe.h"

#include <algorithm>
#include <bit>
#include <future>
#include <queue>

#include "jet/base/rng.h"
#include "jet/text/unicode.h"

namespace jet {
namespace {

constexpr size_t kShort = 48;
constexpr size_t kJoinBits = 20;

uint64_t pack(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

uint64_t mixed(uint64_t pair) { return (pair ^ pair >> 29) * 0x9e3779b97f4a7c15ull >> 20; }

/// A symbol of the word being merged, linked to its neighbours; id -1 where it was merged into its left neighbour.
struct Symbol {
  int32_t id, left, right;
};

struct Candidate {
  int32_t rank, at, merged;
  bool operator>(const Candidate& o) const { return rank != o.rank ? rank > o.rank : at > o.at; }
};

/// The first or last code point of a token that is not empty.
char32_t first_of(std::string_view token) { return utf8_code_point(token, 0, utf8_length(token, 0)); }
char32_t last_of(std::string_view token) {
  size_t at = token.size() - 1;
  while (at > 0 && (static_cast<unsigned char>(token[at]) & 0xc0) == 0x80) --at;
  return first_of(token.substr(at));
}

}  // namespace

BpeMerges::BpeMerges(const std::vector<Merge>& merges, std::vector<bool> unused) : unused_(std::move(unused)) {
  slots_.resize(std::bit_ceil(2 * merges.size() + 2));
  for (const auto& m : merges) {
    const uint64_t pair = pack(m.left, m.right);
    size_t i = mixed(pair) & (slots_.size() - 1);
    while (slots_[i].pair != ~uint64_t{0} && slots_[i].pair != pair) i = (i + 1) & (slots_.size() - 1);
    slots_[i] = {pair, m.rank, m.merged};
  }
}

const BpeMerges::Slot* BpeMerges::find(int32_t left, int32_t right) const {
  const uint64_t pair = pack(left, right);
  for (size_t i = mixed(pair) & (slots_.size() - 1);; i = (i + 1) & (slots_.size() - 1)) {
    if (slots_[i].pair == pair) return &slots_[i];
    if (slots_[i].pair == ~uint64_t{0}) return nullptr;
  }
}

/// The merge of a pair that comes into question, or null.
const BpeMerges::Slot* BpeMerges::offer(int32_t left, int32_t right, Splits& splits) const {
  const Slot* s = find(left, right);
  if (s && !unused_.empty() && unused_[s->merged]) splits[s->merged] = {left, right};
  return s;
}

void BpeMerges::apply(std::vector<int32_t>& symbols) const {
  Splits splits;
  symbols.size() <= kShort ? apply_short(symbols, splits) : apply_long(symbols, splits);
  if (splits.empty()) return;
  std::vector<int32_t> open(symbols.rbegin(), symbols.rend());  // what is still to be written, the next one last
  symbols.clear();
  while (!open.empty()) {
    const int32_t id = open.back();
    open.pop_back();
    if (const auto split = splits.find(id); split != splits.end()) {
      open.insert(open.end(), {split->second.second, split->second.first});
    } else {
      symbols.push_back(id);
    }
  }
}

void BpeMerges::apply_short(std::vector<int32_t>& symbols, Splits& splits) const {
  const Slot* pairs[kShort];  // [i]: of symbols i and i + 1
  size_t n = symbols.size();
  for (size_t i = 0; i + 1 < n; ++i) pairs[i] = offer(symbols[i], symbols[i + 1], splits);
  while (n > 1) {
    size_t best = n;
    for (size_t i = 0; i + 1 < n; ++i)
      if (pairs[i] && (best == n || pairs[i]->rank < pairs[best]->rank)) best = i;
    if (best == n) break;
    symbols[best] = pairs[best]->merged;
    std::copy(symbols.begin() + best + 2, symbols.begin() + n, symbols.begin() + best + 1);
    std::copy(pairs + best + 1, pairs + n - 1, pairs + best);
    --n;
    if (best > 0) pairs[best - 1] = offer(symbols[best - 1], symbols[best], splits);
    if (best + 1 < n) pairs[best] = offer(symbols[best], symbols[best + 1], splits);
  }
  symbols.resize(n);
}

void BpeMerges::apply_long(std::vector<int32_t>& symbols, Splits& splits) const {
  require(symbols.size() <= INT32_MAX, "a word of {} symbols is too long to encode", symbols.size());
  std::vector<Symbol> list(symbols.size());
  for (size_t i = 0; i < list.size(); ++i) {
    const auto at = static_cast<int32_t>(i);
    list[i] = {symbols[i], at - 1, at + 1};
  }
  list.back().right = -1;

  std::vector<Candidate> first;
  const auto candidate = [&](int32_t at, auto&& use) {
    if (at < 0 || list[at].right < 0) return;
    if (const Slot* s = offer(list[at].id, list[list[at].right].id, splits)) use(Candidate{s->rank, at, s->merged});
  };
  for (size_t i = 0; i + 1 < list.size(); ++i)
    candidate(static_cast<int32_t>(i), [&](const Candidate& c) { first.push_back(c); });
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue(std::greater<>(), std::move(first));
  const auto enqueue = [&](int32_t at) { candidate(at, [&](const Candidate& c) { queue.push(c); }); };
  while (!queue.empty()) {
    const Candidate c = queue.top();
    queue.pop();
    Symbol& left = list[c.at];
    if (left.id < 0 || left.right < 0) continue;
    Symbol& right = list[left.right];
    const Slot* s = find(left.id, right.id);  // the pair may have changed since it was queued
    if (!s || s->merged != c.merged) continue;
    left.id = s->merged;
    right.id = -1;
    left.right = right.right;
    if (left.right >= 0) list[left.right].left = c.at;
    enqueue(left.left);
    enqueue(c.at);
  }
  symbols.clear();
  for (int32_t i = 0; i >= 0; i = list[i].right) symbols.push_back(list[i].id);
}

Bpe::Bpe(Symbols symbols, const std::vector<Merge>& merges) : s_(std::move(symbols)) {
  auto table = std::async(std::launch::async, [&] { return BpeMerges(merges, s_.unused); });
  read_symbols();
  // How an unused token falls apart is decided over the whole text.
  if (!s_.byte_level && !s_.whole_words && s_.unused.empty()) read_joins(merges);
  merges_ = table.get();
  s_.texts = {};
}

void Bpe::read_symbols() {
  for (size_t id = 0; id < s_.texts.size(); ++id) {
    const std::string_view text = s_.texts[id];
    if (text.empty()) continue;
    if (s_.whole_words) {
      // Of byte-level tokens only those in the byte alphabet are words.
      std::string word = s_.byte_level ? bytes_from_token(text) : std::string(text);
      if (!s_.byte_level || is_byte_level_token(text)) words_.emplace(std::move(word), static_cast<int32_t>(id));
    }
    if (utf8_length(text, 0) != static_cast<int>(text.size())) continue;
    const char32_t c = first_of(text);
    if (c >= symbol_of_.size()) symbol_of_.resize(c + 1, -1);
    symbol_of_[c] = static_cast<int32_t>(id);
  }
}

size_t Bpe::join_of(int32_t left, int32_t right) { return mix64(pack(left, right)) & ((1 << kJoinBits) - 1); }

void Bpe::read_joins(const std::vector<Merge>& merges) {
  std::vector<bool> opaque(s_.texts.size());  // symbols that are not the characters of their text
  for (const int32_t id : s_.byte_tokens)
    if (id >= 0) opaque[id] = true;
  if (s_.unknown >= 0) opaque[s_.unknown] = true;
  // Found once for each token: merges name tokens in any order, far apart in memory.
  std::vector<int32_t> first(s_.texts.size(), -1), last(s_.texts.size(), -1);
  for (size_t id = 0; id < s_.texts.size(); ++id) {
    if (s_.texts[id].empty()) continue;
    first[id] = symbol_of(first_of(s_.texts[id]));
    last[id] = symbol_of(last_of(s_.texts[id]));
  }
  std::vector<bool> joins(size_t{1} << kJoinBits);
  for (const auto& m : merges) {
    if (opaque[m.left] || opaque[m.right]) return;
    joins[join_of(last[m.left], first[m.right])] = true;
  }
  joins_ = std::move(joins);
}

/// The unknown characters before the place that is being read, if their token is still to come.
struct Bpe::Unknowns {
  bool waits = false;
};

void Bpe::add_symbol(std::string_view character, int32_t token, Unknowns& unknowns,
                     std::vector<int32_t>& symbols) const {
  if (token >= 0) {
    if (std::exchange(unknowns.waits, false)) symbols.push_back(s_.unknown);
    symbols.push_back(token);
    return;
  }
  const auto has_token = [&](char c) { return s_.byte_tokens[static_cast<unsigned char>(c)] >= 0; };
  if (!s_.byte_tokens.empty() && std::all_of(character.begin(), character.end(), has_token)) {
    // As in the library, unknown characters before these bytes come after them.
    for (const char c : character) symbols.push_back(s_.byte_tokens[static_cast<unsigned char>(c)]);
    return;
  }
  require(!s_.unknown_missing, "{}: a character of the text has no token, and unk_token is not in the vocabulary",
          s_.where);
  if (s_.unknown < 0) return;
  if (unknowns.waits && !s_.fuse_unknown) symbols.push_back(s_.unknown);
  unknowns.waits = true;
}

void Bpe::encode(std::string_view word, std::vector<int32_t>& ids) const {
  require(word.size() <= INT32_MAX, "a word of {} bytes is too long to encode", word.size());
  if (s_.whole_words) {
    if (const auto found = words_.find(std::string(word)); found != words_.end()) return ids.push_back(found->second);
  }
  std::vector<int32_t> symbols;
  symbols.reserve(word.size());
  Unknowns unknowns;
  if (s_.byte_level) {
    for (const char byte : word) {
      const char32_t c = byte_alphabet(static_cast<unsigned char>(byte));
      const int32_t token = symbol_of(c);
      std::string character;
      if (token < 0) append_utf8(character, c);
      add_symbol(character, token, unknowns, symbols);
    }
  } else {
    for_each_code_point(word, [&](char32_t c, size_t at, size_t length) {
      add_symbol(word.substr(at, length), symbol_of(c), unknowns, symbols);
    });
  }
  if (unknowns.waits) symbols.push_back(s_.unknown);
  if (symbols.empty()) return;
  merges_.apply(symbols);
  ids.insert(ids.end(), symbols.begin(), symbols.end());
}

void Bpe::cut(std::string_view word, FunctionRef<void(std::string_view)> part) const {
  if (joins_.empty()) return part(word);
  size_t begin = 0;
  int32_t last = -1;
  for_each_code_point(word, [&](char32_t c, size_t at, size_t) {
    const int32_t symbol = symbol_of(c);
    if (last >= 0 && symbol >= 0 && !joins_[join_of(last, symbol)]) {
      part(word.substr(begin, at - begin));
      begin = at;
    }
    last = symbol;
  });
  part(word.substr(begin));
}

}  // namespace jet
