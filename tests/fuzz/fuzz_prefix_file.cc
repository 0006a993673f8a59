// Input: a file of the prefix cache. Once as it is, and once with the hashes that it should have, since a change gets
// past the first one only by them: whatever the head claims, what is read is a state of the model, or an Error.
#include <cstring>

#include "jet/base/hash.h"
#include "jet/engine/prefix_cache.h"
#include "jet/engine/prefix_file.h"
#include "tests/fuzz/support.h"

namespace {

using namespace jet;

const PrefixOwner kOwner{"a-model", "kv i8"};
constexpr size_t kStart = 128, kEntry = 32;  // prefix_file.cc

/// A state of each kind: rows that stay, a window, and a recurrent matrix with its convolution.
ModelSpec small_spec() {
  Attention::Config full;
  full.heads = full.kv_heads = 1, full.head_dim = 4;
  Attention::Config window = full;
  window.window = 3;
  GatedDeltaNet::Config linear;
  linear.heads = linear.v_heads = 1, linear.dk = linear.dv = 4;
  ModelSpec s;
  s.vocab_size = 11, s.hidden_size = 8, s.intermediate_size = 8, s.max_position_embeddings = 32;
  s.layers = {full, window, linear};
  return s;
}

struct Model {
  std::shared_ptr<Engine> engine = Engine::random(small_spec(), 1, DType::f32, {.threads = 1, .kv = DType::i8});
  std::shared_ptr<const SequenceState> like = PrefixCache(*engine, 0).empty_state();

  /// corpus/prefix_file/whole
  void write(const std::string& file) const {
    const std::vector<int32_t> ids = {3, 1, 4, 1, 5, 9, 2, 6, 5};
    PrefixCache cache(*engine, 1 << 20, 4);
    const int64_t marks[] = {6};
    const auto read = cache.prefill(ids, marks);
    cache.store(ids, *read.sequence);
    write_prefix_file(file, cache.path_of(ids), kOwner);
  }
};

std::string with_hashes(std::string file, const PrefixFile* read) {
  uint32_t runs = 0;
  int64_t tokens = 0;
  if (file.size() < kStart) return file;
  std::memcpy(&runs, &file[12], sizeof runs), std::memcpy(&tokens, &file[16], sizeof tokens);
  if (tokens < 0 || static_cast<size_t>(tokens) > file.size() || runs > file.size()) return file;
  const size_t head = (kStart + runs * kEntry + 4 * static_cast<size_t>(tokens) + 7) / 8 * 8;
  if (head + sizeof(uint64_t) > file.size()) return file;
  for (size_t i = 0; read && i < read->runs().size(); ++i) {
    const auto& run = read->runs()[i];
    const uint64_t hashes[] = {content_hash(&file[run.rows_at], run.rows_bytes),
                               run.has_state ? content_hash(&file[run.state_at], run.state_bytes) : 0};
    std::memcpy(&file[kStart + i * kEntry + 16], hashes, sizeof hashes);
  }
  const uint64_t hash = content_hash(std::string_view(file).substr(0, head));
  std::memcpy(&file[head], &hash, sizeof hash);
  return file;
}

void read_all(const PrefixFile& file, const Model& model) {
  for (size_t i = 0; i < file.runs().size(); ++i) {
    if (!file.runs()[i].has_state) continue;
    PrefixRun run = file.read(i, 0);
    fuzz::check(std::ssize(run.ids) == file.runs()[i].end, "a run lacks tokens");
    const std::vector<int32_t> ids = run.ids;
    PrefixCache(*model.engine, 1 << 20).insert(ids, std::move(run));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Model model;
  static const fuzz::Folder folder;
  const std::string input(reinterpret_cast<const char*>(data), size), head = with_hashes(input, nullptr);
  fuzz::expect_only_errors([&] { read_all(PrefixFile(folder.write("a", input), kOwner, model.like), model); });
  fuzz::expect_only_errors([&] {
    const PrefixFile laid_out(folder.write("b", head), kOwner, model.like);
    read_all(PrefixFile(folder.write("c", with_hashes(head, &laid_out)), kOwner, model.like), model);
  });
  if (size == 0) {
    model.write(folder.path() + "/whole");
    read_all(PrefixFile(folder.path() + "/whole", kOwner, model.like), model);
  }
  return 0;
}
