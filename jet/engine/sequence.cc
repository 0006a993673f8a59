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

/// Random numbers of one state: `count` rows, or all of a fixed state.
StateCopy random_numbers(const StateLayout& layout, const StateLayout::Entry& e, int64_t count, Rng& rng) {
  const bool is_rows = e.spec.kind == StateSpec::rows;
  const DType type = layout.type(e);
  StateCopy made;
  made.count = count;
  made.numbers.resize((is_rows ? count : 1) * numel(e.spec.shape) * size_of(type));
  for (size_t at = 0; at < made.numbers.size(); at += size_of(type)) {
    const float x = static_cast<float>(rng.uniform() - 0.5) * (is_rows ? 1 : 0.1f);
    const bf16 half = to_bf16(x);
    const auto byte = static_cast<int8_t>(100 * x);
    const void* from = type == DType::bf16 ? static_cast<const void*>(&half) : &x;
    std::memcpy(made.numbers.data() + at, type == DType::i8 ? &byte : from, size_of(type));
  }
  if (type == DType::i8) made.scales.assign(count * e.spec.shape[0], 0.01f);
  return made;
}

/// A state as fp32, rows one after another: [kept, heads, dim].
std::vector<float> floats(const StateLayout& layout, const StateLayout::Entry& e, const StateCopy& copy) {
  const bool is_rows = e.spec.kind == StateSpec::rows;
  const DType type = layout.type(e);
  const int64_t n = is_rows ? copy.count : 1, heads = is_rows ? e.spec.shape[0] : 1, dim = numel(e.spec.shape) / heads;
  std::vector<float> values(n * heads * dim);
  for (int64_t i = 0; i < static_cast<int64_t>(values.size()); ++i) {
    const int64_t from = (i / dim % heads * n + i / dim / heads) * dim + i % dim;  // [heads, kept, dim]
    const std::byte* at = copy.numbers.data() + from * static_cast<int64_t>(size_of(type));
    switch (type) {
      case DType::bf16: values[i] = to_float(*reinterpret_cast<const bf16*>(at)); break;
      case DType::i8: values[i] = copy.scales[from / dim] * static_cast<float>(static_cast<int8_t>(*at)); break;
      default: values[i] = *reinterpret_cast<const float*>(at);
    }
  }
  return values;
}

}  // namespace

Sequence::Sequence(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Sequence::~Sequence() = default;

int64_t Sequence::length() const { return impl_->state->length; }
int64_t Sequence::bytes() const { return impl_->state->bytes(); }

void Sequence::reset() {
  impl_->state->reset();
  impl_->broken = false;
}

void Sequence::reserve(int64_t tokens) {
  if (tokens > length()) impl_->state->reserve(tokens - length());
}

std::unique_ptr<Sequence> Sequence::fork() const {
  return std::unique_ptr<Sequence>(new Sequence(std::make_unique<Impl>(Impl{impl_->state->copy(), impl_->broken})));
}

void Sequence::save(const std::string& path) const {
  require(!impl_->broken, "{}: the sequence was left half written by a failed pass; reset it", path);
  const StateLayout& layout = *impl_->state->layout;
  std::vector<TensorToWrite> tensors;
  std::deque<StateCopy> copies;
  for (size_t i = 0; i < layout.entries.size(); ++i) {
    const auto& e = layout.entries[i];
    const StateCopy& copy = copies.emplace_back(impl_->state->read(i));
    const Shape shape = StateLayout::shape(e, length());
    if (layout.type(e) == DType::i8) {
      tensors.push_back({scales_key(e), DType::f32, {shape[0], shape[1]}, copy.scales.data()});
    }
    tensors.push_back({e.key(), layout.type(e), shape, copy.numbers.data()});
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
  const StateLayout& layout = *impl_->state->layout;
  const SafeTensors file = SafeTensors::open(path);
  require(metadata_of(file, "format") == kFormat, "{}: is no saved sequence", path);
  require(metadata_of(file, "model") == layout.fingerprint,
          "{}: was saved by another model (it has fingerprint {}, this model {})", path,
          metadata_of(file, "model").substr(0, 40), layout.fingerprint);
  check_type(file, "kv", "keys and values", layout.kv);
  check_type(file, "recurrent", "recurrent states", layout.recurrent);
  // Filled beside the present state: what throws leaves the sequence as it was.
  auto state = impl_->state->create();
  state->length = length_of(file, layout.max_length);
  for (size_t i = 0; i < layout.entries.size(); ++i) {
    const auto& e = layout.entries[i];
    const Shape shape = StateLayout::shape(e, state->length);
    StateBlock block{.numbers = stored_bytes(file, e.key(), layout.type(e), shape).data()};
    if (e.spec.kind == StateSpec::rows) block.count = shape[1];
    if (layout.type(e) == DType::i8) {
      const auto scales = stored_bytes(file, scales_key(e), DType::f32, {shape[0], shape[1]});
      block.scales = reinterpret_cast<const float*>(scales.data());
    }
    state->write(i, state->length - block.count, block);
  }
  impl_->state = std::move(state);
  impl_->broken = false;
}

void Sequence::fill_synthetic(int64_t length, uint64_t seed) {
  const StateLayout& layout = *impl_->state->layout;
  require(length >= 0 && length <= layout.max_length, "a sequence of {} tokens does not fit the model's context of {}",
          length, layout.max_length);
  constexpr int64_t kBlock = 256, kRoom = 256;  // room: the first steps after it must not double the store
  reset();
  reserve(length + kRoom);
  for (size_t i = 0; i < layout.entries.size(); ++i) {
    const auto& e = layout.entries[i];
    Rng rng(mix64(seed + i), "synthetic");
    // One block of rows over and over, a window's at once.
    const bool is_rows = e.spec.kind == StateSpec::rows;
    const int64_t kept = is_rows ? StateLayout::shape(e, length)[1] : 0;
    const StateCopy random = random_numbers(layout, e, e.grows() ? std::min(kBlock, kept) : kept, rng);
    StateBlock block = random.block();
    if (!is_rows) impl_->state->write(i, 0, block);
    for (int64_t left = kept; left > 0; left -= block.count) {
      block.count = std::min(block.count, left);
      impl_->state->write(i, length - left, block);
    }
  }
  impl_->state->length = length;
}

std::vector<float> Sequence::read(int layer, const std::string& name) const {
  const StateLayout& layout = *impl_->state->layout;
  for (size_t i = 0; i < layout.entries.size(); ++i) {
    if (layout.entries[i].layer == layer && layout.entries[i].name == name) {
      return floats(layout, layout.entries[i], impl_->state->read(i));
    }
  }
  fail("layer {} has no state '{}'", layer, name);
}

}  // namespace jet
