#include "jet/storage/safetensors.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>
#include <utility>

#include "jet/base/error.h"
#include "jet/base/json.h"

namespace jet {
namespace {

// Headers are read into a sorted map: the ordered one of base/json.h searches linearly, which a header of many
// thousands of tensors would make quadratic.
using Header = nlohmann::json;

constexpr size_t kLengthBytes = 8, kAlignment = 64;
constexpr const char* kDownload = "download or save it again";

struct FileType {
  const char* name;
  DType dtype;
};
constexpr FileType kFileTypes[] = {{"F32", DType::f32}, {"BF16", DType::bf16}, {"F16", DType::f16}, {"I64", DType::i64},
                                   {"I32", DType::i32}, {"U8", DType::u8},     {"I8", DType::i8}};

const char* file_name_of(DType t) {
  for (const auto& e : kFileTypes)
    if (e.dtype == t) return e.name;
  fail("no safetensors name for the type {}", name_of(t));
}

std::optional<DType> file_dtype(const std::string& name) {
  if (name == "BOOL") return DType::u8;
  for (const auto& e : kFileTypes)
    if (name == e.name) return e.dtype;
  return {};
}

/// A name from the file, fit for a message of one line.
std::string shown(std::string name) {
  for (char& c : name)
    if (static_cast<unsigned char>(c) < 32 || c == 127) c = '?';
  if (name.size() > 200) name = name.substr(0, 200) + "...";
  return "'" + name + "'";
}

std::string shape_text(const Shape& shape) { return json_text(Header(shape)); }

/// numel * element size, or false where that overflows: sizes are signed (numel), so 64 bits without the sign.
bool byte_size(const Shape& shape, DType dtype, uint64_t* bytes) {
  auto product = static_cast<int64_t>(size_of(dtype));
  for (const int64_t n : shape)
    if (__builtin_mul_overflow(product, n, &product)) return false;
  *bytes = static_cast<uint64_t>(product);
  return true;
}

struct Range {
  uint64_t begin = 0, end = 0;
  std::string name;
};

struct Entry {
  StoredTensor tensor;
  Range range;
  std::string unread;  // the type, where it is none of ours
};

uint64_t unsigned_of(const Header& j, const std::string& where, const char* what) {
  require(j.is_number_unsigned(), "{}: {} must be non-negative integers; the header is damaged, {}", where, what,
          kDownload);
  return j.get<uint64_t>();
}

/// Checks one header entry by itself; whether its bytes lie in the file is for check_layout.
Entry parse_entry(const std::string& name, const Header& j, const std::string& path) {
  const std::string where = fmt::format("{}: tensor {}", path, shown(name));
  for (const char* key : {"dtype", "shape", "data_offsets"})
    require(j.is_object() && j.contains(key), "{}: '{}' is missing from the header; {}", where, key, kDownload);
  require(j["dtype"].is_string(), "{}: 'dtype' is not a string; {}", where, kDownload);
  require(j["shape"].is_array(), "{}: 'shape' is not a list; {}", where, kDownload);
  const auto& offsets = j["data_offsets"];
  require(offsets.is_array() && offsets.size() == 2, "{}: 'data_offsets' is not a pair; {}", where, kDownload);

  Entry e;
  e.tensor.name = name;
  const auto type = j["dtype"].get<std::string>();
  const auto dtype = file_dtype(type);
  e.tensor.dtype = dtype.value_or(DType::u8);
  if (!dtype) e.unread = type.substr(0, 40);
  for (const auto& n : j["shape"]) {
    const uint64_t size = unsigned_of(n, where, "the sizes of 'shape'");
    require(size <= INT64_MAX, "{}: size {} is too large; the header is damaged, {}", where, size, kDownload);
    e.tensor.shape.push_back(static_cast<int64_t>(size));
  }
  e.range = {unsigned_of(offsets[0], where, "'data_offsets'"), unsigned_of(offsets[1], where, "'data_offsets'"), name};

  uint64_t bytes = 0;
  require(byte_size(e.tensor.shape, e.tensor.dtype, &bytes), "{}: shape {} overflows; the header is damaged, {}", where,
          shape_text(e.tensor.shape), kDownload);
  require(e.range.begin <= e.range.end && (!dtype || e.range.end - e.range.begin == bytes),
          "{}: shape {} of {} takes {} bytes but its offsets are [{}, {}); {}", where, shape_text(e.tensor.shape),
          name_of(e.tensor.dtype), bytes, e.range.begin, e.range.end, kDownload);
  return e;
}

/// The ranges must tile [0, data bytes): every byte belongs to one tensor.
void check_layout(std::vector<Range> ranges, uint64_t data_begin, uint64_t file_size, const std::string& path) {
  for (const auto& r : ranges)
    require(r.end <= file_size - data_begin, "{}: is truncated: tensor {} ends at byte {} of {}; {}", path,
            shown(r.name), data_begin + std::min(r.end, UINT64_MAX - data_begin), file_size, kDownload);
  std::sort(ranges.begin(), ranges.end(),
            [](const Range& a, const Range& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
  uint64_t at = 0;
  for (const auto& r : ranges) {
    require(r.begin >= at, "{}: tensor {} overlaps the one before it: it begins at data byte {}, before {}; {}", path,
            shown(r.name), r.begin, at, kDownload);
    require(r.begin == at, "{}: data bytes {} to {} before tensor {} belong to no tensor; {}", path, at, r.begin,
            shown(r.name), kDownload);
    at = r.end;
  }
  require(data_begin + at == file_size, "{}: {} bytes after the last tensor belong to no tensor; {}", path,
          file_size - data_begin - at, kDownload);
}

/// The header's length, checked against the file.
uint64_t header_length(std::span<const std::byte> bytes, const std::string& path) {
  require(bytes.size() >= kLengthBytes, "{}: has {} bytes, too few for a safetensors file; {}", path, bytes.size(),
          kDownload);
  uint64_t n = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) n |= static_cast<uint64_t>(bytes[i]) << (8 * i);
  require(n <= bytes.size() - kLengthBytes,
          "{}: the header is said to take {} bytes but the file has {}: it is truncated or no safetensors file; {}",
          path, n, bytes.size(), kDownload);
  return n;
}

Header parse_header(std::span<const std::byte> bytes, const std::string& path) {
  const char* text = reinterpret_cast<const char*>(bytes.data());
  Header header;
  try {
    header = Header::parse(text, text + bytes.size());
  } catch (const nlohmann::json::exception&) { fail("{}: the header is not valid JSON; {}", path, kDownload); }
  require(header.is_object(), "{}: the header is not a JSON object; {}", path, kDownload);
  return header;
}

template <class T, class Out>
std::vector<Out> convert(const StoredTensor& t) {
  const size_t n = t.bytes.size() / sizeof(T);
  std::vector<Out> out(n);
  for (size_t i = 0; i < n; ++i) {
    T x;  // by memcpy: nothing in the format aligns a tensor to its element
    std::memcpy(&x, t.bytes.data() + i * sizeof(T), sizeof(T));
    if constexpr (std::is_integral_v<T>) {
      out[i] = x;
    } else {
      out[i] = to_float(x);
    }
  }
  return out;
}

/// {tensor: shard} of an index file.
std::map<std::string, std::string> read_index(const std::string& path) {
  Header index;
  try {
    index = Header::parse(read_file(path));
  } catch (const nlohmann::json::exception&) { fail("{}: not valid JSON; {}", path, kDownload); }
  require(index.is_object() && index.contains("weight_map") && index["weight_map"].is_object(),
          "{}: has no 'weight_map'; {}", path, kDownload);
  std::map<std::string, std::string> shards;
  for (const auto& [name, shard] : index["weight_map"].items()) {
    require(shard.is_string(), "{}: tensor {} names no shard; {}", path, shown(name), kDownload);
    const auto file = shard.get<std::string>();
    const bool plain = !file.empty() && file.find_first_of(std::string("/\\\0", 3)) == std::string::npos;
    require(plain && file != "..", "{}: shard {} of tensor {} is no plain file name; {}", path, shown(file),
            shown(name), kDownload);
    shards[name] = file;
  }
  return shards;
}

}  // namespace

SafeTensors SafeTensors::open(const std::string& file_or_folder) {
  SafeTensors st;
  st.path_ = file_or_folder;
  if (!is_folder(file_or_folder)) {
    st.add_file(file_or_folder);
    return st;
  }
  const std::string single = file_or_folder + "/model.safetensors", index = single + ".index.json";
  if (file_exists(single)) {
    st.add_file(single);
    return st;
  }
  require(file_exists(index),
          "{}: holds neither model.safetensors nor model.safetensors.index.json; point to a folder with a model's "
          "weights",
          file_or_folder);
  const auto shards = read_index(index);
  std::map<std::string, std::string> first;  // of each file's tensors
  for (const auto& [name, file] : shards) first.emplace(file, name);
  for (const auto& [file, name] : first) {
    const std::string path = file_or_folder + "/" + file;
    require(file_exists(path), "{}: shard {} is missing (tensor {} is in it); download it", index, shown(file),
            shown(name));
    st.add_file(path);
  }
  for (const auto& [name, file] : shards)
    if (!st.contains(name)) st.unread_.emplace(name, fmt::format("is not in shard {}; {}", shown(file), kDownload));
  return st;
}

void SafeTensors::add_file(const std::string& path) {
  auto file = std::make_shared<MappedFile>(path);
  const auto bytes = file->bytes();
  const uint64_t length = header_length(bytes, path), data_begin = kLengthBytes + length;
  const Header header = parse_header(bytes.subspan(kLengthBytes, length), path);

  std::vector<Entry> entries;
  std::vector<Range> ranges;
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__") {
      require(value.is_object(), "{}: '__metadata__' is not an object; {}", path, kDownload);
      for (const auto& [k, v] : value.items()) {
        require(v.is_string(), "{}: '__metadata__' entry {} is not a string; {}", path, shown(k), kDownload);
        metadata_[k] = v.get<std::string>();
      }
      continue;
    }
    entries.push_back(parse_entry(name, value, path));
    ranges.push_back(entries.back().range);
  }
  check_layout(std::move(ranges), data_begin, bytes.size(), path);
  for (auto& e : entries) {
    if (!e.unread.empty()) {
      unread_[e.tensor.name] =
          fmt::format("is of type {}, which cannot be read (F32, BF16, F16, I64, I32, U8, I8, BOOL can); convert it",
                      shown(e.unread));
      continue;
    }
    e.tensor.bytes = bytes.subspan(data_begin + e.range.begin, e.range.end - e.range.begin);
    const auto [at, is_new] = tensors_.emplace(e.tensor.name, std::move(e.tensor));
    require(is_new, "{}: tensor {} is in another shard too; {}", path, shown(at->first), kDownload);
  }
  files_.push_back(std::move(file));
  paths_.push_back(path);
}

