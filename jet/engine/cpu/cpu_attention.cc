// Attention of a pass. A segment's own keys and values are first written as the cache holds them (a chunk must see its
// keys rounded as the next chunk will, or splits would differ), attended to behind the kept ones, then appended.
//
// Work is cut into parts that threads take one by one: heads, blocks of a prompt's tokens, and, where one token looks
// back far, stretches of its keys. The outputs o_i of stretches with softmax denominators e^(L_i) merge exactly:
//   o = sum_i e^(L_i - L) o_i,   L = log sum_i e^(L_i)
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

#include "jet/engine/cpu/cpu_ops.h"
#include "jet/model/count_ops.h"

namespace jet {

namespace {

constexpr int64_t kQueriesAPart = 64, kKeysAPart = 512;
// For 64 threads to have some each. Where keys are cut does not depend on how many there are: sums, and so the text of
// a seed, are the same on any number. Invariant passes do not cut, as the number of sequences in them would matter.
constexpr int64_t kPartsAPass = 256;

/// Numbers of one row and head as i8; returns their scale.
float to_i8(const float* x, int64_t n, int8_t* to) {
  float most = 0;
  for (int64_t c = 0; c < n; ++c) most = std::max(most, std::abs(x[c]));
  const float inverse = most > 0 ? 127.0f / most : 0.0f;
  for (int64_t c = 0; c < n; ++c) to[c] = static_cast<int8_t>(std::lrint(x[c] * inverse));
  return most / 127.0f;
}

}  // namespace

/// x [rows, heads, dim] in the cache's type and order, a StateBlock a segment.
CpuOps::FreshRows CpuOps::fresh_rows(const Tensor& x, DType dtype) {
  const int64_t heads = x.dims.outer, dim = x.dims.inner, size = static_cast<int64_t>(size_of(dtype));
  FreshRows fresh{arena_.take((x.rows * heads * dim * size + 3) / 4), {}, heads, dim * size};
  if (dtype == DType::i8) fresh.scales = arena_.take(x.rows * heads);
  for (const Segment& s : segments_) {
    auto* to = reinterpret_cast<std::byte*>(fresh.numbers.data()) + s.first * heads * dim * size;
    parallel(s.rows * heads, dim, kPartNumbers, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const float* row = x.row(s.first + i % s.rows) + i / s.rows * dim;
        std::byte* out = to + i * dim * size;
        if (dtype == DType::f32) {
          std::memcpy(out, row, dim * sizeof(float));
        } else if (dtype == DType::bf16) {
          for (int64_t c = 0; c < dim; ++c) reinterpret_cast<bf16*>(out)[c] = to_bf16(row[c]);
        } else {
          fresh.scales.data()[s.first * heads + i] = to_i8(row, dim, reinterpret_cast<int8_t*>(out));
        }
      }
    });
  }
  return fresh;
}

StateBlock CpuOps::FreshRows::block(const Segment& s) const {
  return {reinterpret_cast<const std::byte*>(numbers.data()) + s.first * heads * row_bytes,
          scales ? scales.data() + s.first * heads : nullptr, s.rows};
}

/// Appends to `spans` what `part` sees: the kept rows, then the segment's own.
int CpuOps::key_spans(const AttendPart& part, const AttendRows& r, KeySpan (&spans)[3]) const {
  const RowStore &keys = rows(*part.segment, r.keys), &values = rows(*part.segment, r.values);
  const int64_t head = part.head;
  int n = 0;
  int64_t at = 0;  // of the next span, counted from the oldest kept row
  const auto add = [&](int64_t count, auto&& span_from) {
    const int64_t begin = std::max(part.key_begin - at, int64_t{0}), end = std::min(part.key_end - at, count);
    if (begin < end) {
      spans[n] = span_from(begin);
      spans[n++].count = end - begin;
    }
    at += count;
  };
  RowStore::Range kept[2];
  const int ranges = keys.ranges(kept);
  for (int i = 0; i < ranges; ++i) {
    add(kept[i].count, [&](int64_t begin) {
      const int64_t row = kept[i].begin + begin;
      return KeySpan{keys.numbers(head, row), values.numbers(head, row), 0, keys.scales(head, row),
                     values.scales(head, row)};
    });
  }
  const StateBlock k = r.fresh_keys.block(*part.segment), v = r.fresh_values.block(*part.segment);
  add(k.count, [&](int64_t begin) {
    const int64_t row = head * k.count + begin, byte = row * r.fresh_keys.row_bytes;
    return KeySpan{k.numbers + byte, v.numbers + byte, 0, k.scales ? k.scales + row : nullptr,
                   v.scales ? v.scales + row : nullptr};
  });
  return n;
}

