#include "jet/storage/gguf.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "jet/base/error.h"

namespace jet {
namespace {

constexpr const char* kFetchAgain = "download the file again";
constexpr const char* kConvertAgain = "convert the model again";
constexpr uint64_t kLongestKey = 65535, kLongestName = 63, kMostDimensions = 4, kMostFiles = 1000;

struct TypeInfo {
  const char* name;
  size_t bytes;  // 0: as many as the value says
};
constexpr TypeInfo kTypeInfos[] = {{"u8", 1},  {"i8", 1},  {"u16", 2},    {"i16", 2},      {"u32", 4},
                                   {"i32", 4}, {"f32", 4}, {"a bool", 1}, {"a string", 0}, {"an array", 0},
                                   {"u64", 8}, {"i64", 8}, {"f64", 8}};
const TypeInfo& info_of(GgufType t) { return kTypeInfos[static_cast<size_t>(t)]; }

template <class T>
T number_at(const std::byte* p) {
  T x;
  std::memcpy(&x, p, sizeof(T));
  return x;
}

/// A name from the file, fit for a message of one line.
std::string in_quotes(std::string_view name) {
  std::string text(name.substr(0, 100));
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 32 || static_cast<unsigned char>(c) > 126) c = '?';
  return "'" + text + (name.size() > 100 ? "...'" : "'");
}

std::string_view view_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// One element of a numeric type as a T; a bool is 0 or 1.
template <class T>
T element_at(GgufType t, const std::byte* p) {
  switch (t) {
    case GgufType::u8:
    case GgufType::boolean: return static_cast<T>(number_at<uint8_t>(p));
    case GgufType::i8: return static_cast<T>(number_at<int8_t>(p));
    case GgufType::u16: return static_cast<T>(number_at<uint16_t>(p));
    case GgufType::i16: return static_cast<T>(number_at<int16_t>(p));
    case GgufType::u32: return static_cast<T>(number_at<uint32_t>(p));
    case GgufType::i32: return static_cast<T>(number_at<int32_t>(p));
    case GgufType::u64: return static_cast<T>(number_at<uint64_t>(p));
    case GgufType::i64: return static_cast<T>(number_at<int64_t>(p));
    case GgufType::f32: return static_cast<T>(number_at<float>(p));
    case GgufType::f64: return static_cast<T>(number_at<double>(p));
    case GgufType::string:
    case GgufType::array: break;
  }
  return {};
}

bool is_whole(GgufType t) {
  return t != GgufType::f32 && t != GgufType::f64 && t != GgufType::boolean && t != GgufType::string &&
         t != GgufType::array;
}
bool is_number(GgufType t) { return is_whole(t) || t == GgufType::f32 || t == GgufType::f64; }

}  // namespace

/// Takes what the format says from a file's bytes, each piece checked against what is left.
class Gguf::Reader {
 public:
  Reader(std::string path, std::span<const std::byte> bytes) : path_(std::move(path)), bytes_(bytes) {}

  struct Counts {
    uint64_t tensors, keys;
  };
  Counts header();
  std::pair<std::string, GgufValue> key();
  /// Of a tensor, where its data would be: [offset, offset + bytes.size()) of the data, to be checked by place().
  struct Entry {
    GgufTensor tensor;
    uint64_t offset = 0, bytes = 0;
  };
  Entry tensor();
  /// Gives the tensors their bytes; what is read so far is the header.
  void place(std::vector<Entry>& entries, uint64_t alignment) const;

 private:
  uint64_t left() const { return bytes_.size() - at_; }
  std::span<const std::byte> take(uint64_t n, const std::string& what) {
    require(n <= left(), "{}: is cut off: {} takes {} bytes at byte {} of {}; {}", path_, what, n, at_, bytes_.size(),
            kFetchAgain);
    at_ += n;
    return bytes_.subspan(at_ - n, n);
  }
  uint32_t u32(const std::string& what) { return number_at<uint32_t>(take(4, what).data()); }
  uint64_t u64(const std::string& what) { return number_at<uint64_t>(take(8, what).data()); }
  std::string_view string(const std::string& what) {
    const uint64_t n = u64(what);
    return view_of(take(n, what));
  }
  GgufType type(const std::string& what);
  GgufValue value(const std::string& what);
  void array(GgufValue& v, const std::string& what);

  std::string path_;
  std::span<const std::byte> bytes_;
  uint64_t at_ = 0;
};

