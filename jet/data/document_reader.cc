#include "jet/data/document_reader.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "jet/base/error.h"
#include "jet/base/file.h"
#include "jet/base/json.h"
#include "jet/text/utf8.h"

namespace jet {
namespace {

constexpr size_t kChunk = size_t{1} << 20;
// Token offsets within a document must fit 32 bits, and one document goes through one thread.
constexpr size_t kLargestDocument = size_t{1} << 30;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

std::string_view without_return(std::string_view line) {
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return line;
}

/// The text without the blank lines around it; "" where it is white space alone.
std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == '\n' || text.front() == '\r')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos ? std::string_view() : text;
}

}  // namespace

TextFormat format_of(const std::string& path) {
  std::filesystem::path name(path);
  if (name.extension() == ".gz" || name.extension() == ".zst") name.replace_extension();
  const std::string ending = name.extension();
  if (ending == ".txt") return TextFormat::text;
  if (ending == ".jsonl" || path.ends_with(".parquet")) return TextFormat::jsonl;
  fail(
      "{}: unknown kind of file '{}' (known: .parquet, .txt, .jsonl, the last two with .gz or .zst after them as well)",
      path, ending);
}

DocumentReader::DocumentReader(std::string path, TextFormat format, const std::string& field)
    : path_(std::move(path)), format_(format), stream_(open_stream(path_, field)) {
  while (!ended_ && buffer_.size() < kByteOrderMark.size()) read_on();
  if (buffer_.starts_with(kByteOrderMark)) buffer_.erase(0, kByteOrderMark.size());
}

void DocumentReader::read_on() {
  const size_t end = buffer_.size();
  buffer_.resize(end + kChunk);
  const size_t n = stream_->read(buffer_.data() + end, kChunk);
  buffer_.resize(end + n);
  ended_ = n == 0;
}

/// Sets `end` to where the line that holds `from` ends, reading on as needed; false where no line is left.
bool DocumentReader::find_line(size_t from, size_t& end) {
  for (size_t seen = from;;) {
    end = buffer_.find('\n', seen);
    if (end != std::string::npos) return true;
    end = seen = buffer_.size();
    if (ended_) return from < buffer_.size();
    require(buffer_.size() - begin_ < kLargestDocument, "{}:{}: a document of over {} MB; {}", path_, line_,
            kLargestDocument >> 20,
            format_ == TextFormat::text ? "put a line <|endoftext|> between documents" : "cut it into several");
    read_on();
  }
}

/// Hands out buffer_[begin, end) and goes on at `next`.
void DocumentReader::take(size_t begin, size_t end, size_t next, RawDocument& document) {
  document.bytes.assign(buffer_, begin, end - begin);
  document.line = line_;
  line_ +=
      std::count(buffer_.begin() + static_cast<int64_t>(begin), buffer_.begin() + static_cast<int64_t>(next), '\n');
  begin_ = next;
  if (begin_ < 4 * kChunk && begin_ < buffer_.size()) return;  // moving the rest for every document would cost
  buffer_.erase(0, begin_);
  begin_ = 0;
}

bool DocumentReader::next(RawDocument& document) {
  size_t end = 0;
  for (size_t line = begin_; find_line(line, end); line = std::min(end + 1, buffer_.size())) {
    const size_t next = std::min(end + 1, buffer_.size());
    if (format_ == TextFormat::jsonl) return take(begin_, end, next, document), true;
    if (without_return(std::string_view(buffer_).substr(line, end - line)) != kDocumentSeparator) continue;
    take(begin_, line, next, document);
    return true;
  }
  if (begin_ == buffer_.size()) return false;
  take(begin_, buffer_.size(), buffer_.size(), document);
  return true;
}

std::string read_text(const std::string& path) {
  std::string text = read_file(path);
  if (text.starts_with(kByteOrderMark)) text.erase(0, kByteOrderMark.size());
  require_utf8(text, path);
  return text;
}

std::string text_of(const RawDocument& d, TextFormat format, const std::string& field, const std::string& path) {
  if (format == TextFormat::text) {
    require_utf8(d.bytes, path, d.line);
    return std::string(trimmed(d.bytes));
  }
  if (trimmed(d.bytes).empty()) return {};
  const std::string where = fmt::format("{}:{}", path, d.line);
  const SortedJson json = parse_sorted_json(d.bytes, where);
  require(json.is_object(), "{}: expected an object with the key '{}', found {}", where, field, json.type_name());
  const auto value = json.find(field);
  require(value != json.end(), "{}: key '{}' is missing; name the text's key with --field", where, field);
  require(value->is_string(), "{}: key '{}' is no text but {}", where, field, value->type_name());
  return std::string(trimmed(value->get_ref<const std::string&>()));
}

}  // namespace jet
