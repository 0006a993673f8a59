#include "jet/model/gguf_tensors.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "jet/model/finite.h"
#include "jet/model/quantize.h"
#include "jet/tensor/quant.h"

namespace jet {
namespace {

constexpr int64_t kPartValues = 1 << 22;  // of a part that is in memory at once

/// A tensor as rows, in our order: of whole blocks, or of single numbers where a vector has an order.
class GgufRows {
 public:
  explicit GgufRows(const GgufJob& job) : job_(job), type_(*job.from->type) {
    const Shape& shape = job.from->shape;
    width_ = shape.size() == 1 && !job.rows.empty() ? 1 : shape.back();
    count_ = job.rows.empty() ? numel(shape) / width_ : static_cast<int64_t>(job.rows.size());
    row_bytes_ = width_ / type_.columns * type_.bytes;
  }
  int64_t count() const { return count_; }
  int64_t columns() const { return width_; }
  /// A row as it lies: columns in the file's order.
  const std::byte* at(int64_t row) const {
    return job_.from->bytes.data() + (job_.rows.empty() ? row : job_.rows[row]) * row_bytes_;
  }
  /// Rows from `first` on, `n` of them, as floats.
  void floats(int64_t first, int64_t n, float* out) const {
    std::vector<float> row(job_.columns.empty() ? 0 : width_);
    for (int64_t r = first; r < first + n; ++r, out += width_) {
      ggml_decode(type_, at(r), width_ / type_.columns, row.empty() ? out : row.data());
      for (size_t c = 0; c < row.size(); ++c) out[c] = row[job_.columns[c]];
      for (int64_t c = 0; c < width_; ++c) {
        if (job_.numbers == GgufNumbers::minus_one) out[c] -= 1;
        if (job_.numbers == GgufNumbers::log_negative) out[c] = std::log(-out[c]);
      }
    }
  }
  void copy(int64_t first, int64_t n, std::byte* out) const {
    for (int64_t r = first; r < first + n; ++r, out += row_bytes_) std::copy_n(at(r), row_bytes_, out);
  }