Gguf::Reader::Counts Gguf::Reader::header() {
  const auto magic = bytes_.size() < 4 ? std::string_view() : view_of(take(4, "the magic"));
  require(magic == "GGUF", "{}: is no GGUF file: it does not begin with 'GGUF'; {}", path_, kFetchAgain);
  const uint32_t version = u32("the version");
  require(version != 0x02000000 && version != 0x03000000,
          "{}: is big-endian; convert the model for little-endian machines", path_);
  require(version == 2 || version == 3, "{}: GGUF version {} cannot be read (2 and 3 can); {}", path_, version,
          kConvertAgain);
  const Counts n{u64("the number of tensors"), u64("the number of keys")};
  // The least that a tensor and a key take.
  const uint64_t most_tensors = left() / 32, most_keys = left() / 13;
  require(n.tensors <= most_tensors, "{}: is said to have {} tensors, more than {} bytes can hold; {}", path_,
          n.tensors, bytes_.size(), kFetchAgain);
  require(n.keys <= most_keys, "{}: is said to have {} keys, more than {} bytes can hold; {}", path_, n.keys,
          bytes_.size(), kFetchAgain);
  return n;
}

GgufType Gguf::Reader::type(const std::string& what) {
  const uint32_t id = u32(what);
  require(id < std::size(kTypeInfos), "{}: {} is of the unknown type {}; {}", path_, what, id, kFetchAgain);
  return static_cast<GgufType>(id);
}

void Gguf::Reader::array(GgufValue& v, const std::string& what) {
  v.element = type(what);
  require(v.element != GgufType::array, "{}: {} is an array of arrays, which cannot be read; {}", path_, what,
          kConvertAgain);
  v.count = u64(what);
  const size_t size = info_of(v.element).bytes;
  const uint64_t most = left() / (size ? size : 8);
  require(v.count <= most, "{}: {} is said to have {} elements, more than {} bytes can hold; {}", path_, what, v.count,
          bytes_.size(), kFetchAgain);
  const uint64_t begin = at_;
  if (size) {
    take(v.count * size, what);
  } else {
    for (uint64_t i = 0; i < v.count; ++i) string(what);
  }
  v.bytes = bytes_.subspan(begin, at_ - begin);
}

GgufValue Gguf::Reader::value(const std::string& what) {
  GgufValue v{.type = type(what)};
  if (v.type == GgufType::array) {
    array(v, what);
  } else if (v.type == GgufType::string) {
    const auto text = string(what);
    v.bytes = std::as_bytes(std::span(text.data(), text.size()));
  } else {
    v.bytes = take(info_of(v.type).bytes, what);
  }
  return v;
}

std::pair<std::string, GgufValue> Gguf::Reader::key() {
  const auto name = string("a key's name");
  require(!name.empty() && name.size() <= kLongestKey, "{}: a key's name has {} bytes, where 1 to {} are allowed; {}",
          path_, name.size(), kLongestKey, kFetchAgain);
  return {std::string(name), value("key " + in_quotes(name))};
}

Gguf::Reader::Entry Gguf::Reader::tensor() {
  const auto name = string("a tensor's name");
  require(!name.empty() && name.size() <= kLongestName,
          "{}: a tensor's name has {} bytes, where 1 to {} are allowed; {}", path_, name.size(), kLongestName,
          kFetchAgain);
  const std::string what = "tensor " + in_quotes(name);
  const uint32_t dimensions = u32(what);
  require(dimensions >= 1 && dimensions <= kMostDimensions, "{}: {} has {} dimensions, where 1 to {} are allowed; {}",
          path_, what, dimensions, kMostDimensions, kFetchAgain);
  Entry e;
  e.tensor.name = name;
  int64_t values = 1;
  for (uint32_t i = 0; i < dimensions; ++i) {
    const uint64_t size = u64(what);
    const bool fits =
        size > 0 && size <= INT64_MAX && !__builtin_mul_overflow(values, static_cast<int64_t>(size), &values);
    require(fits, "{}: {}: dimension {} is {}, which cannot be; {}", path_, what, i + 1, size, kFetchAgain);
    e.tensor.shape.insert(e.tensor.shape.begin(), static_cast<int64_t>(size));
  }
  const uint32_t id = u32(what);
  e.tensor.type = ggml_type(id);
  require(e.tensor.type != nullptr, "{}: {} is of {}, which cannot be read ({} can); take another file of the model",
          path_, what, ggml_type_name(id), ggml_types_known());
  const auto& t = *e.tensor.type;
  require(e.tensor.shape.back() % t.columns == 0, "{}: {} has rows of {}, where {} comes in blocks of {}; {}", path_,
          what, e.tensor.shape.back(), t.name, t.columns, kFetchAgain);
  e.bytes = static_cast<uint64_t>(values / t.columns);
  require(e.bytes <= UINT64_MAX / t.bytes, "{}: {} has {} numbers, which no file can hold; {}", path_, what, values,
          kFetchAgain);
  e.bytes *= t.bytes;
  e.offset = u64(what);
  return e;
}

