#include "jet/data/build.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <future>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "jet/base/error.h"
#include "jet/base/threads.h"
#include "jet/data/document_reader.h"
#include "jet/data/folder_lock.h"
#include "jet/text/utf8.h"

namespace jet {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBatchBytes = size_t{8} << 20;

/// How far a build is.
struct Journal {
  Manifest manifest;
  int64_t input = 0, pieces = 0;
  template <class V>
  static void fields(Journal& j, V&& v) {
    v("manifest", j.manifest), v("input", j.input), v("pieces", j.pieces);
  }
};

/// What must agree for two builds to give the same folder, each with the name that an error gives it.
std::map<std::string, std::string> identity_of(const Manifest& m) {
  std::map<std::string, std::string> identity = {{"tokenizer", m.tokenizer.hash}};
  const Json settings = to_json_fields(m.settings);
  for (const auto& [key, value] : settings.items()) identity[key] = json_text(value);
  std::vector<std::string> paths;
  for (const auto& s : m.sources) {
    paths.push_back(s.path);
    identity["contents of " + s.path] = fmt::format("{} bytes, hash {}", s.bytes, s.hash);
  }
  identity["list of inputs"] = fmt::to_string(fmt::join(paths, " "));
  return identity;
}

void require_same(const std::string& out, const Manifest& was, const Manifest& now) {
  const auto before = identity_of(was), after = identity_of(now);
  for (const auto& [what, value] : before) {
    const auto found = after.find(what);
    if (found == after.end()) continue;  // an input less: the list tells
    require(found->second == value,
            "{}: was begun with other settings: {} was {}, is {}; give another --out, or remove this folder", out, what,
            value.substr(0, 200), found->second.substr(0, 200));
  }
}

struct Encoded {
  std::vector<int32_t> ids;  // empty: the piece holds no document
  std::string error;
};

class Builder {
 public:
  explicit Builder(const BuildOptions& o)
      : o_(o), tokenizer_(Tokenizer::load(o.tokenizer)), separator_(separator_id(tokenizer_)), pool_(o.threads) {}

  Manifest run() {
    Journal start{plan(), 0, 0};
    fs::create_directories(o_.out);
    const FolderLock lock(o_.out);
    if (file_exists(o_.out + "/manifest.json")) {
      const TokenStore built(o_.out);
      require_same(o_.out, built.manifest(), start.manifest);
      return built.manifest();
    }
    journal_ = std::move(start);
    read_journal();
    while (journal_.input < static_cast<int64_t>(o_.inputs.size())) tokenise_input();
    if (writer_) end_shard();
    require(manifest().documents > 0, "{}: the inputs hold no document", o_.inputs.front());
    mark();
    write_file(o_.out + "/manifest.json", json_text(to_json_fields(manifest()), 1) + "\n");
    fs::remove(journal_path());
    return manifest();
  }

 private:
  Manifest& manifest() { return journal_.manifest; }
  std::string journal_path() const { return o_.out + "/journal.json"; }
  void report(const std::string& stage, const char* unit, int64_t done, int64_t total) const {
    if (o_.progress) o_.progress(stage, unit, done, total);
  }

  /// The manifest before anything is tokenised.
  Manifest plan() const {
    require(!o_.inputs.empty(), "no inputs to build from; name at least one file");
    require(o_.shard_tokens > 0 && o_.held_out_tokens >= 0, "{} tokens a shard, {} held out: expected 1 and 0 or more",
            o_.shard_tokens, o_.held_out_tokens);
    Manifest m;
    m.tokenizer = {o_.tokenizer, hash_text(tokenizer_.hash()), tokenizer_.vocab_size(), separator_};
    m.settings = {o_.field, o_.shard_tokens, o_.held_out_tokens, o_.graded.empty() ? "" : graded_hash(o_.graded),
                  o_.ngram, o_.common};
    std::set<std::string> seen;
    int64_t total = 0, done = 0;
    for (const auto& path : o_.inputs) {
      format_of(path);
      require(fs::is_regular_file(path), "{}: no such file", path);
      require(seen.insert(path).second, "{}: is given twice", path);
      m.sources.push_back({repair_utf8(path), static_cast<int64_t>(fs::file_size(path)), {}, 0, 0});
      total += m.sources.back().bytes;
    }
    for (size_t i = 0; i < o_.inputs.size(); ++i) {
      auto& s = m.sources[i];
      report("hash inputs", "bytes", done, total);
      s.hash = hash_text(file_hash(o_.inputs[i]));
      report("hash inputs", "bytes", done += s.bytes, total);
    }
    return m;
  }

  void remove_remnants() const {
    for (const auto& entry : fs::directory_iterator(o_.out)) {
      const std::string name = entry.path().filename();
      const bool ours = name.starts_with("shard-") || name.starts_with("journal.json") ||
                        name.starts_with("manifest.json") || name.starts_with(kHeldOutFile) ||
                        name.starts_with(kDroppedFile);
      if (ours && name.find(".tmp-") != std::string::npos) fs::remove(entry.path());
    }
  }

