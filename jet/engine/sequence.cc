// A saved sequence is a safetensors file: a tensor "layers.<i>.<name>" for each state (rows as [heads, kept, dim],
// oldest first; of i8 also "layers.<i>.<name>.scales", [heads, kept]), and metadata {"format": "jet sequence",
// "length", "model": the fingerprint, "kv", "recurrent": the types of rows and of recurrent states}.
#include "jet/engine/sequence.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <deque>

#include "jet/base/rng.h"
#include "jet/storage/safetensors.h"

namespace jet {

namespace {

constexpr const char* kFormat = "jet sequence";

std::string metadata_of(const SafeTensors& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  require(found != file.metadata().end(), "{}: is no saved sequence (its metadata lack '{}')", file.path(), key);
  return found->second;
}

int64_t length_of(const SafeTensors& file, int64_t max_length) {
  const std::string text = metadata_of(file, "length");
  int64_t n = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  require(error == std::errc{} && end == text.data() + text.size() && n >= 0 && n <= max_length,
          "{}: length '{}' is not in 0..{}", file.path(), text.substr(0, 40), max_length);
  return n;
}

Shape stored_shape(const StateSpec& spec, int64_t length) {
  if (spec.kind != StateSpec::rows) return spec.shape;
  return {spec.shape[0], spec.window > 0 ? std::min<int64_t>(spec.window, length) : length, spec.shape[1]};
}

DType stored_type(const StateLayout& layout, const StateLayout::Entry& e) {
  if (e.spec.kind == StateSpec::rows) return layout.kv;
  return e.is_recurrent() ? layout.recurrent : DType::f32;
}

std::string scales_key(const StateLayout::Entry& e) { return e.key() + ".scales"; }

/// The tensor `key`, which must be of this type and shape.
std::span<const std::byte> stored_bytes(const SafeTensors& file, const std::string& key, DType dtype,
                                        const Shape& shape) {
  const StoredTensor& t = file.at(key);
  require(t.shape == shape && t.dtype == dtype, "{}: '{}' is {} {}, expected {} {}", file.path(), key, name_of(t.dtype),
          to_string(t.shape), name_of(dtype), to_string(shape));
  return t.bytes;
}

/// A file's metadata must say what the engine keeps.
void check_type(const SafeTensors& file, const std::string& key, const char* what, DType kept) {
  require(metadata_of(file, key) == name_of(kept), "{}: holds {} in {}, this engine keeps {}", file.path(), what,
          metadata_of(file, key).substr(0, 40), name_of(kept));
}

/// Brings an empty store to `length` rows: one block of random numbers, over and over.
template <class Draw>
void append_random(RowStore& rows, int64_t length, Draw&& draw) {
  constexpr int64_t kBlock = 256, kRoom = 256;  // room: the first steps after it must not double the store
  std::vector<std::byte> numbers(std::min(kBlock, length) * rows.row_bytes());
  for (size_t at = 0; at < numbers.size(); at += size_of(rows.dtype())) {
    const float x = draw();
    const bf16 half = to_bf16(x);
    const auto byte = static_cast<int8_t>(100 * x);
    const void* from = rows.dtype() == DType::bf16 ? static_cast<const void*>(&half) : &x;
    std::memcpy(numbers.data() + at, rows.dtype() == DType::i8 ? &byte : from, size_of(rows.dtype()));
  }
  const std::vector<float> scales(kBlock * rows.heads(), 0.01f);
  rows.reserve(length + kRoom);
  while (rows.total() < length) {
    rows.append(
        {numbers.data(), rows.dtype() == DType::i8 ? scales.data() : nullptr, std::min(kBlock, length - rows.total())});
  }
}

}  // namespace

Sequence::Sequence(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Sequence::~Sequence() = default;

int64_t Sequence::length() const { return impl_->state.length; }
int64_t Sequence::bytes() const { return impl_->state.bytes(); }

void Sequence::reset() {
  impl_->state.reset();
  impl_->broken = false;
}

void Sequence::reserve(int64_t tokens) {
  if (tokens > length()) impl_->state.reserve(tokens - length());
}

std::unique_ptr<Sequence> Sequence::fork() const {
  return std::unique_ptr<Sequence>(new Sequence(std::make_unique<Impl>(*impl_)));
}

void Sequence::save(const std::string& path) const {
  require(!impl_->broken, "{}: the sequence was left half written by a failed pass; reset it", path);
  const StateLayout& layout = *impl_->layout;
  std::vector<TensorToWrite> tensors;
  std::deque<RowStore::Copy> copies;
  for (size_t i = 0; i < layout.entries.size(); ++i) {
    const auto& e = layout.entries[i];
    const Store& s = impl_->state.stores[i];
    const Shape shape = stored_shape(e.spec, length());
    const void* data = s.fixed.data();
    if (e.spec.kind == StateSpec::rows) {
      const auto& copy = copies.emplace_back(s.rows.copy());
      data = copy.numbers.data();
      if (layout.kv == DType::i8) {
        tensors.push_back({scales_key(e), DType::f32, {shape[0], shape[1]}, copy.scales.data()});
      }
    } else if (!s.halves.empty()) {
      data = s.halves.data();
    }
    tensors.push_back({e.key(), stored_type(layout, e), shape, data});
  }
  // Bytes last: what follows them would be unaligned.
  std::stable_partition(tensors.begin(), tensors.end(), [](const TensorToWrite& t) { return t.dtype != DType::i8; });
  write_safetensors(path, tensors,
                    {{"format", kFormat},
                     {"length", std::to_string(length())},
                     {"model", layout.fingerprint},
                     {"kv", name_of(layout.kv)},
                     {"recurrent", name_of(layout.recurrent)}});
}

void Sequence::load(const std::string& path) {
  const StateLayout& layout = *impl_->layout;
  const SafeTensors file = SafeTensors::open(path);
  require(metadata_of(file, "format") == kFormat, "{}: is no saved sequence", path);
  require(metadata_of(file, "model") == layout.fingerprint,
          "{}: was saved by another model (it has fingerprint {}, this model {})", path,
          metadata_of(file, "model").substr(0, 40), layout.fingerprint);
  check_type(file, "kv", "keys and values", layout.kv);
  check_type(file, "recurrent", "recurrent states", layout.recurrent);
  // Filled beside the present state: what throws leaves the sequence as it was.
  SequenceState state(layout);
  const int64_t length = length_of(file, layout.max_length);
  for (size_t i = 0; i < layout.entries.size(); ++i) {
    const auto& e = layout.entries[i];
    const Shape shape = stored_shape(e.spec, length);
    const auto bytes = stored_bytes(file, e.key(), stored_type(layout, e), shape);
    Store& s = state.stores[i];
    if (e.spec.kind == StateSpec::rows) {
      RowBlock rows{bytes.data(), nullptr, shape[1]};
      if (layout.kv == DType::i8) {
        rows.scales =
            reinterpret_cast<const float*>(stored_bytes(file, scales_key(e), DType::f32, {shape[0], shape[1]}).data());
      }
      s.rows.reset(length - shape[1]);
      s.rows.append(rows);
    } else {
      void* to = s.halves.empty() ? static_cast<void*>(s.fixed.data()) : s.halves.data();
      std::memcpy(to, bytes.data(), bytes.size());
    }
  }
  state.length = length;
  impl_->state = std::move(state);
  impl_->broken = false;
}

void Sequence::fill_synthetic(int64_t length, uint64_t seed) {
  const StateLayout& layout = *impl_->layout;
  require(length >= 0 && length <= layout.max_length, "a sequence of {} tokens does not fit the model's context of {}",
          length, layout.max_length);
  reset();
  for (size_t i = 0; i < layout.entries.size(); ++i) {
    Store& s = impl_->state.stores[i];
    Rng rng(mix64(seed + i), "synthetic");
    const auto draw = [&] { return static_cast<float>(rng.uniform() - 0.5); };
    for (float& x : s.fixed) x = 0.1f * draw();
    for (bf16& x : s.halves) x = to_bf16(0.1f * draw());
    if (layout.entries[i].spec.kind == StateSpec::rows) append_random(s.rows, length, draw);
  }
  impl_->state.length = length;
}

std::vector<float> Sequence::read(int layer, const std::string& name) const {
  const StateLayout& layout = *impl_->layout;
  for (size_t i = 0; i < layout.entries.size(); ++i) {
    if (layout.entries[i].layer != layer || layout.entries[i].name != name) continue;
    const Store& s = impl_->state.stores[i];
    if (layout.entries[i].spec.kind == StateSpec::rows) return s.rows.floats();
    if (s.halves.empty()) return s.fixed;
    std::vector<float> values;
    for (const bf16 h : s.halves) values.push_back(to_float(h));
    return values;
  }
  fail("layer {} has no state '{}'", layer, name);
}

}  // namespace jet
