// The op set of jet/blocks/op_set.h on CPU cores. A pass is a ragged batch: rows of several sequences one after
// another,
//
//   rows:      | A: 512 tokens | B: 1 | C: 1 |        Segment {sequence, first row, rows, position of the first row}
//
// Row-wise ops do not see segments; attention, recurrences, convolutions and shift walk them and read and write each
// sequence's own stores.
#pragma once

#include <array>
#include <cstring>
#include <functional>
#include <span>
#include <vector>

#include "jet/base/threads.h"
#include "jet/blocks/formula.h"
#include "jet/blocks/op_set.h"
#include "jet/engine/cpu/cpu_state.h"
#include "jet/engine/cpu/cpu_tensor.h"
#include "jet/engine/op_meter.h"
#include "jet/kernels/kernels.h"

namespace jet {

class CpuOps {
 public:
  using Tensor = CpuTensor;
  using Weight = CpuWeight;
  using State = CpuState;
  using Ids = std::span<const int32_t>;

  /// `invariant`: a token's numbers are the same to the bit whatever is in its pass, and however its sequence was cut
  /// into passes; with exact_kernels().
  CpuOps(ThreadPool& pool, Arena& arena, OpMeter& meter, const Kernels& kernels, bool invariant = false)
      : pool_(pool), arena_(arena), meter_(meter), kernels_(kernels), invariant_(invariant) {}
  /// The pass's segments; they must stay until its end.
  void begin(std::span<const Segment> segments);

  Tensor linear(const Tensor& x, const Weight& w, const Weight& bias = {});
  /// act(x gate^T) * (x up^T): some rows of both, which stay in the caches, then their product.
  Tensor gated_linear(Activation act, const Tensor& x, const Weight& gate, const Weight& up);
  Tensor first_of_pass(const Tensor& x);
  Tensor embed(Ids ids, const Weight& w);
  Tensor last_rows(const Tensor& x);
  Tensor heads(const Tensor& x, int64_t n);
  Tensor heads(const Weight& w, int64_t n) { return heads(tensor(w), n); }
  /// A parameter in fp32 as a tensor without tokens.
  static Tensor tensor(const Weight& w);
  Tensor flat(const Tensor& x);
  Tensor slice(const Tensor& x, int64_t begin, int64_t size);
  Tensor repeat_heads(const Tensor& x, int64_t n);
  Tensor rms_norm(const Tensor& x, const Weight& w, float eps);
  Tensor layer_norm(const Tensor& x, float eps);
  Tensor l2_norm(const Tensor& x, float eps);
  Tensor sum_last(const Tensor& x);
  Tensor constant(const std::vector<float>& values);
  Tensor rope(const Tensor& x, const Rope& r);
  Tensor shift(const Tensor& x, State last);
  Tensor short_conv(const Tensor& x, const Weight& w, const Weight& bias, State tail);
  Tensor dynamic_conv(const Tensor& x, const Tensor& kernel, State tail);
  Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionShape& shape, State keys,
                   State values);
  Tensor recurrence(const Recurrence<Tensor>& r, State state);

  /// f over tensors and weights; sizes of 1 and missing leading sizes broadcast.
  template <class F, class... X>
  Tensor map(F f, const X&... x) {
    record<sizeof...(X)>(formula_, f);
    std::array<MapInput, sizeof...(X)> in{input(x)...};
    return map_inputs(formula_, in);
  }
  Tensor map_recorded(const Formula& f, const std::vector<Tensor>& x);

 private:
  struct MapInput {
    const float* data = nullptr;
    int64_t row = 0, outer = 0, inner = 0;  // strides
    int64_t rows = 0;                       // 0: without tokens
    Dims dims;
  };
  struct MapShape {
    int64_t lines = 1, outer = 1, inner = 1;  // rows * outer lines of `inner` numbers
    bool contiguous = false;                  // in every input
  };
  struct RopeTable {
    Rope rope;
    int64_t dim = 0;
    std::vector<double> frequencies;
    Buffer values;  // [rows, dim]: cosines, then sines; made once a pass
  };