  void read_journal() {
    remove_remnants();
    if (file_exists(journal_path())) {
      auto found = from_json_fields<Journal>(read_json(journal_path()), journal_path());
      require_same(o_.out, found.manifest, manifest());
      journal_ = std::move(found);
    } else {
      require(fs::is_empty(o_.out), "{}: holds files that jet data build did not make; give a new folder", o_.out);
      write_journal();
    }
  }

  void write_journal() { write_file(journal_path(), json_text(to_json_fields(journal_), 1) + "\n"); }

  /// The next pieces of an input; none at its end.
  static std::vector<RawDocument> read_batch(DocumentReader& reader) {
    std::vector<RawDocument> batch;
    for (size_t bytes = 0; bytes < kBatchBytes;) {
      RawDocument d;
      if (!reader.next(d)) break;
      bytes += d.bytes.size();
      batch.push_back(std::move(d));
    }
    return batch;
  }

  Encoded encode(const RawDocument& d, TextFormat format, const std::string& path) const {
    try {
      const std::string text = text_of(d, format, o_.field, path);
      if (text.empty()) return {};
      Encoded e{tokenizer_.encode(text), {}};
      e.ids.insert(e.ids.begin(), separator_);
      return e;
    } catch (const Error& e) { return {{}, e.what()}; }
  }

  void tokenise_input() {
    const std::string path = o_.inputs[journal_.input];
    const TextFormat format = format_of(path);
    int64_t before = 0, total = 0;
    for (size_t i = 0; i < o_.inputs.size(); ++i)
      (static_cast<int64_t>(i) < journal_.input ? before : total) += manifest().sources[i].bytes;
    total += before;

    DocumentReader reader(path, format, o_.field);
    RawDocument skipped;
    for (int64_t i = 0; i < journal_.pieces; ++i)
      require(reader.next(skipped), "{}: ends before piece {} of an earlier run; it has changed", path, i);
    report("tokenise", "bytes", before + reader.position(), total);
    std::vector<RawDocument> batch = read_batch(reader);
    while (!batch.empty()) {
      const int64_t read = before + reader.position();
      auto next = std::async(std::launch::async, [&reader] { return read_batch(reader); });
      std::vector<Encoded> encoded(batch.size());
      pool_.parallel_for(static_cast<int64_t>(batch.size()), 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) encoded[i] = encode(batch[i], format, path);
      });
      for (const auto& e : encoded) add(e);
      batch = next.get();
      report("tokenise", "bytes", read, total);
    }
    ++journal_.input;
    journal_.pieces = 0;
    report("tokenise", "bytes", before + manifest().sources[journal_.input - 1].bytes, total);
  }

  void add(const Encoded& e) {
    if (!e.error.empty()) throw Error(e.error);
    ++journal_.pieces;
    if (e.ids.empty()) return;
    if (!writer_) writer_.emplace(o_.out, static_cast<int64_t>(manifest().shards.size()), manifest().token_bytes());
    writer_->add(e.ids);
    auto& source = manifest().sources[journal_.input];
    ++source.documents, ++manifest().documents;
    source.tokens += static_cast<int64_t>(e.ids.size()), manifest().tokens += static_cast<int64_t>(e.ids.size());
    if (writer_->tokens() >= o_.shard_tokens) end_shard();
  }

  void end_shard() {
    manifest().shards.push_back(writer_->finish());
    writer_.reset();
    write_journal();
  }

  void mark() {
    const TokenStore store(o_.out, manifest());
    std::vector<int64_t> dropped;
    if (!o_.graded.empty()) {
      const auto progress = [&](int64_t done, int64_t total) { report("decontaminate", "documents", done, total); };
      dropped = find_overlap(store, tokenizer_, o_.graded, {o_.ngram, o_.common, o_.threads, progress}).documents;
    }
    manifest().dropped = write_marks(store, o_.out, kDroppedFile, dropped);
    manifest().held_out =
        write_marks(store, o_.out, kHeldOutFile, held_out_documents(store, o_.held_out_tokens, dropped));
    require(manifest().tokens > manifest().dropped.tokens + manifest().held_out.tokens,
            "{}: of {} tokens {} are dropped and {} held out, which leaves none to train on; lower --held-out", o_.out,
            manifest().tokens, manifest().dropped.tokens, manifest().held_out.tokens);
  }

  const BuildOptions& o_;
  Tokenizer tokenizer_;
  int32_t separator_;
  ThreadPool pool_;
  Journal journal_;
  std::optional<TokenShardWriter> writer_;
};

}  // namespace

Manifest build_tokens(const BuildOptions& options) { return Builder(options).run(); }

}  // namespace jet
