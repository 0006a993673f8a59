#include "jet/text/bpe.h"

#include <algorithm>
#include <bit>
#include <queue>

#include "jet/base/error.h"
#include "jet/base/rng.h"

namespace jet {
namespace {

uint64_t pack(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

/// A symbol of the word being merged, linked to its neighbours; id -1 where it was merged into its left neighbour.
struct Symbol {
  int32_t id, left, right;
};

struct Candidate {
  int32_t rank, at, merged;
  bool operator>(const Candidate& o) const { return rank != o.rank ? rank > o.rank : at > o.at; }
};

}  // namespace

Bpe::Bpe(const std::array<int32_t, 256>& byte_ids, const std::vector<Merge>& merges) : byte_ids_(byte_ids) {
  slots_.resize(std::bit_ceil(2 * merges.size() + 2));
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const auto& m = merges[rank];
    const uint64_t pair = pack(m.left, m.right);
    size_t i = mix64(pair) & (slots_.size() - 1);
    while (slots_[i].pair != ~uint64_t{0} && slots_[i].pair != pair) i = (i + 1) & (slots_.size() - 1);
    slots_[i] = {pair, static_cast<int32_t>(rank), m.merged};  // of a pair listed twice the last rank counts
  }
}

const Bpe::Slot* Bpe::find(int32_t left, int32_t right) const {
  const uint64_t pair = pack(left, right);
  for (size_t i = mix64(pair) & (slots_.size() - 1);; i = (i + 1) & (slots_.size() - 1)) {
    if (slots_[i].pair == pair) return &slots_[i];
    if (slots_[i].pair == ~uint64_t{0}) return nullptr;
  }
}

void Bpe::encode(std::string_view word, std::vector<int32_t>& ids) const {
  require(word.size() <= INT32_MAX, "a word of {} bytes is too long to encode", word.size());
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  for (const unsigned char byte : word) {
    if (byte_ids_[byte] < 0) continue;
    const auto i = static_cast<int32_t>(symbols.size());
    symbols.push_back({byte_ids_[byte], i - 1, i + 1});
  }
  if (symbols.empty()) return;
  symbols.back().right = -1;

  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  const auto offer = [&](int32_t at) {
    if (at < 0 || symbols[at].right < 0) return;
    if (const Slot* s = find(symbols[at].id, symbols[symbols[at].right].id)) queue.push({s->rank, at, s->merged});
  };
  for (size_t i = 0; i + 1 < symbols.size(); ++i) offer(static_cast<int32_t>(i));
  while (!queue.empty()) {
    const Candidate c = queue.top();
    queue.pop();
    Symbol& left = symbols[c.at];
    if (left.id < 0 || left.right < 0) continue;
    Symbol& right = symbols[left.right];
    const Slot* s = find(left.id, right.id);  // the pair may have changed since it was queued
    if (!s || s->merged != c.merged) continue;
    left.id = s->merged;
    right.id = -1;
    left.right = right.right;
    if (left.right >= 0) symbols[left.right].left = c.at;
    offer(left.left);
    offer(c.at);
  }
  for (int32_t i = 0; i >= 0; i = symbols[i].right) ids.push_back(symbols[i].id);
}

}  // namespace jet