const StoredTensor& SafeTensors::at(const std::string& name) const {
  const auto found = tensors_.find(name);
  const auto unread = unread_.find(name);
  require(unread == unread_.end(), "{}: tensor {} {}", path_, shown(name),
          unread == unread_.end() ? "" : unread->second);
  require(found != tensors_.end(), "{}: has no tensor {} (it has {} tensors); the weights do not fit this architecture",
          path_, shown(name), tensors_.size());
  return found->second;
}

void SafeTensors::rename(const std::string& from, const std::string& to) {
  const auto move = [&](auto& tensors) {
    auto node = tensors.extract(from);
    if (node.empty()) return;
    node.key() = to;
    require(!tensors_.count(to) && !unread_.count(to), "{}: tensors {} and {} are both there; which one counts?", path_,
            shown(from), shown(to));
    if constexpr (requires { node.mapped().name; }) node.mapped().name = to;
    tensors.insert(std::move(node));
  };
  if (from == to) return;
  move(tensors_), move(unread_);
}

void SafeTensors::split(const std::string& from, const std::vector<std::pair<std::string, int64_t>>& parts) {
  const auto node = tensors_.extract(from);
  if (node.empty()) return;
  const StoredTensor& whole = node.mapped();
  int64_t rows = 0;
  for (const auto& [name, n] : parts) rows += n;
  require(!whole.shape.empty() && whole.shape[0] == rows, "{}: tensor {} has shape {}, config.json asks for {} rows",
          path_, shown(from), shape_text(whole.shape), rows);
  const size_t row_bytes = whole.bytes.size() / static_cast<size_t>(rows);
  size_t at = 0;
  for (const auto& [name, n] : parts) {
    StoredTensor part = whole;
    part.name = name, part.shape[0] = n, part.bytes = whole.bytes.subspan(at, n * row_bytes), at += n * row_bytes;
    require(tensors_.emplace(name, std::move(part)).second, "{}: tensors {} and {} are both there; which one counts?",
            path_, shown(from), shown(name));
  }
}

