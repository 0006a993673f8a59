#include "jet/engine/prefix_cache.h"

#include <algorithm>

#include "jet/engine/sequence.h"

namespace jet {

struct PrefixCache::Node {
  Node* parent = nullptr;
  std::vector<int32_t> ids;
  int64_t end = 0;                      // tokens from the root to here
  std::unique_ptr<SequenceState> rows;  // of ids
  std::optional<SequenceCheckpoint> state;
  int64_t used = 0;  // when
  std::vector<std::unique_ptr<Node>> children;

  int64_t row_bytes() const {
    return static_cast<int64_t>(sizeof(Node) + ids.size() * sizeof(int32_t)) + (rows ? rows->bytes() : 0);
  }
};

PrefixCache::PrefixCache(Engine& engine, int64_t budget, int stride)
    : engine_(engine), budget_(budget), stride_(stride), root_(std::make_unique<Node>()) {
  require(budget >= 0, "prefix cache: a budget of {} bytes, expected 0 or more", budget);
  require(stride > 0, "prefix cache: a stride of {} tokens, expected 1 or more", stride);
}

PrefixCache::~PrefixCache() = default;

template <class F>
void PrefixCache::walk(Node* at, const F& f) {
  for (const auto& child : at->children) {
    f(child.get());
    walk(child.get(), f);
  }
}

int64_t PrefixCache::checkpoints() const {
  int64_t n = 0;
  walk(root_.get(), [&](const Node* node) { n += node->state.has_value(); });
  return n;
}

/// The node farthest from the root whose path is the beginning of `rest`. Runs of siblings may begin alike.
PrefixCache::Node* PrefixCache::deepest(Node* at, std::span<const int32_t> rest, bool with_state) const {
  Node* best = at == root_.get() || at->state || !with_state ? at : nullptr;
  for (const auto& child : at->children) {
    const auto& ids = child->ids;
    if (ids.size() > rest.size() || !std::equal(ids.begin(), ids.end(), rest.begin())) continue;
    Node* found = deepest(child.get(), rest.subspan(ids.size()), with_state);
    if (found && (!best || found->end > best->end)) best = found;
  }
  return best;
}

std::unique_ptr<Sequence> PrefixCache::lookup(std::span<const int32_t> ids, int64_t room) {
  auto made = engine_.create();
  Node* node = ids.empty() ? root_.get() : deepest(root_.get(), ids.first(ids.size() - 1), true);
  made->reserve(std::max(room, node->end));
  if (node == root_.get()) return made;
  node->used = ++clock_;
  std::vector<const Node*> path;
  for (const Node* n = node; n != root_.get(); n = n->parent) path.push_back(n);
  for (auto n = path.rbegin(); n != path.rend(); ++n) made->impl_->state->append(*(*n)->rows);
  made->rollback(*node->state);
  made->reserve(room);  // the windows came with their own memory
  return made;
}

void PrefixCache::store(std::span<const int32_t> ids, const Sequence& sequence) {
  require(static_cast<int64_t>(ids.size()) == sequence.length(), "prefix cache: {} ids for a sequence of {} tokens",
          ids.size(), sequence.length());
  if (ids.empty()) return;
  Node* node = deepest(root_.get(), ids, false);
  if (node->end == sequence.length() && node->state) {
    node->used = ++clock_;
    return;
  }
  SequenceCheckpoint state = sequence.checkpoint();
  auto fresh = std::make_unique<Node>();
  int64_t added = state.bytes(), path = 0;
  if (node->end < sequence.length()) {
    fresh->parent = node;
    fresh->ids.assign(ids.begin() + node->end, ids.end());
    fresh->end = sequence.length();
    fresh->rows = sequence.impl_->state->run(node->end, fresh->end);
    added += fresh->row_bytes();
  }
  for (const Node* n = node; n != root_.get(); n = n->parent) path += n->row_bytes();
  if (path + added > budget_) return;
  if (node->end < sequence.length()) {
    Node* child = fresh.get();
    node->children.push_back(std::move(fresh));
    node = child;
  }
  node->state = std::move(state);
  node->used = ++clock_;
  bytes_ += added;
  evict();
}

void PrefixCache::evict() {
  while (bytes_ > budget_) {
    Node* oldest = nullptr;
    walk(root_.get(), [&](Node* n) {
      const bool frees = n->state && (n->state->bytes() > 0 || n->children.empty());
      if (frees && (!oldest || n->used < oldest->used)) oldest = n;
    });
    drop(oldest);
  }
}

/// Drops a checkpoint, and the rows that only led to it.
void PrefixCache::drop(Node* node) {
  bytes_ -= node->state->bytes();
  node->state.reset();
  while (node != root_.get() && node->children.empty() && !node->state) {
    Node* parent = node->parent;
    bytes_ -= node->row_bytes();
    std::erase_if(parent->children, [&](const auto& child) { return child.get() == node; });
    node = parent;
  }
}

int64_t PrefixCache::next_stop(int64_t length, int64_t size, std::span<const int64_t> marks) const {
  int64_t stop = std::min(size, (length / stride_ + 1) * stride_);
  if (size - 1 > length) stop = std::min(stop, size - 1);
  for (const int64_t mark : marks) {
    if (mark > length) stop = std::min(stop, mark);
  }
  return stop;
}

PrefixCache::Prefilled PrefixCache::prefill(std::span<const int32_t> ids, std::span<const int64_t> marks) {
  const auto size = static_cast<int64_t>(ids.size());
  Prefilled made{lookup(ids, size), {}, 0};
  int64_t at = made.sequence->length();
  made.tokens_run = size - at;
  do {
    const int64_t stop = next_stop(at, size, marks);
    made.logits =
        engine_.prefill(*made.sequence, ids.subspan(at, stop - at), stop == size ? Want::last : Want::nothing);
    if (stop < size) store(ids.first(stop), *made.sequence);
    at = stop;
  } while (at < size);
  return made;
}

}  // namespace jet
