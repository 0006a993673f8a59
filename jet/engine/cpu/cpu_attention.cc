// Attention of a pass. A segment's own keys and values are first written as the cache holds them (a chunk must see its
// keys rounded as the next chunk will, or splits would differ), attended to behind the kept ones, then appended.
//
// Work is cut into parts that threads take one by one: heads, blocks of a prompt's tokens, and, where one token looks
// back far, stretches of its keys; the sinks before a window are a stretch of their own:
//
//   | sinks | ..... | (t - window, t] |      token t sees of the sinks those up to t - window, as if it stood there
//
// The outputs o_i of stretches with softmax denominators e^(L_i) merge exactly:
//   o = sum_i e^(L_i - L) o_i,   L = log sum_i e^(L_i)
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <utility>

#include "jet/engine/cpu/cpu_ops.h"
#include "jet/model/count_ops.h"

namespace jet {

namespace {

// Of queries as many as share what is made of their keys, but a few parts a thread: their lengths differ.
constexpr int64_t kFewQueriesAPart = 64, kMostQueriesAPart = 256, kQueriesABlock = 32, kPartsAThread = 3;
constexpr int64_t kKeysAPart = 512;
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

/// What `part` sees: the kept rows, then the segment's own.
void CpuOps::key_spans(const AttendPart& part, const AttendRows& r, std::vector<KeySpan>& spans) const {
  const RowStore &keys = rows(*part.segment, r.keys), &values = rows(*part.segment, r.values);
  const int64_t head = part.head;
  spans.clear();
  keys.for_ranges(part.key_begin, part.key_end, [&](const RowStore::Range& range) {
    const RowBlock &k = keys.block(range.block), &v = values.block(range.block);
    spans.push_back({k.numbers(head, range.at), v.numbers(head, range.at), range.count, k.scales(head, range.at),
                     v.scales(head, range.at)});
  });
  const StateBlock k = r.fresh_keys.block(*part.segment), v = r.fresh_values.block(*part.segment);
  const int64_t start = part.segment->start;
  const int64_t begin = std::max(part.key_begin - start, int64_t{0}), end = std::min(part.key_end - start, k.count);
  if (begin >= end) return;
  const int64_t row = head * k.count + begin, byte = row * r.fresh_keys.row_bytes;
  spans.push_back({k.numbers + byte, v.numbers + byte, end - begin, k.scales ? k.scales + row : nullptr,
                   v.scales ? v.scales + row : nullptr});
}

/// The parts of a pass. Where some tokens' keys are cut, all their parts write to `partial`, [tokens, group, dim] and
/// then [tokens, group] log sums each, one after the other.
void CpuOps::attend_parts(const AttendRows& r, int64_t kv_heads, const AttentionShape& shape, int64_t dim) {
  parts_.clear();
  int64_t busy = 0, partial = 0;
  int64_t queries = 0;
  for (const Segment& s : segments_) {
    busy += kv_heads * ((s.rows + kFewQueriesAPart - 1) / kFewQueriesAPart);
    queries += kv_heads * r.group * s.rows;
  }
  const int64_t wanted = (kPartsAPass + busy - 1) / busy;  // stretches a head
  const int64_t even = queries / (kPartsAThread * pool_.size()) + kQueriesABlock - 1;
  const int64_t most = std::clamp(even / kQueriesABlock * kQueriesABlock, kFewQueriesAPart, kMostQueriesAPart);
  const int64_t block = std::max<int64_t>(1, most / r.group);
  for (const Segment& s : segments_) {
    const int64_t whole_from = rows(s, r.keys).whole_from();
    // Tokens [t, t + n) of a head against keys [begin, end) in some stretches, and their sinks.
    const auto add = [&](int64_t head, int64_t t, int64_t n, int64_t begin, int64_t end, int64_t stretches) {
      const bool sinks = shape.sinks > 0 && s.start + t >= shape.window;
      const auto place = [&] {
        const bool cut = sinks || stretches > 1;
        return cut ? std::exchange(partial, partial + n * r.group * (dim + 1)) : -1;
      };
      for (int64_t i = 0; i < stretches; ++i) {
        const int64_t from = begin + (end - begin) * i / stretches, to = begin + (end - begin) * (i + 1) / stretches;
        parts_.push_back({&s, head, t, n, from, to, place()});
      }
      if (sinks) parts_.push_back({&s, head, t, n, 0, shape.sinks, place(), true});
    };
    const bool one = s.rows == 1 && !invariant_;
    const int64_t end = s.start + s.rows;
    const int64_t begin = one && shape.window > 0 ? std::max<int64_t>(0, s.start - shape.window + 1) : whole_from;
    const int64_t stretches = one ? std::clamp<int64_t>((end - begin) / kKeysAPart, 1, wanted) : 1;
    const int64_t first_with_sinks = shape.window - s.start;  // no part has tokens before and after it
    for (int64_t h = 0; h < kv_heads; ++h) {
      for (int64_t t = 0, n = 0; t < s.rows; t += n) {
        n = std::min(block, s.rows - t);
        if (shape.sinks > 0 && t < first_with_sinks) n = std::min(n, first_with_sinks - t);
        add(h, t, n, begin, end, stretches);
      }
    }
  }
  partial_ = partial > 0 ? arena_.take(partial) : Buffer();
}

/// Puts the stretches of all tokens that are cut together.
void CpuOps::merge_parts(const Tensor& out, int64_t group, int64_t dim) {
  if (!partial_) return;
  const auto is_same = [](const AttendPart& a, const AttendPart& b) {
    return a.segment == b.segment && a.head == b.head && a.token == b.token;
  };
  const auto merge = [&](std::span<const AttendPart> parts) {
    const AttendPart& first = parts.front();
    const int64_t queries = first.tokens * group;
    for (int64_t q = 0; q < queries; ++q) {
      const auto log_sum = [&](const AttendPart& p) { return partial_.data()[p.partial + queries * dim + q]; };
      float top = log_sum(first), total = 0;
      for (const AttendPart& p : parts) top = std::max(top, log_sum(p));
      for (const AttendPart& p : parts) total += std::exp(log_sum(p) - top);
      float* to = out.row(first.segment->first + first.token + q / group) + (first.head * group + q % group) * dim;
      std::fill(to, to + dim, 0.0f);
      for (const AttendPart& p : parts) {
        const float weight = std::exp(log_sum(p) - top) / total;
        const float* from = partial_.data() + p.partial + q * dim;
        for (int64_t c = 0; c < dim; ++c) to[c] += weight * from[c];
      }
    }
  };
  const std::span<const AttendPart> all = parts_;
  parallel(std::ssize(all), kMostQueriesAPart * dim, kPartNumbers, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      if (all[i].partial < 0 || (i > 0 && is_same(all[i - 1], all[i]))) continue;  // whole; or another's
      size_t last = i + 1;
      while (last < all.size() && is_same(all[i], all[last])) ++last;
      merge(all.subspan(i, last - i));
    }
  });
}

