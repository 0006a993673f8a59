// A saved sequence is a safetensors file: a tensor "layers.<i>.<name>" for each state (rows as [kept, ...shape], oldest
// first), and metadata {"format": "jet sequence", "length", "model": the fingerprint, "kv": the rows' type}.
#include "jet/engine/sequence.h"

#include <charconv>
#include <cstring>

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
  if (spec.kind == StateSpec::fixed) return spec.shape;
  Shape s = spec.shape;
  s.insert(s.begin(), spec.window > 0 ? std::min<int64_t>(spec.window, length) : length);
  return s;
}

/// Brings an empty store to `length` rows: one block of random rows, over and over.
template <class Draw>
void append_random(RowStore& rows, int64_t length, Draw&& draw) {
  constexpr int64_t kBlock = 256, kRoom = 256;  // room: the first steps after it must not double the store
  const bool is_bf16 = rows.dtype() == DType::bf16;
  std::vector<std::byte> block(std::min(kBlock, length) * rows.row_bytes());
  for (size_t at = 0; at < block.size(); at += size_of(rows.dtype())) {
    const float x = draw();
    const bf16 b = to_bf16(x);
    std::memcpy(block.data() + at, is_bf16 ? static_cast<const void*>(&b) : &x, size_of(rows.dtype()));
  }
  rows.reserve(length + kRoom);
  while (rows.total() < length) rows.append(block.data(), std::min(kBlock, length - rows.total()));
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

std::unique_ptr<Sequence> Sequence::fork() const {
  return std::unique_ptr<Sequence>(new Sequence(std::make_unique<Impl>(*impl_)));
}

void Sequence::save(const std::string& path) const {
  require(!impl_->broken, "{}: the sequence was left half written by a failed pass; reset it", path);
  const StateLayout& layout = *impl_->layout;
  std::vector<TensorToWrite> tensors;
  std::vector<std::vector<std::byte>> copies;
  for (size_t i = 0; i < layout.entries.size(); ++i) {
    const auto& e = layout.entries[i];
    const Store& s = impl_->state.stores[i];
    const bool is_fixed = e.spec.kind == StateSpec::fixed;
    const void* data = is_fixed ? static_cast<const void*>(s.fixed.data()) : copies.emplace_back(s.rows.copy()).data();
    tensors.push_back({e.key(), is_fixed ? DType::f32 : layout.kv, stored_shape(e.spec, length()), data});
  }
  write_safetensors(path, tensors,
                    {{"format", kFormat},
                     {"length", std::to_string(length())},
                     {"model", layout.fingerprint},
                     {"kv", name_of(layout.kv)}});
}

void Sequence::load(const std::string& path) {
  const StateLayout& layout = *impl_->layout;
  const SafeTensors file = SafeTensors::open(path);
  require(metadata_of(file, "format") == kFormat, "{}: is no saved sequence", path);
  require(metadata_of(file, "model") == layout.fingerprint,
          "{}: was saved by another model (it has fingerprint {}, this model {})", path,
          metadata_of(file, "model").substr(0, 40), layout.fingerprint);
  require(metadata_of(file, "kv") == name_of(layout.kv), "{}: holds keys and values in {}, this engine keeps {}", path,
          metadata_of(file, "kv").substr(0, 40), name_of(layout.kv));
  // Filled beside the present state: what throws leaves the sequence as it was.
  SequenceState state(layout);
  const int64_t length = length_of(file, layout.max_length);
  for (size_t i = 0; i < layout.entries.size(); ++i) {
    const auto& e = layout.entries[i];
    const StoredTensor& t = file.at(e.key());
    const Shape shape = stored_shape(e.spec, length);
    const DType dtype = e.spec.kind == StateSpec::fixed ? DType::f32 : layout.kv;
    require(t.shape == shape && t.dtype == dtype, "{}: '{}' is {} {}, expected {} {}", path, e.key(), name_of(t.dtype),
            to_string(t.shape), name_of(dtype), to_string(shape));
    Store& s = state.stores[i];
    if (e.spec.kind == StateSpec::fixed) {
      std::memcpy(s.fixed.data(), t.bytes.data(), t.bytes.size());
    } else {
      s.rows.reset(length - shape[0]);
      s.rows.append(t.bytes.data(), shape[0]);
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
    if (layout.entries[i].spec.kind == StateSpec::rows) append_random(s.rows, length, draw);
  }
  impl_->state.length = length;
}

std::vector<float> Sequence::read(int layer, const std::string& name) const {
  const StateLayout& layout = *impl_->layout;
  for (size_t i = 0; i < layout.entries.size(); ++i) {
    if (layout.entries[i].layer != layer || layout.entries[i].name != name) continue;
    const Store& s = impl_->state.stores[i];
    if (layout.entries[i].spec.kind == StateSpec::fixed) return s.fixed;
    const std::vector<std::byte> bytes = s.rows.copy();
    return to_floats({name, layout.kv, {}, bytes});
  }
  fail("layer {} has no state '{}'", layer, name);
}

}  // namespace jet
