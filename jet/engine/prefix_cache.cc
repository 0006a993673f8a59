#include "jet/engine/prefix_cache.h"

#include <algorithm>
#include <utility>

#include "jet/engine/sequence.h"

namespace jet {
namespace {

constexpr int64_t kWorthCutting = 32;  // tokens in common, for which a run is cut in two
constexpr int64_t kWorthAPass = 32;    // tokens that a checkpoint saves at least, for which a prompt's pass is cut
// Those that cost nothing, and others: passes cut at each 64 read a prompt of 4,000 in 1.3 times the time.
constexpr int kFreeStride = 64, kStride = 256;

}  // namespace

struct PrefixCache::Node {
  Node* parent = nullptr;
  std::vector<int32_t> ids;
  int64_t end = 0;                             // tokens from the root to here
  uint64_t key = 0;                            // of these
  std::shared_ptr<const SequenceState> rows;   // of ids
  std::shared_ptr<const SequenceState> state;  // the checkpoint, or null
  bool is_mark = false;
  int64_t used = 0;  // when
  std::vector<std::unique_ptr<Node>> children;

  Node() = default;
  Node(Node* above, PrefixRun run)
      : parent(above), ids(std::move(run.ids)), end(above->end + std::ssize(ids)), key(prefix_key(above->key, ids)),
        rows(std::move(run.rows)) {}
  static int64_t bytes_with(const std::vector<int32_t>& its_ids) {
    return static_cast<int64_t>(sizeof(Node) + its_ids.size() * sizeof(int32_t));
  }
};

PrefixCache::PrefixCache(Engine& engine, int64_t budget, int stride)
    : engine_(engine), empty_(std::move(engine.create()->impl_->state)), budget_(budget),
      stride_(stride > 0                     ? stride
              : empty_->layout->only_grows() ? kFreeStride
                                             : kStride),
      root_(std::make_unique<Node>()) {
  require(budget >= 0, "prefix cache: a budget of {} bytes, expected 0 or more", budget);
  require(stride >= 0, "prefix cache: a stride of {} tokens, expected 0 or more", stride);
}

PrefixCache::~PrefixCache() = default;

void PrefixCache::count(const Node& node) {
  node_bytes_ += Node::bytes_with(node.ids);
  memory_.add(*node.rows);
}

void PrefixCache::uncount(const Node& node) {
  node_bytes_ -= Node::bytes_with(node.ids);
  memory_.remove(*node.rows);
}

template <class F>
void PrefixCache::walk(Node* at, const F& f) {
  for (const auto& child : at->children) {
    f(child.get());
    walk(child.get(), f);
  }
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

std::pair<PrefixCache::Node*, int64_t> PrefixCache::nearest(const Node* at, std::span<const int32_t> rest) {
  std::pair<Node*, int64_t> best{nullptr, 0};
  for (const auto& child : at->children) {
    const auto& ids = child->ids;
    const auto common = std::mismatch(ids.begin(), ids.end(), rest.begin(), rest.end()).first - ids.begin();
    if (common > best.second) best = {child.get(), common};
  }
  return best;
}

/// The deepest node that `ids` lead to, of which one is made where they end, or part, inside of a run.
PrefixCache::Node* PrefixCache::reach(std::span<const int32_t> ids) {
  Node* node = deepest(root_.get(), ids, false);
  const auto rest = ids.subspan(node->end);
  const auto [child, common] = nearest(node, rest);
  if (!child || (common < std::ssize(rest) && common < kWorthCutting)) return node;
  split(child, common);
  return child->parent;
}

/// Gives the first tokens of a node's run a node of their own, its parent.
void PrefixCache::split(Node* node, int64_t tokens) {
  const auto size = std::ssize(node->ids);
  PrefixRun first{.ids = {node->ids.begin(), node->ids.begin() + tokens}, .rows = node->rows->run(0, tokens)};
  std::shared_ptr<const SequenceState> rest = node->rows->run(tokens, size);
  uncount(*node);
  auto& place = *std::find_if(node->parent->children.begin(), node->parent->children.end(),
                              [&](const auto& child) { return child.get() == node; });
  auto upper = std::make_unique<Node>(node->parent, std::move(first));
  node->parent = upper.get();
  node->ids.erase(node->ids.begin(), node->ids.begin() + tokens);
  node->rows = std::move(rest);
  count(*upper);
  count(*node);
  upper->children.push_back(std::move(place));
  place = std::move(upper);
}

std::unique_ptr<Sequence> PrefixCache::lookup(std::span<const int32_t> ids, int64_t room) {
  auto made = engine_.create();
  Node* node = ids.empty() ? root_.get() : deepest(root_.get(), ids.first(ids.size() - 1), true);
  std::vector<const Node*> path;
  for (const Node* n = node; n != root_.get(); n = n->parent) path.push_back(n);
  for (auto n = path.rbegin(); n != path.rend(); ++n) made->impl_->state->append(*(*n)->rows);
  if (!path.empty()) {
    made->impl_->state->rollback(*node->state);
    node->used = ++clock_;
  }
  made->reserve(room);
  return made;
}

void PrefixCache::store(std::span<const int32_t> ids, const Sequence& sequence, bool is_mark) {
  const int64_t size = std::ssize(ids);
  const bool is_whole = size == sequence.length();
  require(is_whole || (size < sequence.length() && empty_->layout->only_rows()),
          "prefix cache: {} ids for a sequence of {} tokens", size, sequence.length());
  require(!sequence.impl_->broken, "prefix cache: the sequence was left half written by a failed pass");
  if (ids.empty()) return;
  const SequenceState& from = *sequence.impl_->state;
  Node* node = reach(ids);
  PrefixRun run{.ids = {ids.begin() + node->end, ids.end()}, .is_mark = is_mark};
  if (!run.ids.empty()) run.rows = from.run(node->end, size);
  if (!node->state || !run.ids.empty()) run.state = from.checkpoint(size);
  put(node, std::move(run));
}

/// After the ids of `at` those of `run`, which may be none, and its checkpoint, where there is none yet. False where
/// they alone are over the budget.
bool PrefixCache::put(Node* at, PrefixRun run) {
  if (run.ids.empty() && at->state) {
    at->used = ++clock_;
    at->is_mark |= run.is_mark;
    return true;
  }
  if (bytes_alone(at, run) > budget_) return evict(nullptr), false;  // reaching it may have cut a run
  memory_.add(*run.state);
  ++checkpoints_;
  auto state = std::move(run.state);
  if (!run.ids.empty()) {
    at = at->children.emplace_back(std::make_unique<Node>(at, std::move(run))).get();
    count(*at);
  }
  at->state = std::move(state);
  at->is_mark = run.is_mark;
  at->used = ++clock_;
  evict(at);
  return true;
}

/// With nothing else here than what leads to it.
int64_t PrefixCache::bytes_alone(const Node* at, const PrefixRun& run) const {
  SharedMemory memory;
  int64_t bytes = 0;
  const auto add = [&](const auto& n) {
    memory.add(*n.rows);
    bytes += Node::bytes_with(n.ids);
  };
  for (; at != root_.get(); at = at->parent) add(*at);
  if (!run.ids.empty()) add(run);
  memory.add(*run.state);
  return bytes + memory.bytes();
}

/// `spared` stays, and what leads to it.
void PrefixCache::evict(const Node* spared) {
  while (bytes() > budget_) {
    Node* first = nullptr;
    walk(root_.get(), [&](Node* n) {
      const bool frees = n->state && n != spared && (n->state->bytes() > 0 || n->children.empty());
      if (frees && (!first || std::pair(n->is_mark, n->used) < std::pair(first->is_mark, first->used))) first = n;
    });
    if (!first) return;
    spill(first);
    drop(first);
  }
}

/// Drops a checkpoint, and the rows that only led to it.
void PrefixCache::drop(Node* node) {
  memory_.remove(*node->state);
  --checkpoints_;
  node->state = nullptr;
  while (node != root_.get() && node->children.empty() && !node->state) {
    Node* parent = node->parent;
    uncount(*node);
    std::erase_if(parent->children, [&](const auto& child) { return child.get() == node; });
    node = parent;
  }
}

PrefixCache::Reading::Reading(PrefixCache& cache, std::span<const int32_t> ids, int64_t from,
                              std::span<const int64_t> marks)
    : cache_(&cache), ids_(ids) {
  const bool is_free = cache.empty_->layout->only_rows();
  const int64_t size = std::ssize(ids), apart = is_free ? 1 : std::min<int64_t>(kWorthAPass, cache.stride_ / 2);
  std::vector<int64_t> wanted;
  for (const int64_t m : marks)
    if (m > from && m < size) wanted.push_back(m);
  std::sort(wanted.begin(), wanted.end());
  if ((wanted.empty() || wanted.back() < size - apart) && size - 1 >= from + apart) wanted.push_back(size - 1);
  int64_t at = from;
  for (const int64_t m : wanted) {
    if (m - at < apart) continue;
    for (int64_t s = (at / cache.stride_ + 1) * cache.stride_; s <= m - apart; s += cache.stride_)
      if (s >= at + apart) stops_.push_back({s, false});
    stops_.push_back({m, true});
    at = m;
  }
  std::reverse(stops_.begin(), stops_.end());
}

int64_t PrefixCache::Reading::pass_end(int64_t at) const {
  const int64_t size = std::ssize(ids_);
  if (!cache_ || stops_.empty()) return size;
  if (!cache_->empty_->layout->only_rows()) return std::max(at + 1, stops_.back().at);
  return std::min<int64_t>(size, at + cache_->engine_.options().prefill_chunk);
}

void PrefixCache::Reading::store_passed(const Sequence& sequence) {
  for (; !stops_.empty() && stops_.back().at <= sequence.length(); stops_.pop_back())
    cache_->store(ids_.first(stops_.back().at), sequence, stops_.back().is_mark);
}

PrefixCache::Prefilled PrefixCache::prefill(std::span<const int32_t> ids, std::span<const int64_t> marks) {
  const auto size = static_cast<int64_t>(ids.size());
  Prefilled made{lookup(ids, size), {}, 0};
  int64_t at = made.sequence->length();
  made.tokens_run = size - at;
  Reading reading(*this, ids, at, marks);
  do {
    const int64_t end = reading.pass_end(at);
    made.logits = engine_.prefill(*made.sequence, ids.subspan(at, end - at), end == size ? Want::last : Want::nothing);
    reading.store_passed(*made.sequence);
    at = end;
  } while (at < size);
  return made;
}

/// The leaf below that was used last; `at` itself where it is one.
PrefixCache::Node* PrefixCache::newest_leaf(Node* at) const {
  Node* best = at->children.empty() ? at : nullptr;
  walk(at, [&](Node* n) {
    if (n->children.empty() && (!best || n->used > best->used)) best = n;
  });
  return best;
}

PrefixPath PrefixCache::path_to(const Node* node) const {
  PrefixPath path;
  for (; node != root_.get(); node = node->parent)
    path.runs.push_back({.ids = node->ids, .rows = node->rows, .state = node->state, .is_mark = node->is_mark});
  std::reverse(path.runs.begin(), path.runs.end());
  return path;
}

void PrefixCache::spill(Node* node) {
  if (spill_ && node->is_mark && !spill_->has(node->key)) spill_->put(path_to(newest_leaf(node)));
}

void PrefixCache::spill_all() {
  std::vector<const Node*> leaves;
  walk(root_.get(), [&](Node* n) {
    if (n->children.empty()) leaves.push_back(n);
  });
  std::sort(leaves.begin(), leaves.end(), [](const Node* a, const Node* b) { return a->used < b->used; });
  for (const Node* leaf : leaves)
    if (spill_ && !spill_->has(leaf->key)) spill_->put(path_to(leaf));
}

PrefixCache::Held PrefixCache::held(std::span<const int32_t> ids) const {
  if (ids.empty()) return {};
  const Node* rows = deepest(root_.get(), ids, false);
  const int64_t common = nearest(rows, ids.subspan(rows->end)).second;
  return {deepest(root_.get(), ids.first(ids.size() - 1), true)->end,
          rows->end + (common < kWorthCutting ? 0 : common)};
}

bool PrefixCache::insert(std::span<const int32_t> ids, const PrefixRun& given) {
  const int64_t size = std::ssize(given.ids), from = std::ssize(ids) - size;
  Node* node = reach(ids);
  const int64_t have = node->end - from;
  if (ids.empty() || have < 0) return evict(nullptr), false;
  PrefixRun run = given;
  run.ids.erase(run.ids.begin(), run.ids.begin() + have);
  if (have > 0) run.rows = have < size ? run.rows->run(have, size) : nullptr;
  return put(node, std::move(run));
}

/// The root where there is none.
PrefixCache::Node* PrefixCache::conversation(std::span<const int32_t> ids) const {
  if (ids.empty()) return root_.get();
  Node* node = deepest(root_.get(), ids, false);
  const auto rest = ids.subspan(node->end);
  if (rest.empty()) return newest_leaf(node);
  Node* best = nullptr;
  for (const auto& child : node->children) {
    if (child->ids.size() < rest.size() || !std::equal(rest.begin(), rest.end(), child->ids.begin())) continue;
    Node* leaf = newest_leaf(child.get());
    if (!best || leaf->used > best->used) best = leaf;
  }
  return best ? best : deepest(root_.get(), ids, true);
}

PrefixPath PrefixCache::path_of(std::span<const int32_t> ids) const { return path_to(conversation(ids)); }

int64_t PrefixCache::forget(std::span<const int32_t> ids) {
  int64_t tokens = 0;
  for (Node* node = conversation(ids); node != root_.get() && node->children.empty();) {
    Node* parent = node->parent;
    tokens += std::ssize(node->ids);
    uncount(*node);
    if (node->state) memory_.remove(*node->state);
    checkpoints_ -= node->state != nullptr;
    std::erase_if(parent->children, [&](const auto& child) { return child.get() == node; });
    node = parent;
  }
  return tokens;
}

}  // namespace jet
