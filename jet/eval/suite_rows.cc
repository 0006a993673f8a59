#include "jet/eval/suite_rows.h"

#include <algorithm>
#include <filesystem>

#include "jet/base/error.h"
#include "jet/base/file.h"
#include "jet/data/document_reader.h"
#include "jet/eval/suite_value.h"
#include "jet/text/regex.h"

namespace jet {
namespace {

namespace fs = std::filesystem;

/// "csv" of NAME.csv and NAME.csv.gz.
std::string kind_of(const std::string& path) {
  fs::path p = path;
  if (p.extension() == ".gz" || p.extension() == ".zst") p = p.stem();
  return p.extension().string();
}

std::vector<Json> rows_of_lines(const std::string& text, const std::string& path) {
  std::vector<Json> rows;
  int line = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    ++line;
    const std::string part = text.substr(begin, end - begin);
    if (part.find_first_not_of(" \t\r") != part.npos)
      rows.push_back(parse_json(part, fmt::format("{}:{}", path, line)));
    begin = end + 1;
  }
  return rows;
}

/// Walks down `keys`; what stands beside them is added to what lies below.
void walk_rows(const Json& at, std::string_view keys, Json beside, std::vector<Json>& rows) {
  if (at.is_array()) {
    for (const Json& part : at) walk_rows(part, keys, beside, rows);
    return;
  }
  if (!at.is_object()) return;
  const size_t dot = std::min(keys.find('.'), keys.size());
  const std::string key(keys.substr(0, dot));
  for (const auto& [name, value] : at.items())
    if (name != key) beside[name] = value;
  if (key.empty()) {
    rows.push_back(std::move(beside));
  } else if (at.contains(key)) {
    walk_rows(at.at(key), keys.substr(std::min(dot + 1, keys.size())), std::move(beside), rows);
  }
}

/// One record of a CSV file from `at` on: commas part fields, quotes hold what has commas, ends of lines and, twice,
/// quotes (RFC 4180).
std::vector<std::string> csv_record(const std::string& text, size_t& at, char comma) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (quoted) {
      if (c != '"') {
        fields.back() += c;
      } else if (at + 1 < text.size() && text[at + 1] == '"') {
        fields.back() += '"', ++at;
      } else {
        quoted = false;
      }
    } else if (c == '"' && fields.back().empty()) {
      quoted = true;
    } else if (c == comma) {
      fields.emplace_back();
    } else if (c == '\n') {
      break;
    } else if (c != '\r') {
      fields.back() += c;
    }
  }
  ++at;
  return fields;
}

std::vector<Json> rows_of_csv(const std::string& text, const std::string& path, std::vector<std::string> columns,
                              char comma) {
  std::vector<Json> rows;
  size_t at = 0;
  if (columns.empty()) columns = csv_record(text, at, comma);
  while (at < text.size()) {
    const auto record = csv_record(text, at, comma);
    if (record.size() == 1 && record[0].empty()) continue;
    require(record.size() == columns.size(), "{}: record {} has {} fields, {} are expected ({})", path, rows.size() + 1,
            record.size(), columns.size(), fmt::join(columns, ", "));
    Json row = Json::object();
    for (size_t i = 0; i < columns.size(); ++i) row[columns[i]] = record[i];
    rows.push_back(std::move(row));
  }
  return rows;
}

/// Texts that begin with the lines that match; all is one where nothing says how they begin.
std::vector<Json> rows_of_text(const std::string& text, const std::string& starts) {
  std::vector<Json> rows;
  const auto add = [&](size_t from, size_t to) {
    const std::string part = text.substr(from, to - from);
    if (part.find_first_not_of(" \t\r\n") != part.npos) rows.push_back({{"page", part}});
  };
  size_t from = 0;
  if (!starts.empty()) {
    const Regex regex(starts, "starts", true);
    for (Regex::Search s(regex, text); s.next();) {
      if (s.begin() > from) add(from, s.begin() - 1);  // the end of line before it parts them
      from = s.begin();
    }
  }
  add(from, text.size());
  return rows;
}

/// A whole file, unpacked.
std::string unpacked(const std::string& path) {
  if (path.ends_with(kind_of(path))) return read_text(path);
  const auto stream = open_stream(path, "");
  std::string text, part(size_t{1} << 16, '\0');
  while (const size_t n = stream->read(part.data(), part.size())) text.append(part, 0, n);
  return text;
}

/// The .json files of a folder in the order of their numbers, a document each.
std::vector<Json> rows_of_folder(const std::string& folder) {
  std::map<std::pair<size_t, std::string>, std::string> files;  // 2 before 10
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (!is_hidden(name) && name.ends_with(".json")) files[{name.size(), name}] = entry.path().string();
  }
  std::vector<Json> rows;
  for (const auto& [name, file] : files) rows.push_back(parse_json(read_text(file), file));
  return rows;
}

std::vector<Json> raw_rows(const std::string& path, const SuiteFile& file) {
  if (fs::is_directory(path)) return rows_of_folder(path);
  const std::string kind = kind_of(path), text = unpacked(path);
  if (kind == ".jsonl") return rows_of_lines(text, path);
  if (kind == ".csv" || kind == ".tsv") return rows_of_csv(text, path, file.columns, kind == ".csv" ? ',' : '\t');
  if (kind == ".txt" || kind == ".raw") return rows_of_text(text, file.starts);
  require(kind == ".json", "{}: documents are read from .jsonl, .json, .csv, .tsv and .txt (and those as .gz, .zst)",
          path);
  std::vector<Json> rows;
  walk_rows(parse_json(text, path), file.rows, Json::object(), rows);
  return rows;
}

}  // namespace

std::map<std::string, std::string> matching_files(const std::string& folder, const std::string& path) {
  const bool folders = path.ends_with('/');
  const fs::path whole = fs::path(folder) / (folders ? path.substr(0, path.size() - 1) : path);
  const size_t star = path.find('*');
  std::map<std::string, std::string> files;
  if (star == path.npos) {
    if (folders ? fs::is_directory(whole) : fs::is_regular_file(whole)) files[""] = whole.string();
    return files;
  }
  const std::string name = whole.filename().string();
  const std::string before = name.substr(0, name.find('*')), after = name.substr(name.find('*') + 1);
  if (!fs::is_directory(whole.parent_path())) return files;
  for (const auto& entry : fs::directory_iterator(whole.parent_path())) {
    const std::string file = entry.path().filename().string();
    if (is_hidden(file) || entry.is_directory() != folders) continue;
    if (file.size() > before.size() + after.size() && file.starts_with(before) && file.ends_with(after))
      files[file.substr(before.size(), file.size() - before.size() - after.size())] = entry.path().string();
  }
  return files;
}

std::vector<Json> read_rows(const std::string& path, const SuiteFile& file, const std::string& part) {
  const SuiteValue where(file.where.is_null() ? Json(true) : file.where, path + ": where");
  std::vector<std::pair<std::string, SuiteValue>> added;
  for (const auto& [key, value] : file.doc.items()) added.emplace_back(key, SuiteValue(value, path + ": doc: " + key));
  std::vector<Json> docs;
  for (Json& row : raw_rows(path, file)) {
    require(row.is_object(), "{}: a document is no object of fields: {}", path, json_text(row).substr(0, 60));
    if (!part.empty()) row["part"] = part;
    if (where.of(row) == Json(false)) continue;
    Json doc = row;
    for (const auto& [key, value] : added) doc[key] = value.of(row);
    docs.push_back(std::move(doc));
  }
  require(!docs.empty(), "{}: holds no documents", path);
  return docs;
}

}  // namespace jet