/// The parts of a pass. Where a token's keys are cut, all its parts write to `partial`, [group * dim] and then [group]
/// log sums each, one after the other.
void CpuOps::attend_parts(const AttendRows& r, int64_t kv_heads, int window, int64_t partial_floats) {
  parts_.clear();
  int64_t busy = 0, cuts = 0;
  for (const Segment& s : segments_) busy += kv_heads * ((s.rows + kQueriesAPart - 1) / kQueriesAPart);
  const int64_t wanted = (kPartsAPass + busy - 1) / busy;  // stretches a head
  const int64_t block = std::max<int64_t>(1, kQueriesAPart / r.group);
  for (const Segment& s : segments_) {
    const int64_t kept = rows(s, r.keys).kept(), oldest = s.start - kept;
    for (int64_t h = 0; h < kv_heads; ++h) {
      if (s.rows > 1 || invariant_) {
        for (int64_t t = 0; t < s.rows; t += block) {
          parts_.push_back({&s, h, t, std::min(block, s.rows - t), 0, kept + s.rows, -1});
        }
        continue;
      }
      const int64_t begin = window > 0 ? std::max<int64_t>(0, s.start - window + 1 - oldest) : 0, end = kept + 1;
      const int64_t n = std::clamp<int64_t>((end - begin) / kKeysAPart, 1, wanted);
      for (int64_t i = 0; i < n; ++i) {
        const int64_t from = begin + (end - begin) * i / n, to = begin + (end - begin) * (i + 1) / n;
        parts_.push_back({&s, h, 0, 1, from, to, n > 1 ? cuts++ * partial_floats : -1});
      }
    }
  }
  partial_ = cuts > 0 ? arena_.take(cuts * partial_floats) : Buffer();
}

/// Puts the stretches of every cut token together.
void CpuOps::merge_parts(const Tensor& out, int64_t group, int64_t dim) const {
  for (size_t i = 0; i < parts_.size();) {
    size_t end = i + 1;
    while (end < parts_.size() && parts_[end].segment == parts_[i].segment && parts_[end].head == parts_[i].head) ++end;
    for (int64_t q = 0; q < group && parts_[i].partial >= 0; ++q) {
      const auto log_sum = [&](size_t p) { return partial_.data()[parts_[p].partial + group * dim + q]; };
      float top = log_sum(i), total = 0;
      for (size_t p = i; p < end; ++p) top = std::max(top, log_sum(p));
      for (size_t p = i; p < end; ++p) total += std::exp(log_sum(p) - top);
      float* to = out.row(parts_[i].segment->first) + (parts_[i].head * group + q) * dim;
      std::fill(to, to + dim, 0.0f);
      for (size_t p = i; p < end; ++p) {
        const float weight = std::exp(log_sum(p) - top) / total;
        const float* from = partial_.data() + parts_[p].partial + q * dim;
        for (int64_t c = 0; c < dim; ++c) to[c] += weight * from[c];
      }
    }
    i = end;
  }
}

CpuTensor CpuOps::attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionShape& shape, State keys,
                            State values) {
  const int64_t kv_heads = k.dims.outer, dim = k.dims.inner, group = q.dims.outer / kv_heads;
  const DType dtype = rows(segments_.front(), keys).dtype();
  Tensor out = make(q.rows, q.dims);
  require(q.stride == out.stride, "attention: queries must be contiguous");
  double pairs = 0, seen = 0;
  for (const Segment& s : segments_) {
    pairs += visible_pairs(s.start, s.rows, shape.window);
    seen += static_cast<double>(rows(s, keys).kept() + s.rows);
  }
  const OpMeter::Scope scope(meter_, shape.window > 0 ? "window attention" : "attention",
                             2 * seen * static_cast<double>(rows(segments_.front(), keys).row_bytes()),
                             4 * pairs * static_cast<double>(q.dims.count()));

  const AttendRows r{keys, values, fresh_rows(k, dtype), fresh_rows(v, dtype), group};
  attend_parts(r, kv_heads, shape.window, group * (dim + 1));
  const auto attend = [&](const AttendPart& part) {
    const Segment& s = *part.segment;
    KeySpan spans[3];
    const int n_spans = key_spans(part, r, spans);
    const int64_t at = part.head * group * dim;
    float* partial = part.partial >= 0 ? partial_.data() + part.partial : nullptr;
    kernels_.attend({.q = q.row(s.first + part.token) + at,
                     .out = partial ? partial : out.row(s.first + part.token) + at,
                     .q_stride = q.stride,
                     .tokens = part.tokens,
                     .group = group,
                     .dim = dim,
                     .scale = shape.scale,
                     .window = shape.window,
                     .first_query = s.start + part.token,
                     .first_key = s.start - rows(s, keys).kept() + part.key_begin,
                     .dtype = dtype,
                     .spans = spans,
                     .n_spans = n_spans,
                     .log_sum = partial ? partial + group * dim : nullptr,
                     .invariant = invariant_});
  };
  // Parts differ in length (later queries see more keys): the longest first, each thread takes the next when it is
  // free.
  std::atomic<int64_t> next{0};
  const auto n = static_cast<int64_t>(parts_.size());
  const auto products = static_cast<int64_t>(pairs * static_cast<double>(q.dims.count()));
  parallel(std::clamp<int64_t>(products / kPartProducts, 1, std::min<int64_t>(n, pool_.size())), 1, 1,
           [&](int64_t, int64_t) {
             for (int64_t i; (i = next.fetch_add(1)) < n;) attend(parts_[n - 1 - i]);
           });
  merge_parts(out, group, dim);
  for (const Segment& s : segments_) {
    rows(s, keys).append(r.fresh_keys.block(s));
    rows(s, values).append(r.fresh_values.block(s));
  }
  return out;
}

}  // namespace jet