void Gguf::Reader::place(std::vector<Entry>& entries, uint64_t alignment) const {
  const uint64_t begin = (at_ + alignment - 1) / alignment * alignment, size = bytes_.size();
  for (auto& e : entries) {
    const std::string what = in_quotes(e.tensor.name);
    require(e.offset % alignment == 0, "{}: tensor {} begins at data byte {}, which is no multiple of {}; {}", path_,
            what, e.offset, alignment, kFetchAgain);
    const bool inside = begin <= size && e.offset <= size - begin && e.bytes <= size - begin - e.offset;
    require(inside, "{}: is cut off: tensor {} takes {} bytes at data byte {}, where the file has {} bytes of data; {}",
            path_, what, e.bytes, e.offset, begin <= size ? size - begin : 0, kFetchAgain);
    e.tensor.bytes = bytes_.subspan(begin + e.offset, e.bytes);
  }
  std::vector<const Entry*> order;
  for (const auto& e : entries) order.push_back(&e);
  std::sort(order.begin(), order.end(), [](const Entry* a, const Entry* b) { return a->offset < b->offset; });
  for (size_t i = 1; i < order.size(); ++i) {
    const Entry &a = *order[i - 1], &b = *order[i];
    require(a.offset + a.bytes <= b.offset, "{}: tensors {} and {} overlap; {}", path_, in_quotes(a.tensor.name),
            in_quotes(b.tensor.name), kFetchAgain);
  }
}

Gguf Gguf::open(const std::string& path) {
  Gguf g;
  g.add_file(path);
  const int64_t parts = g.whole("split.count").value_or(1);
  if (parts > 1) g.add_parts(parts);
  require(!g.tensors_.empty(), "{}: holds no tensors; take the file with the model's weights", path);
  return g;
}

void Gguf::add_file(const std::string& path) {
  auto file = std::make_shared<MappedFile>(path);
  Reader in(path, file->bytes());
  const auto counts = in.header();
  std::map<std::string, GgufValue, std::less<>> keys;
  for (uint64_t i = 0; i < counts.keys; ++i) {
    const auto [at, is_new] = keys.insert(in.key());
    require(is_new, "{}: key {} is there twice; {}", path, in_quotes(at->first), kConvertAgain);
  }
  std::vector<Reader::Entry> entries;
  for (uint64_t i = 0; i < counts.tensors; ++i) entries.push_back(in.tensor());

  Gguf alone;
  alone.paths_ = {path};
  alone.keys_ = std::move(keys);
  const int64_t alignment = alone.whole("general.alignment").value_or(32);
  require(alignment > 0 && alignment <= INT32_MAX && std::has_single_bit(static_cast<uint64_t>(alignment)),
          "{}: key 'general.alignment' is {}, which is no power of two; {}", path, alignment, kFetchAgain);
  in.place(entries, static_cast<uint64_t>(alignment));
  for (auto& e : entries) {
    const auto [at, is_new] = tensors_.emplace(e.tensor.name, std::move(e.tensor));
    require(is_new, "{}: tensor {} is there twice; {}", path, in_quotes(at->first), kConvertAgain);
  }
  const int64_t number = alone.whole("split.no").value_or(0), expected = static_cast<int64_t>(files_.size());
  require(number == expected, "{}: is part {} of the model's files, where part {} is wanted; name the first of them",
          path, number + 1, expected + 1);
  if (files_.empty()) keys_ = std::move(alone.keys_);
  paths_.push_back(path);
  files_.push_back(std::move(file));
}