 private:
  const GgufJob& job_;
  const GgmlType& type_;
  int64_t count_ = 0, width_ = 0, row_bytes_ = 0;
};

/// Whether columns stay together by groups, so that blocks of one group can be taken as they are.
bool groups_stay(const std::vector<int64_t>& columns) {
  for (size_t c = 0; c < columns.size(); ++c) {
    const size_t in_group = c % kGgmlGroup;
    if (columns[c] != columns[c - in_group] + static_cast<int64_t>(in_group)) return false;
    if (in_group == 0 && columns[c] % kGgmlGroup != 0) return false;
  }
  return true;
}

bool fits(const GgmlType& t, DType packed) {
  if (!t.codes) return false;
  return packed == DType::q8 ? t.code_high <= 127 : t.code_low >= -8 && t.code_high <= 7;
}

/// Whether no code of the tensor is -128, which int8 has no place for: Q8_0 has one, but its makers never write it.
bool codes_fit(const GgufTensor& t) {
  if (t.type->code_low >= -127) return true;
  const auto* block = reinterpret_cast<const uint8_t*>(t.bytes.data());
  bool fit = true;
  for (const auto* end = block + t.bytes.size(); block < end && fit; block += t.type->bytes) {
    for (const int8_t c : t.type->codes(block).codes) fit = fit && c != -128;
  }
  release_pages(t.bytes);
  return fit;
}

DType plain_type(const GgufJob& job) {
  if (job.numbers != GgufNumbers::same) return DType::f32;
  const auto plain = job.from->type->plain;
  if (!job.columns.empty() && plain == DType::f16) return DType::f32;  // numbers that change places pass as fp32
  return plain.value_or(job.spec.is_matrix() ? DType::bf16 : DType::f32);
}

/// A panel of a matrix: codes as they are, or those of the best scales.
void pack_panel(const GgufJob& job, const GgufRows& rows, int64_t panel, uint8_t* packed, f16* scales) {
  const int64_t first = panel * kPanelRows, n = std::min(kPanelRows, rows.count() - first), columns = rows.columns();
  if (!job.by_codes()) {
    std::vector<float> values(n * columns);
    rows.floats(first, n, values.data());
    require_finite(DType::f32, std::as_bytes(std::span(values)), job.from->name, job.path);
    return quantize_panel(job.to, values.data(), n, columns, packed, scales);
  }
  const GgmlType& t = *job.from->type;
  const int64_t group_bytes = packed_bytes(job.to, kPanelRows, kGroupColumns);
  for (int64_t row = 0; row < kPanelRows; ++row) {
    const auto* block = row < n ? reinterpret_cast<const uint8_t*>(rows.at(first + row)) : nullptr;
    for (int64_t g = 0; g < columns / kGroupColumns; ++g) {
      const int64_t from = job.columns.empty() ? g : job.columns[g * kGroupColumns] / kGroupColumns;
      const GgmlCodes codes = block ? t.codes(block + from * t.bytes) : GgmlCodes{};
      scales[g * kPanelRows + row] = codes.scale;
      pack_group(job.to, codes.codes.data(), row, packed + g * group_bytes);
    }
  }
}

void write_packed(const GgufJob& job, const GgufRows& rows, ThreadPool& pool, ShardedSafeTensorsWriter& file) {
  const int64_t panels = panels_of(rows.count()), columns = rows.columns();
  const int64_t panel_bytes = packed_bytes(job.to, kPanelRows, columns),
                panel_scales = scale_count(kPanelRows, columns);
  const int64_t at_once = std::max<int64_t>(1, kPartValues / (kPanelRows * columns));
  std::vector<f16> scales(panels * panel_scales);
  std::vector<uint8_t> packed;
  for (int64_t begin = 0; begin < panels; begin += at_once) {
    const int64_t n = std::min(at_once, panels - begin);
    packed.resize(n * panel_bytes);
    pool.parallel_for(n, 1, [&](int64_t from, int64_t to) {
      for (int64_t p = from; p < to; ++p)
        pack_panel(job, rows, begin + p, &packed[p * panel_bytes], &scales[(begin + p) * panel_scales]);
    });
    file.write(std::as_bytes(std::span(packed)));
  }
  require_finite(DType::f16, std::as_bytes(std::span(scales)), job.from->name, job.path);
  file.write(std::as_bytes(std::span(scales)));
}

/// GgufRows [first, first + n) in the job's type.
void convert_rows(const GgufJob& job, const GgufRows& rows, int64_t first, int64_t n, std::byte* out) {
  const bool as_it_is = job.columns.empty() && job.numbers == GgufNumbers::same;
  if (job.from->type->plain == job.to && as_it_is) return rows.copy(first, n, out);
  const int64_t values = n * rows.columns();
  if (job.to == DType::f32) return rows.floats(first, n, reinterpret_cast<float*>(out));
  std::vector<float> wide(values);
  rows.floats(first, n, wide.data());
  std::transform(wide.begin(), wide.end(), reinterpret_cast<bf16*>(out), to_bf16);
}

void write_plain(const GgufJob& job, const GgufRows& rows, ThreadPool& pool, ShardedSafeTensorsWriter& file) {
  const int64_t columns = rows.columns(), row_bytes = columns * static_cast<int64_t>(size_of(job.to));
  const int64_t at_once = std::max<int64_t>(1, kPartValues / columns), grain = std::max<int64_t>(1, 4096 / columns);
  std::vector<float> words;  // aligned for every type
  for (int64_t begin = 0; begin < rows.count(); begin += at_once) {
    const int64_t n = std::min(at_once, rows.count() - begin);
    words.resize((n * row_bytes + 3) / 4);
    const auto part = std::as_writable_bytes(std::span(words)).first(n * row_bytes);
    pool.parallel_for(n, grain, [&](int64_t from, int64_t to) {
      convert_rows(job, rows, begin + from, to - from, part.data() + from * row_bytes);
    });
    require_finite(job.to, part, job.from->name, job.path);
    file.write(part);
  }
}

}  // namespace

namespace {

/// n numbers from `first` on.
std::vector<int64_t> stretch(int64_t first, int64_t n) {
  std::vector<int64_t> list(n);
  std::iota(list.begin(), list.end(), first);
  return list;
}

/// Where n rows of `heads` V heads are, in order of their K heads here and in turns in the file.
std::vector<int64_t> v_order(const GatedDeltaNet::Config& c, int64_t first, int64_t n) {
  std::vector<int64_t> list;
  const int64_t rows = n / c.v_heads, shared = c.v_heads / c.heads;
  for (int64_t head = 0; head < c.v_heads; ++head) {
    const int64_t source = head % shared * c.heads + head / shared;
    for (int64_t r = 0; r < rows; ++r) list.push_back(first + source * rows + r);
  }
  return list;
}

std::vector<int64_t> halves_order(int64_t head_dim, int64_t n) {
  std::vector<int64_t> list;
  const int64_t half = head_dim / 2;
  for (int64_t r = 0; r < n; ++r) {
    const int64_t in_head = r % head_dim;
    list.push_back(r - in_head + in_head % half * 2 + in_head / half);
  }
  return list;
}

}  // namespace

void choose_order(GgufJob& job, GgufOrder order, const MixerSpec& mixer) {
  if (order == GgufOrder::same) return;
  const Shape& shape = job.from->shape;
  const int64_t rows = shape[0];
  const auto sizes_are = [&](bool good) {
    require(good, "{}: tensor '{}' is {}, where heads cannot be told apart; convert the model again", job.path,
            job.from->name, to_string(shape));
  };
  if (const auto* a = std::get_if<Attention::Config>(&mixer); a && order == GgufOrder::halves) {
    sizes_are(rows % a->head_dim == 0);
    job.rows = halves_order(a->head_dim, rows);
  }
  const auto* c = std::get_if<GatedDeltaNet::Config>(&mixer);
  if (!c) return;
  const QkvChannels n = c->channels();
  const bool parts = order == GgufOrder::q_rows || order == GgufOrder::k_rows || order == GgufOrder::v_rows;
  sizes_are(!parts || rows == n.q + n.k + n.v);
  if (order == GgufOrder::q_rows) job.rows = stretch(0, n.q);
  if (order == GgufOrder::k_rows) job.rows = stretch(n.q, n.k);
  if (order == GgufOrder::v_rows) job.rows = v_order(*c, n.q + n.k, n.v);
  if (c->v_heads == c->heads) return;  // in order already
  if (order == GgufOrder::v_heads) {
    sizes_are(rows % c->v_heads == 0);
    job.rows = v_order(*c, 0, rows);
  } else if (order == GgufOrder::v_columns) {
    sizes_are(shape.back() % c->v_heads == 0);
    job.columns = v_order(*c, 0, shape.back());
  }
}

bool GgufJob::by_codes() const { return is_quantized(to) && exact; }

void choose_type(GgufJob& job, std::optional<DType> wanted) {
  const GgmlType& t = *job.from->type;
  const bool has_codes = job.spec.is_matrix() && t.codes && groups_stay(job.columns) && codes_fit(*job.from);
  const DType plain = plain_type(job), packed = has_codes && fits(t, DType::q4) ? DType::q4 : DType::q8;
  if (!wanted) {
    job.to = has_codes ? packed : plain;
  } else if (*wanted == DType::f32) {
    job.to = DType::f32;
  } else {
    job.to = job.spec.is_matrix() ? stored_type(job.spec, *wanted, plain) : plain;
  }
  job.exact = is_quantized(job.to) ? has_codes && fits(t, job.to) : job.to == DType::f32 || t.plain == job.to;
}

std::vector<TensorToWrite> written_tensors(const GgufJob& job) {
  const Shape& shape = job.spec.shape;
  if (!is_quantized(job.to)) return {{job.name, job.to, shape}};
  return {{job.name, DType::u8, {packed_bytes(job.to, shape[0], shape[1])}},
          {job.name + ".scales", DType::f16, {panels_of(shape[0]), shape[1] / kGroupColumns, kPanelRows}}};
}

void write_job(const GgufJob& job, ThreadPool& pool, ShardedSafeTensorsWriter& file) {
  const GgufRows rows(job);
  if (is_quantized(job.to)) {
    write_packed(job, rows, pool, file);
  } else {
    write_plain(job, rows, pool, file);
  }
  release_pages(job.from->bytes);
}

}  // namespace jet
