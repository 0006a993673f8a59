// The documents of a file, one after the other, whatever it is packed in.
//
//   NAME.txt    documents separated by a line `<|endoftext|>` (after an optional carriage return)
//   NAME.jsonl  one JSON object a line; its key `field` is the document
//   NAME.txt.gz, NAME.jsonl.zst ...  either, compressed; members and frames may follow one another
//   NAME.parquet  one document a row, in the column `field`; rows come as lines of JSONL (jet/data/parquet_stream.cc)
//
// A document has no blank lines around it, and one of white space alone is none. A file is read as a stream: memory
// holds one document and a little more. Text is UTF-8 in every format: a byte-order mark at the start of a file is
// taken off, what is no UTF-8 is an error with its line.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace jet {

/// What stands between the documents of a text file, and what every document begins with as a token.
inline constexpr std::string_view kDocumentSeparator = "<|endoftext|>";

enum class TextFormat { text, jsonl };

/// By the name's ending; throws on one that is unknown, naming those that are known.
TextFormat format_of(const std::string& path);

/// Decompressed bytes of a file.
class ByteStream {
 public:
  virtual ~ByteStream() = default;
  /// Fills at most `size` bytes and returns how many; 0 at the end.
  virtual size_t read(char* out, size_t size) = 0;
  /// Bytes of the file itself that have been taken.
  virtual int64_t position() const = 0;
};
/// `field`: the column, of Parquet.
std::unique_ptr<ByteStream> open_stream(const std::string& path, const std::string& field);
std::unique_ptr<ByteStream> open_parquet(const std::string& path, const std::string& field);

/// A piece of the file that holds one document: its text or, of JSONL, its line, which text_of understands.
struct RawDocument {
  std::string bytes;
  int64_t line = 0;  // where it begins, from 1
};

class DocumentReader {
 public:
  DocumentReader(std::string path, TextFormat format, const std::string& field);
  /// False at the end. Pieces that turn out to hold no document count as well: the n-th call gives the same piece in
  /// every run.
  bool next(RawDocument& document);
  int64_t position() const { return stream_->position(); }

 private:
  void read_on();
  bool find_line(size_t from, size_t& end);
  void take(size_t begin, size_t end, size_t next, RawDocument& document);

  std::string path_;
  TextFormat format_;
  std::unique_ptr<ByteStream> stream_;
  std::string buffer_;
  size_t begin_ = 0;  // of what is not yet handed out, in buffer_
  int64_t line_ = 1;  // of begin_
  bool ended_ = false;
};

/// A whole file as text, by the same rule.
std::string read_text(const std::string& path);

/// The document in a piece; "" where there is none. Costs most of what reading costs, so that it is for many threads.
std::string text_of(const RawDocument& document, TextFormat format, const std::string& field, const std::string& path);

}  // namespace jet
