// A folder of tokens on disk, mapped into memory as it lies; all numbers little-endian.
//
//   shard-00000.bin   ids, uint16 (vocabularies of up to 65536) or uint32:
//                       | separator, ids ... | separator, ids ... | ...
//                       ^ 0                  ^ where document 1 begins            ^ the shard's tokens
//   shard-00000.idx   uint64 [documents + 1]: these places, in tokens
//   shard-00001.bin   and so on: a shard ends with the document that brings it to `shard_tokens`
//   held-out.idx      uint64 [], ascending: numbers of the documents that are held out of training
//   dropped.idx       the same, of those dropped because they share text with graded items
//   manifest.json     Manifest's fields; while the folder is being built, journal.json instead (jet/data/build.h)
//
// Documents are numbered through all shards. Held-out ones are those whose hash (XXH3 of the ids' bytes as stored) is
// lowest, just so many that they hold `held_out_tokens`: a sample of all sources alike, whatever their order, and texts
// that stand there twice are held out together. Marked documents stay where they are, so that marks cost no copy.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "jet/base/file.h"
#include "jet/base/hash.h"
#include "jet/base/json.h"
#include "jet/data/document_store.h"
#include "jet/text/tokenizer.h"

namespace jet {

struct Manifest {
  struct Tokens {  // the tokenizer; its path is a hint, its hash binds
    std::string path, hash;
    int vocab_size = 0;
    int32_t separator = -1;
    template <class V>
    static void fields(Tokens& t, V&& v) {
      v("path", t.path), v("hash", t.hash), v("vocab_size", t.vocab_size), v("separator", t.separator);
    }
  };
  struct Settings {
    std::string field = "text";  // of JSONL and Parquet
    int64_t shard_tokens = int64_t{1} << 26, held_out_tokens = 0;
    std::string graded;           // hash of the graded items' texts; "": nothing was dropped for their sake
    int ngram = 13, common = 10;  // jet/data/overlap.h
    template <class V>
    static void fields(Settings& s, V&& v) {
      v("field", s.field), v("shard_tokens", s.shard_tokens), v("held_out_tokens", s.held_out_tokens);
      v("graded", s.graded), v("ngram", s.ngram), v("common", s.common);
    }
  };
  struct Source {
    std::string path;
    int64_t bytes = 0;
    std::string hash;  // of the file
    int64_t documents = 0, tokens = 0;
    template <class V>
    static void fields(Source& s, V&& v) {
      v("path", s.path), v("bytes", s.bytes), v("hash", s.hash), v("documents", s.documents), v("tokens", s.tokens);
    }
  };
  struct Shard {
    std::string file;
    int64_t documents = 0, tokens = 0;
    std::string hash, index_hash;  // of the .bin and of the .idx
    template <class V>
    static void fields(Shard& s, V&& v) {
      v("file", s.file), v("documents", s.documents), v("tokens", s.tokens);
      v("hash", s.hash), v("index_hash", s.index_hash);
    }
  };
  struct Marks {
    int64_t documents = 0, tokens = 0;
    std::string hash;  // of the .idx
    template <class V>
    static void fields(Marks& m, V&& v) {
      v("documents", m.documents), v("tokens", m.tokens), v("hash", m.hash);
    }
  };

  int format = 1;
  Tokens tokenizer;
  Settings settings;
  std::vector<Source> sources;
  std::vector<Shard> shards;
  int64_t documents = 0, tokens = 0;  // of all shards, marked ones included
  Marks held_out, dropped;
  template <class V>
  static void fields(Manifest& m, V&& v) {
    v("format", m.format), v("tokenizer", m.tokenizer), v("settings", m.settings), v("sources", m.sources);
    v("shards", m.shards), v("documents", m.documents), v("tokens", m.tokens);
    v("held_out", m.held_out), v("dropped", m.dropped);
  }
  int token_bytes() const { return tokenizer.vocab_size <= 65536 ? 2 : 4; }
};

/// What documents begin with: the id of `<|endoftext|>`, or the tokenizer's eos.
int32_t separator_id(const Tokenizer& tokenizer);

class TokenStore : public DocumentStore {
 public:
  explicit TokenStore(const std::string& folder);
  /// Before it has marks: while it is being built.
  TokenStore(const std::string& folder, Manifest manifest);

  const Manifest& manifest() const { return manifest_; }
  /// Throws unless `tokenizer` made these tokens.
  void require_tokenizer(const Tokenizer& tokenizer) const;
  /// Throws where a file's contents are not those that the manifest has the hash of. Reads everything.
  void verify(int threads) const;

  int64_t documents() const { return manifest_.documents; }
  int64_t size(int64_t document) const override;
  void copy(int64_t document, int64_t from, std::span<int32_t> out) const override;
  /// XXH3 of the ids as stored.
  uint64_t hash_of(int64_t document) const;
  /// Index in manifest().sources of where a document is from.
  size_t source_of(int64_t document) const;
  bool is_marked(int64_t document) const;

  int64_t train_documents() const override;
  int64_t train_tokens() const override;
  int64_t train_document(int64_t n) const override;
  int64_t held_out_documents() const override { return manifest_.held_out.documents; }
  int64_t held_out_tokens() const override { return manifest_.held_out.tokens; }
  int64_t held_out_document(int64_t n) const override { return held_out_[n]; }

 private:
  struct Shard {
    Shard(const std::string& bin, const std::string& idx, int64_t first_document)
        : path(bin), ids(bin), index(idx), first(first_document) {}
    std::string path;
    MappedFile ids, index;
    int64_t first;  // number of its first document
    const uint64_t* starts() const { return reinterpret_cast<const uint64_t*>(index.bytes().data()); }
  };
  struct Place {
    const Shard* shard;
    int64_t begin, end;  // tokens within it
  };
  Place place_of(int64_t document) const;
  void map_shards();
  std::vector<int64_t> read_marks(const char* name, const Manifest::Marks& marks) const;

  std::string folder_;
  Manifest manifest_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::vector<int64_t> held_out_, marked_;  // marked_: held out or dropped
};

/// Writes one shard; it appears whole, when finish() returns, or not at all.
class TokenShardWriter {
 public:
  TokenShardWriter(const std::string& folder, int64_t number, int token_bytes);
  void add(std::span<const int32_t> document);
  int64_t tokens() const { return static_cast<int64_t>(starts_.back()); }
  Manifest::Shard finish();

 private:
  void flush();
  std::string path_;  // without .bin
  int token_bytes_;
  AtomicFile file_;
  Hasher hasher_;
  std::vector<uint64_t> starts_{0};
  std::string packed_;  // not yet in the file
};

/// Those of lowest hash that together have `wanted` tokens, as groups of equal texts; none of `dropped` (ascending).
std::vector<int64_t> held_out_documents(const TokenStore& store, int64_t wanted, const std::vector<int64_t>& dropped);
/// Writes `name` in `folder`; the counts are those of `documents`, ascending.
Manifest::Marks write_marks(const TokenStore& store, const std::string& folder, const char* name,
                            const std::vector<int64_t>& documents);

inline constexpr const char* kHeldOutFile = "held-out.idx";
inline constexpr const char* kDroppedFile = "dropped.idx";

}  // namespace jet
