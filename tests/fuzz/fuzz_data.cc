// Input: a first byte that says what the rest is.
//   t, j    a text file, a JSONL file           g, z    JSONL compressed by gzip, by zstd
//   m       manifest.json, a zero byte, shard-00000.idx and the eight bytes of held-out.idx; the shard is sixteen ids
#include <span>
#include <vector>

#include "jet/data/document_reader.h"
#include "jet/data/shards.h"
#include "tests/fuzz/support.h"

namespace {

using namespace jet;

void read_documents(const std::string& path) {
  const TextFormat format = format_of(path);
  DocumentReader reader(path, format, "text");
  int64_t line = 0;
  for (RawDocument d; reader.next(d); line = d.line) {
    fuzz::check(d.line > line, "lines do not ascend");
    fuzz::expect_only_errors([&] {
      const std::string text = text_of(d, format, "text", path);
      fuzz::check(text.empty() || (text.front() != '\n' && text.back() != '\n'), "a blank line around a document");
    });
  }
}

void read_tokens(const fuzz::Folder& folder, std::string_view input) {
  const size_t first = std::min(input.find('\0'), input.size());
  const std::string_view rest = input.substr(std::min(first + 1, input.size()));
  const size_t middle = rest.size() - rest.size() % 8 - std::min<size_t>(rest.size() / 8, 1) * 8;
  folder.write("shard-00000.bin",
               std::string("\1\0\2\0\3\0\4\0\5\0\6\0\7\0\10\0\1\0\2\0\3\0\4\0\5\0\6\0\7\0\10\0", 32));
  folder.write("shard-00000.idx", rest.substr(0, middle));
  folder.write("held-out.idx", rest.substr(middle, 8));
  folder.write("manifest.json", input.substr(0, first));
  const TokenStore store(folder.path());
  fuzz::expect_only_errors([&] { store.verify(1); });
  for (int64_t i = 0; i < store.train_documents(); ++i)
    fuzz::expect_only_errors([&] {
      const int64_t d = store.train_document(i);
      fuzz::check(!store.is_marked(d), "a marked document to train on");
      std::vector<int32_t> ids(store.size(d));
      store.copy(d, 0, ids);
      store.hash_of(d);
    });
  for (int64_t i = 0; i < store.held_out_documents(); ++i) store.size(store.held_out_document(i));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const fuzz::Folder folder;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  if (input.empty()) return 0;
  const std::string_view rest = input.substr(1);
  fuzz::expect_only_errors([&] {
    switch (input[0]) {
      case 't': return read_documents(folder.write("a.txt", rest));
      case 'j': return read_documents(folder.write("a.jsonl", rest));
      case 'g': return read_documents(folder.write("a.jsonl.gz", rest));
      case 'z': return read_documents(folder.write("a.jsonl.zst", rest));
      case 'm': return read_tokens(folder, rest);
      default: return;
    }
  });
  return 0;
}