CpuTensor CpuOps::attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionShape& shape, State keys,
                            State values) {
  const int64_t kv_heads = k.dims.outer, dim = k.dims.inner, group = q.dims.outer / kv_heads;
  const DType dtype = rows(segments_.front(), keys).dtype();
  Tensor out = make(q.rows, q.dims);
  require(q.stride == out.stride, "attention: queries must be contiguous");
  double pairs = 0, seen = 0;
  for (const Segment& s : segments_) {
    pairs += visible_pairs(s.start, s.rows, shape.reach());
    seen += static_cast<double>(rows(s, keys).kept() + s.rows);
  }
  const OpMeter::Scope scope(meter_, shape.window > 0 ? "window attention" : "attention",
                             2 * seen * static_cast<double>(rows(segments_.front(), keys).row_bytes()),
                             4 * pairs * static_cast<double>(q.dims.count()));

  const AttendRows r{keys, values, fresh_rows(k, dtype), fresh_rows(v, dtype), group};
  attend_parts(r, kv_heads, shape, dim);
  const auto attend = [&](const AttendPart& part) {
    const Segment& s = *part.segment;
    static thread_local std::vector<KeySpan> spans;
    key_spans(part, r, spans);
    const int64_t at = part.head * group * dim;
    float* partial = part.partial >= 0 ? partial_.data() + part.partial : nullptr;
    kernels_.attend({.q = q.row(s.first + part.token) + at,
                     .out = partial ? partial : out.row(s.first + part.token) + at,
                     .q_stride = q.stride,
                     .out_stride = partial ? group * dim : out.stride,
                     .tokens = part.tokens,
                     .group = group,
                     .dim = dim,
                     .scale = shape.scale,
                     .window = part.sinks ? 0 : shape.window,
                     .first_query = s.start + part.token - (part.sinks ? shape.window : 0),
                     .first_key = part.key_begin,
                     .dtype = dtype,
                     .spans = spans.data(),
                     .n_spans = static_cast<int>(spans.size()),
                     .log_sum = partial ? partial + part.tokens * group * dim : nullptr,
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