void Gguf::add_parts(int64_t count) {
  const std::string first = path(), ending = fmt::format("-00001-of-{:05}.gguf", count);
  require(count <= static_cast<int64_t>(kMostFiles) && first.ends_with(ending),
          "{}: is the first of {} files, but its name does not end in '{}'; name the files as they were", first, count,
          ending);
  const std::string stem = first.substr(0, first.size() - ending.size());
  for (int64_t i = 2; i <= count; ++i) {
    const std::string part = fmt::format("{}-{:05}-of-{:05}.gguf", stem, i, count);
    require(file_exists(part), "{}: part {} of the model, {}, is missing; download it", first, i, part);
    add_file(part);
  }
  const auto total = whole("split.tensors.count");
  require(!total || *total == static_cast<int64_t>(tensors_.size()),
          "{}: its {} files hold {} tensors, where split.tensors.count is {}; {}", first, count, tensors_.size(),
          total.value_or(0), kFetchAgain);
}

const GgufValue* Gguf::find(std::string_view key) const {
  const auto found = keys_.find(key);
  return found == keys_.end() ? nullptr : &found->second;
}

namespace {

/// "key 'x' is u32, where a string is wanted".
[[noreturn]] void wrong_type(const Gguf& g, std::string_view key, const GgufValue& v, const char* wanted) {
  fail("{}: key {} is {}{}, where {} is wanted; {}", g.path(), in_quotes(key), info_of(v.type).name,
       v.type == GgufType::array ? fmt::format(" of {}", info_of(v.element).name) : "", wanted, kConvertAgain);
}

}  // namespace

std::optional<int64_t> Gguf::whole(std::string_view key) const {
  const GgufValue* v = find(key);
  if (!v) return {};
  if (!is_whole(v->type)) wrong_type(*this, key, *v, "a whole number");
  const bool beyond = v->type == GgufType::u64 && number_at<uint64_t>(v->bytes.data()) > INT64_MAX;
  require(!beyond, "{}: key {} is out of range; {}", path(), in_quotes(key), kConvertAgain);
  return element_at<int64_t>(v->type, v->bytes.data());
}

std::optional<double> Gguf::number(std::string_view key) const {
  const GgufValue* v = find(key);
  if (!v) return {};
  if (!is_number(v->type)) wrong_type(*this, key, *v, "a number");
  const auto x = element_at<double>(v->type, v->bytes.data());
  require(std::isfinite(x), "{}: key {} is {}; {}", path(), in_quotes(key), x, kConvertAgain);
  return x;
}

std::optional<bool> Gguf::boolean(std::string_view key) const {
  const GgufValue* v = find(key);
  if (!v) return {};
  if (v->type != GgufType::boolean) wrong_type(*this, key, *v, "a bool");
  const auto x = number_at<uint8_t>(v->bytes.data());
  require(x <= 1, "{}: key {} is a bool of the value {}; {}", path(), in_quotes(key), x, kFetchAgain);
  return x == 1;
}

std::optional<std::string> Gguf::text(std::string_view key) const {
  const GgufValue* v = find(key);
  if (!v) return {};
  if (v->type != GgufType::string) wrong_type(*this, key, *v, "a string");
  return std::string(view_of(v->bytes));
}

std::optional<std::vector<std::string_view>> Gguf::texts(std::string_view key) const {
  const GgufValue* v = find(key);
  if (!v) return {};
  if (v->type != GgufType::array || v->element != GgufType::string) wrong_type(*this, key, *v, "an array of strings");
  std::vector<std::string_view> texts;
  texts.reserve(v->count);
  for (size_t at = 0; at < v->bytes.size();) {
    const auto n = number_at<uint64_t>(&v->bytes[at]);
    texts.push_back(view_of(v->bytes.subspan(at + 8, n)));
    at += 8 + n;
  }
  return texts;
}

std::optional<std::vector<double>> Gguf::numbers(std::string_view key) const {
  const GgufValue* v = find(key);
  if (!v) return {};
  const bool numeric = is_number(v->element) || v->element == GgufType::boolean;
  if (v->type != GgufType::array || !numeric) wrong_type(*this, key, *v, "an array of numbers");
  std::vector<double> numbers;
  numbers.reserve(v->count);
  const size_t size = info_of(v->element).bytes;
  for (uint64_t i = 0; i < v->count; ++i) numbers.push_back(element_at<double>(v->element, &v->bytes[i * size]));
  return numbers;
}

bool Gguf::is_array(std::string_view key) const {
  const GgufValue* v = find(key);
  return v && v->type == GgufType::array;
}

bool is_gguf(const std::string& path) {
  try {
    const MappedFile file(path);
    return file.bytes().size() >= 4 && view_of(file.bytes().first(4)) == "GGUF";
  } catch (const Error&) { return false; }
}

}  // namespace jet