  struct FreshRows {
    Buffer numbers, scales;
    int64_t heads = 0, row_bytes = 0;  // of one head
    StateBlock block(const Segment& s) const;
  };
  /// What an attention reads: two stores of every sequence and the pass's own rows.
  struct AttendRows {
    State keys, values;
    FreshRows fresh_keys, fresh_values;
    int64_t group = 1;  // queries a head
  };
  /// Some tokens of a segment against keys [key_begin, key_end) of one head.
  struct AttendPart {
    const Segment* segment;
    int64_t head, token, tokens, key_begin, key_end;
    int64_t partial;     // where in partial_ its output goes; -1: it is whole
    bool sinks = false;  // keys before the tokens' windows
  };
  struct Packed {
    Tensor x;
    int64_t cols = 0;
    DType dtype = DType::f32;
    Buffer data;
  };

  static MapInput input(const Tensor& x) {
    return {x.data, x.tokens ? x.stride : 0, 0, 0, x.tokens ? x.rows : 0, x.dims};
  }
  static MapInput input(const Weight& w) { return {w.floats(), 0, 0, 0, 0, w.dims}; }
  Tensor map_inputs(const Formula& f, std::span<MapInput> in);
  Tensor map_output(std::span<MapInput> in, MapShape& shape);

  // The least a thread is given: some microseconds' work, longer than a waiting thread needs to take it up. With larger
  // parts the matrices of a small model, 64 KiB to 512 KiB of bf16, would be read by one thread.
  static constexpr int64_t kPartProducts = 1 << 15, kPartNumbers = 1 << 13;
  /// f(begin, end) over [0, n) as ThreadPool::parallel_for does, in parts of at least `least` where one of the n is
  /// `each`; by reference, so that nothing is allocated.
  template <class F>
  void parallel(int64_t n, int64_t each, int64_t least, F&& f) {
    pool_.parallel_for(n, least / std::max<int64_t>(1, each), std::ref(f));
  }
  /// f(row of x [inner], row of out) for each line of the last dimension; out's lines hold `width` numbers.
  template <class F>
  Tensor each_line(const Tensor& x, int64_t width, F&& f);

  Tensor make(int64_t rows, Dims dims);
  /// The engine hands in states that its backend made.
  static Store& store(const Segment& s, State state) {
    return static_cast<CpuSequenceState*>(s.state)->stores[state.index];
  }
  static std::vector<float>& fixed(const Segment& s, State state) { return store(s, state).fixed; }
  static RowStore& rows(const Segment& s, State state) { return store(s, state).rows; }
  float* packed(const Tensor& x, const MatmulTask& task);
  const float* rope_values(const Rope& r, int64_t dim);
  Tensor head_slice(const Tensor& x, int64_t begin, int64_t size);
  template <class F>
  Tensor convolve(const Tensor& x, int64_t width, State tail, F&& row);
  FreshRows fresh_rows(const Tensor& x, DType dtype);
  void key_spans(const AttendPart& part, const AttendRows& r, std::vector<KeySpan>& spans) const;
  void attend_parts(const AttendRows& r, int64_t kv_heads, const AttentionShape& shape, int64_t dim);
  void merge_parts(const Tensor& out, int64_t group, int64_t dim);

  ThreadPool& pool_;
  Arena& arena_;
  OpMeter& meter_;
  const Kernels& kernels_;
  const bool invariant_;
  std::span<const Segment> segments_;
  int64_t total_rows_ = 0;
  std::vector<RopeTable> ropes_;
  Packed packed_;
  Tensor first_;
  std::vector<AttendPart> parts_;
  Buffer partial_;
  Formula formula_;  // of the map that runs
};
static_assert(OpSet<CpuOps>);

}  // namespace jet
