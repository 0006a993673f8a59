// jet-parquet FILE COLUMN: a column of text as JSONL, for `jet data build`, which runs it.
//
//   stdout   the number of rows, as a line; then {"COLUMN": "..."} for every row, in order
//   stderr   what went wrong, as one line, with exit code 2
//
// A program of its own, so that jet does not load Arrow's 60 MB of libraries for its other commands.
#include <arrow/api.h>
#include <arrow/io/api.h>
#include <parquet/arrow/reader.h>
#include <parquet/exception.h>

#include <cstdio>
#include <memory>
#include <string>

#include "jet/base/json.h"
#include "jet/cli/program.h"

namespace {

template <class T>
T value_of(arrow::Result<T> result, const std::string& where) {
  jet::require(result.ok(), "{}: {}", where, result.status().message());
  return std::move(result).ValueUnsafe();
}

void print_row(const std::string& column, const jet::SortedJson& value, const std::string& where) {
  const jet::SortedJson row = {{column, value}};
  const std::string line = jet::json_text(row) + "\n";
  jet::require(jet::SortedJson::parse(line) == row, "{}: is no UTF-8; convert the column", where);
  jet::require(std::fwrite(line.data(), 1, line.size(), stdout) == line.size(), "stdout: cannot be written");
}

template <class Array>
void print_texts(const Array& array, const std::string& column, const std::string& path, int64_t first) {
  for (int64_t i = 0; i < array.length(); ++i)
    print_row(column, array.IsNull(i) ? jet::SortedJson() : jet::SortedJson(std::string(array.GetView(i))),
              fmt::format("{}: row {} of '{}'", path, first + i + 1, column));
}

/// `first`: rows before this array.
void print_array(const arrow::Array& array, const std::string& column, const std::string& path, int64_t first) {
  switch (array.type_id()) {
    case arrow::Type::STRING: return print_texts(static_cast<const arrow::StringArray&>(array), column, path, first);
    case arrow::Type::LARGE_STRING:
      return print_texts(static_cast<const arrow::LargeStringArray&>(array), column, path, first);
    default: jet::fail("{}: column '{}' is no text but {}", path, column, array.type()->ToString());
  }
}

void print_column(const std::string& path, const std::string& column) {
  const auto file = value_of(arrow::io::ReadableFile::Open(path), path);
  parquet::arrow::FileReaderBuilder builder;
  const auto opened = builder.Open(file);
  jet::require(opened.ok(), "{}: {}", path, opened.message());
  parquet::ArrowReaderProperties properties;
  properties.set_batch_size(1024);  // rows in memory at a time
  builder.properties(properties);
  const std::unique_ptr<parquet::arrow::FileReader> reader = value_of(builder.Build(), path);

  const auto metadata = reader->parquet_reader()->metadata();
  const int leaf = metadata->schema()->ColumnIndex(column);
  std::string known;
  for (int i = 0; i < metadata->num_columns(); ++i)
    known += (i > 0 ? ", " : "") + metadata->schema()->Column(i)->path()->ToDotString();
  jet::require(leaf >= 0, "{}: column '{}' is missing (there are: {}); name the text's with --field", path, column,
               known);
  std::printf("%lld\n", static_cast<long long>(metadata->num_rows()));

  std::vector<int> groups(metadata->num_row_groups());
  for (size_t i = 0; i < groups.size(); ++i) groups[i] = static_cast<int>(i);
  const auto batches = value_of(reader->GetRecordBatchReader(groups, {leaf}), path);
  for (int64_t first = 0;;) {
    const auto batch = value_of(batches->Next(), path);
    if (!batch) break;
    print_array(*batch->column(0), column, path, first);
    first += batch->num_rows();
  }
}

}  // namespace

int main(int argc, char** argv) {
  const auto work = [&] {
    jet::require(argc == 3, "usage: jet-parquet FILE COLUMN");
    print_column(argv[1], argv[2]);
    return jet::kDone;
  };
  return jet::run_program(work, [](const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); });
}
