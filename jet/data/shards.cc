#include "jet/data/shards.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <filesystem>
#include <functional>
#include <iterator>
#include <map>
#include <numeric>
#include <utility>

#include "jet/base/error.h"
#include "jet/base/threads.h"
#include "jet/data/document_reader.h"

namespace jet {
namespace {

static_assert(std::endian::native == std::endian::little, "shards are mapped as they lie");

constexpr size_t kWriteBytes = size_t{1} << 20;
constexpr const char* kAgain = "build the folder again, or fetch it again";

Manifest read_manifest(const std::string& folder) {
  const std::string path = folder + "/manifest.json";
  require(is_folder(folder), "{}: no such folder of tokens; jet data build makes one", folder);
  require(file_exists(path) || !file_exists(folder + "/journal.json"),
          "{}: not built to its end; run the same jet data build again", folder);
  require(file_exists(path), "{}: holds no manifest.json; jet data build makes a folder of tokens", folder);
  const Json json = read_json(path);
  const int format = get<int>(json, "format", path);
  require(format == 1, "{}: format {} is unknown (known: 1)", path, format);
  auto m = from_json_fields<Manifest>(json, path);
  require(m.tokenizer.vocab_size > 0, "{}: vocab_size {} must be positive", path, m.tokenizer.vocab_size);
  return m;
}

int64_t tokens_of(const TokenStore& store, const std::vector<int64_t>& documents) {
  return std::accumulate(documents.begin(), documents.end(), int64_t{0},
                         [&](int64_t sum, int64_t document) { return sum + store.size(document); });
}

template <class Id>
void copy_ids(const std::byte* from, std::span<int32_t> out) {
  const Id* ids = reinterpret_cast<const Id*>(from);
  std::copy(ids, ids + out.size(), out.begin());
}

}  // namespace

int32_t separator_id(const Tokenizer& tokenizer) {
  const int32_t named = tokenizer.id_of(kDocumentSeparator), id = named >= 0 ? named : tokenizer.eos_id();
  require(id >= 0, "the tokenizer has neither {} nor an eos_token; name one in tokenizer_config.json",
          kDocumentSeparator);
  return id;
}

TokenStore::TokenStore(const std::string& folder) : TokenStore(folder, read_manifest(folder)) {
  held_out_ = read_marks(kHeldOutFile, manifest_.held_out);
  const auto dropped = read_marks(kDroppedFile, manifest_.dropped);
  std::merge(held_out_.begin(), held_out_.end(), dropped.begin(), dropped.end(), std::back_inserter(marked_));
  require(std::adjacent_find(marked_.begin(), marked_.end()) == marked_.end(),
          "{}: a document is both held out and dropped; {}", folder, kAgain);
}

TokenStore::TokenStore(const std::string& folder, Manifest manifest) : folder_(folder), manifest_(std::move(manifest)) {
  map_shards();
}

void TokenStore::map_shards() {
  int64_t documents = 0, tokens = 0;
  for (const auto& s : manifest_.shards) {
    const std::string path = folder_ + "/" + s.file;
    require(s.file.ends_with(".bin") && s.file.find('/') == std::string::npos, "{}: a shard must be a .bin file", path);
    const std::string index = path.substr(0, path.size() - 4) + ".idx";
    auto shard = std::make_unique<Shard>(path, index, documents);
    const auto check = [](const std::string& file, size_t bytes, int64_t count, size_t width) {
      require(count >= 0 && bytes % width == 0 && bytes / width == static_cast<size_t>(count),
              "{}: {} bytes where manifest.json has {} numbers of {}; {}", file, bytes, count, width, kAgain);
    };
    require(s.documents >= 0 && s.documents < INT64_MAX, "{}: {} documents", path, s.documents);
    check(path, shard->ids.bytes().size(), s.tokens, static_cast<size_t>(manifest_.token_bytes()));
    check(index, shard->index.bytes().size(), s.documents + 1, sizeof(uint64_t));
    documents += s.documents, tokens += s.tokens;
    shards_.push_back(std::move(shard));
  }
  const auto add_up = [&](const char* what, int64_t of_documents, int64_t of_tokens) {
    require(of_documents == manifest_.documents && of_tokens == manifest_.tokens,
            "{}/manifest.json: its {} do not add up to {} documents and {} tokens; {}", folder_, what,
            manifest_.documents, manifest_.tokens, kAgain);
  };
  add_up("shards", documents, tokens);
  documents = tokens = 0;
  for (const auto& s : manifest_.sources) {
    require(s.documents >= 0 && s.documents <= manifest_.documents - documents && s.tokens >= 0 &&
                s.tokens <= manifest_.tokens - tokens,
            "{}/manifest.json: {} cannot have {} documents and {} tokens; {}", folder_, s.path, s.documents, s.tokens,
            kAgain);
    documents += s.documents, tokens += s.tokens;
  }
  add_up("sources", documents, tokens);
}

std::vector<int64_t> TokenStore::read_marks(const char* name, const Manifest::Marks& marks) const {
  if (marks.documents == 0 && marks.tokens == 0) return {};
  const std::string path = folder_ + "/" + name;
  const std::string bytes = read_file(path);
  require(hash_text(content_hash(bytes)) == marks.hash && bytes.size() % 8 == 0 &&
              bytes.size() / 8 == static_cast<size_t>(marks.documents),
          "{}: not the {} documents that manifest.json has the hash of; {}", path, marks.documents, kAgain);
  std::vector<int64_t> documents(marks.documents);
  std::memcpy(documents.data(), bytes.data(), bytes.size());
  const bool ascend = std::adjacent_find(documents.begin(), documents.end(), std::greater_equal<>()) == documents.end();
  require(ascend && !documents.empty() && documents.front() >= 0 && documents.back() < manifest_.documents,
          "{}: its documents do not ascend within the {} that there are; {}", path, manifest_.documents, kAgain);
  const int64_t tokens = tokens_of(*this, documents);
  require(tokens == marks.tokens, "{}: its documents have {} tokens where manifest.json has {}; {}", path, tokens,
          marks.tokens, kAgain);
  return documents;
}

void TokenStore::require_tokenizer(const Tokenizer& tokenizer) const {
  const auto& t = manifest_.tokenizer;
  require(t.hash == hash_text(tokenizer.hash()) && t.separator == separator_id(tokenizer) &&
              t.vocab_size == tokenizer.vocab_size(),
          "{}: its tokens are of another tokenizer ({}, hash {}; here {}); build it again with this one", folder_,
          t.path, t.hash, hash_text(tokenizer.hash()));
}

void TokenStore::verify(int threads) const {
  ThreadPool pool(threads);
  pool.parallel_for(static_cast<int64_t>(shards_.size()), 1, [&](int64_t begin, int64_t end) {
    const auto check = [](const std::string& file, const MappedFile& map, const std::string& hash) {
      const std::string found = hash_text(content_hash(map.bytes().data(), map.bytes().size()));
      require(found == hash, "{}: damaged: its hash is {} where manifest.json has {}; {}", file, found, hash, kAgain);
    };
    for (int64_t i = begin; i < end; ++i) {
      check(shards_[i]->path, shards_[i]->ids, manifest_.shards[i].hash);
      check(shards_[i]->path + " (its .idx)", shards_[i]->index, manifest_.shards[i].index_hash);
    }
  });
}

TokenStore::Place TokenStore::place_of(int64_t document) const {
  require(document >= 0 && document < manifest_.documents, "{}: document {} of {}", folder_, document,
          manifest_.documents);
  const auto after = std::upper_bound(shards_.begin(), shards_.end(), document,
                                      [](int64_t d, const auto& shard) { return d < shard->first; });
  const Shard& s = **(after - 1);
  const uint64_t begin = s.starts()[document - s.first], end = s.starts()[document - s.first + 1];
  require(begin < end && end <= s.ids.bytes().size() / manifest_.token_bytes(),
          "{}: the index is damaged at document {}; {}", s.path, document, kAgain);
  return {&s, static_cast<int64_t>(begin), static_cast<int64_t>(end)};
}

int64_t TokenStore::size(int64_t document) const {
  const Place p = place_of(document);
  return p.end - p.begin;
}

void TokenStore::copy(int64_t document, int64_t from, std::span<int32_t> out) const {
  const Place p = place_of(document);
  require(from >= 0 && static_cast<int64_t>(out.size()) <= p.end - p.begin - from,
          "{}: tokens {} to {} of document {}, which has {}", folder_, from, from + static_cast<int64_t>(out.size()),
          document, p.end - p.begin);
  const std::byte* at = p.shard->ids.bytes().data() + (p.begin + from) * manifest_.token_bytes();
  manifest_.token_bytes() == 2 ? copy_ids<uint16_t>(at, out) : copy_ids<uint32_t>(at, out);
  for (const int32_t id : out)
    require(id >= 0 && id < manifest_.tokenizer.vocab_size, "{}: damaged: document {} holds the id {} of {}; {}",
            p.shard->path, document, static_cast<uint32_t>(id), manifest_.tokenizer.vocab_size, kAgain);
}

uint64_t TokenStore::hash_of(int64_t document) const {
  const Place p = place_of(document);
  return content_hash(p.shard->ids.bytes().data() + p.begin * manifest_.token_bytes(),
                      static_cast<size_t>(p.end - p.begin) * manifest_.token_bytes());
}

size_t TokenStore::source_of(int64_t document) const {
  size_t i = 0;
  for (int64_t end = 0; i + 1 < manifest_.sources.size(); ++i)
    if (document < (end += manifest_.sources[i].documents)) break;
  return i;
}

bool TokenStore::is_marked(int64_t document) const {
  return std::binary_search(marked_.begin(), marked_.end(), document);
}

int64_t TokenStore::train_documents() const { return manifest_.documents - static_cast<int64_t>(marked_.size()); }

int64_t TokenStore::train_tokens() const {
  return manifest_.tokens - manifest_.held_out.tokens - manifest_.dropped.tokens;
}

int64_t TokenStore::train_document(int64_t n) const {
  // marked_[j] - j documents before marked_[j] are trained on: it is skipped where that is at most n.
  int64_t low = 0, high = static_cast<int64_t>(marked_.size());
  while (low < high) {
    const int64_t j = (low + high) / 2;
    if (marked_[j] - j <= n) {
      low = j + 1;
    } else {
      high = j;
    }
  }
  return n + low;
}

TokenShardWriter::TokenShardWriter(const std::string& folder, int64_t number, int token_bytes)
    : path_(fmt::format("{}/shard-{:05}", folder, number)), token_bytes_(token_bytes), file_(path_ + ".bin") {}

void TokenShardWriter::add(std::span<const int32_t> document) {
  const size_t at = packed_.size();
  packed_.resize(at + document.size() * token_bytes_);
  for (size_t i = 0; i < document.size(); ++i)
    std::memcpy(packed_.data() + at + i * token_bytes_, &document[i], token_bytes_);  // the low bytes come first
  starts_.push_back(starts_.back() + document.size());
  if (packed_.size() >= kWriteBytes) flush();
}

void TokenShardWriter::flush() {
  hasher_.add(packed_.data(), packed_.size());
  file_.write(packed_);
  packed_.clear();
}

Manifest::Shard TokenShardWriter::finish() {
  const std::string_view index(reinterpret_cast<const char*>(starts_.data()), starts_.size() * sizeof(uint64_t));
  flush();
  file_.commit();
  write_file(path_ + ".idx", index);
  return {std::filesystem::path(path_ + ".bin").filename(), static_cast<int64_t>(starts_.size()) - 1, tokens(),
          hash_text(hasher_.value()), hash_text(content_hash(index))};
}

std::vector<int64_t> held_out_documents(const TokenStore& store, int64_t wanted, const std::vector<int64_t>& dropped) {
  struct Group {
    int64_t tokens = 0;
    std::vector<int64_t> documents;
  };
  std::map<uint64_t, Group> chosen;
  int64_t tokens = 0;
  for (int64_t d = 0; wanted > 0 && d < store.documents(); ++d) {
    if (std::binary_search(dropped.begin(), dropped.end(), d)) continue;
    const uint64_t hash = store.hash_of(d);
    if (tokens >= wanted && hash > chosen.rbegin()->first) continue;
    Group& g = chosen[hash];
    g.documents.push_back(d);
    g.tokens += store.size(d), tokens += store.size(d);
    while (tokens - chosen.rbegin()->second.tokens >= wanted) {
      tokens -= chosen.rbegin()->second.tokens;
      chosen.erase(std::prev(chosen.end()));
    }
  }
  std::vector<int64_t> documents;
  for (const auto& [hash, group] : chosen)
    documents.insert(documents.end(), group.documents.begin(), group.documents.end());
  std::sort(documents.begin(), documents.end());
  return documents;
}

Manifest::Marks write_marks(const TokenStore& store, const std::string& folder, const char* name,
                            const std::vector<int64_t>& documents) {
  const std::string_view bytes(reinterpret_cast<const char*>(documents.data()), documents.size() * sizeof(int64_t));
  write_file(folder + "/" + name, bytes);
  return {static_cast<int64_t>(documents.size()), tokens_of(store, documents), hash_text(content_hash(bytes))};
}

}  // namespace jet