std::vector<float> to_floats(const StoredTensor& t) {
  switch (t.dtype) {
    case DType::f32: return convert<float, float>(t);
    case DType::bf16: return convert<bf16, float>(t);
    case DType::f16: return convert<f16, float>(t);
    default: fail("tensor {}: is {}, where f32, bf16 or f16 is wanted", shown(t.name), name_of(t.dtype));
  }
}

std::vector<int64_t> to_ints(const StoredTensor& t) {
  switch (t.dtype) {
    case DType::i64: return convert<int64_t, int64_t>(t);
    case DType::i32: return convert<int32_t, int64_t>(t);
    default: fail("tensor {}: is {}, where i64 or i32 is wanted", shown(t.name), name_of(t.dtype));
  }
}

SafeTensorsWriter::SafeTensorsWriter(const std::string& path, const std::vector<TensorToWrite>& tensors,
                                     const std::map<std::string, std::string>& metadata)
    : path_(path), file_(path) {
  Json header = Json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::set<std::string> names = {"__metadata__"};
  uint64_t at = 0;
  for (const auto& t : tensors) {
    uint64_t bytes = 0;
    for (const int64_t n : t.shape)
      require(n >= 0, "{}: tensor {} has the shape {}", path, shown(t.name), shape_text(t.shape));
    require(byte_size(t.shape, t.dtype, &bytes), "{}: the shape {} of tensor {} overflows", path, shape_text(t.shape),
            shown(t.name));
    require(names.insert(t.name).second, "{}: tensor {} is given twice", path, shown(t.name));
    header[t.name] = {{"dtype", file_name_of(t.dtype)}, {"shape", t.shape}, {"data_offsets", {at, at + bytes}}};
    at += bytes;
    sizes_.push_back(bytes);
  }
  std::string text = json_text(header);
  require(Header::parse(text) == Header(header), "{}: a tensor's name or the metadata is not valid UTF-8", path);
  while ((kLengthBytes + text.size()) % kAlignment != 0) text += ' ';
  std::string length(kLengthBytes, '\0');
  for (size_t i = 0; i < kLengthBytes; ++i) length[i] = static_cast<char>(text.size() >> (8 * i) & 255);
  file_.write(length + text);
}

void SafeTensorsWriter::write(const void* data) { write_part(data, complete() ? 0 : sizes_[written_] - part_); }

void SafeTensorsWriter::write_part(const void* data, size_t bytes) {
  require(!complete(), "{}: more than the {} tensors announced are written", path_, sizes_.size());
  require(bytes <= sizes_[written_] - part_, "{}: more than the bytes of tensor {} of {} are written", path_,
          written_ + 1, sizes_.size());
  file_.write(data, bytes);
  part_ += bytes;
  if (part_ < sizes_[written_]) return;
  part_ = 0;
  ++written_;
}

void SafeTensorsWriter::commit() {
  require(complete(), "{}: {} of {} tensors are written", path_, written_, sizes_.size());
  file_.commit();
}

void write_safetensors(const std::string& path, const std::vector<TensorToWrite>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<TensorToWrite> order = tensors;
  std::stable_sort(order.begin(), order.end(),
                   [](const TensorToWrite& a, const TensorToWrite& b) { return size_of(a.dtype) > size_of(b.dtype); });
  SafeTensorsWriter file(path, order, metadata);
  for (const auto& t : order) file.write(t.data);
  file.commit();
}

}  // namespace jet
