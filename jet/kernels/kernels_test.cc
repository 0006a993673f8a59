// Every instruction set's bricks against loops in double.
#include "jet/kernels/kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <utility>
#include <vector>

#include "jet/base/rng.h"
#include "jet/kernels/emulated.h"

namespace jet {
namespace {

std::vector<float> random_floats(int64_t n, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> v(n);
  for (float& x : v) x = static_cast<float>(rng.normal());
  return v;
}

/// As the engine does it: activations in parts of kPackTokens, rows in parts of kRowUnit; scratch starts as NaN.
void run_matmul(const Kernels& kernels, MatmulTask m) {
  std::vector<float> packed(kernels.packed_floats(m), NAN);
  m.packed = packed.data();
  for (int64_t t = 0; t < m.n && !packed.empty(); t += kPackTokens) kernels.pack(m, t, std::min(m.n, t + kPackTokens));
  for (int64_t r = 0; r < m.w.rows; r += 2 * kRowUnit) kernels.matmul(m, r, std::min(m.w.rows, r + 2 * kRowUnit));
}

/// Names of test cases are words.
std::string word(std::string name) {
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

class Bricks : public testing::TestWithParam<const Kernels*> {};
std::vector<const Kernels*> tested_kernels() {
  auto list = all_kernels();
  list.push_back(&kernels_emulated());
  list.push_back(&kernels_emulated_amx());
  return list;
}

INSTANTIATE_TEST_SUITE_P(, Bricks, testing::ValuesIn(tested_kernels()),
                         [](const auto& i) { return word(i.param->name); });

TEST_P(Bricks, MatmulOfEveryType) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
    for (const int64_t n : {1, 2, 3, 4, 5, 9, 17, 50, 200}) {
      if (n > 9 && dtype == DType::f16) continue;
      for (const auto& [rows, cols] :
           {std::pair<int64_t, int64_t>{1, 1}, {3, 5}, {70, 40}, {9, 2100}, {33, 64}, {40, 333}}) {
        auto x = random_floats(n * (cols + 3), 1);
        const auto bias = random_floats(rows, 2);
        // Where pairs of bf16 are multiplied, activations are rounded to bf16: here they are that already.
        for (float& v : x) v = dtype == DType::bf16 ? to_float(to_bf16(v)) : v;
        std::vector<float> w(rows * cols);
        std::vector<uint16_t> half(rows * cols);
        Rng rng(3);
        for (int64_t i = 0; i < rows * cols; ++i) {
          half[i] = static_cast<uint16_t>(rng.next());
          if (dtype == DType::f16) half[i] &= i % 7 == 0 ? 0x83ff : 0xbfff;  // denormals among numbers below 2
          if (dtype == DType::bf16) half[i] = to_bf16(static_cast<float>(rng.normal())).bits;
          w[i] = dtype == DType::f32    ? static_cast<float>(rng.normal())
                 : dtype == DType::bf16 ? to_float(bf16{half[i]})
                                        : to_float(f16{half[i]});
        }
        const void* data = dtype == DType::f32 ? static_cast<const void*>(w.data()) : half.data();
        std::vector<float> out(n * (rows + 1), 777);
        run_matmul(*GetParam(), {.x = x.data(),
                                 .n = n,
                                 .x_stride = cols + 3,
                                 .w = {dtype, data, rows, cols},
                                 .bias = bias.data(),
                                 .out = out.data(),
                                 .out_stride = rows + 1});
        for (int64_t t = 0; t < n; ++t) {
          for (int64_t r = 0; r < rows; ++r) {
            double want = bias[r], size = 1;
            for (int64_t c = 0; c < cols; ++c) {
              want += double{x[t * (cols + 3) + c]} * w[r * cols + c];
              size += std::abs(x[t * (cols + 3) + c] * w[r * cols + c]);
            }
            ASSERT_NEAR(out[t * (rows + 1) + r], want, 2e-6 * size)
                << name_of(dtype) << " " << n << " " << t << "," << r;
          }
          ASSERT_EQ(out[t * (rows + 1) + rows], 777);
        }
      }
    }
  }
}

struct Blocks {
  std::vector<uint8_t> data;
  std::vector<f16> scales;
  std::vector<double> values;  // [rows, cols]
};

/// Random numbers in the layout of tensor/quant.h, written out here once more: what the kernels read is its text.
Blocks random_blocks(DType type, int64_t rows, int64_t cols) {
  Blocks b{std::vector<uint8_t>(packed_bytes(type, rows, cols)), std::vector<f16>(scale_count(rows, cols)),
           std::vector<double>(rows * cols)};
  Rng rng(5);
  for (auto& u : b.data) u = static_cast<uint8_t>(type == DType::q8 ? 1 + rng.below(255) : rng.next());
  for (auto& s : b.scales) s.bits = static_cast<uint16_t>(0x2000 + rng.below(0x800) + (rng.below(2) << 15));
  const int64_t groups = cols / 32;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      const int64_t block = r / 16 * groups + c / 32;
      const double scale = to_float(b.scales[block * 16 + r % 16]);
      if (type == DType::q8) {
        b.values[r * cols + c] = scale * (b.data[block * 512 + c % 32 / 4 * 64 + r % 16 * 4 + c % 4] - 128);
      } else {
        const uint8_t both = b.data[block * 256 + c % 32 / 8 * 64 + r % 16 * 4 + c % 4];
        b.values[r * cols + c] = scale * ((c % 8 < 4 ? both & 15 : both >> 4) - 8);
      }
    }
  }
  return b;
}

// Activations that a kernel's bytes hold exactly (integers with the largest one in every group), so that every way of
// multiplying must give the same; and random ones, within what their rounding allows. AMX multiplies bf16 where there
// are more than 64 tokens: both factors are off by 2^-9 at most (those integers by nothing).
void check_blocks(const Kernels& kernels, DType type, int64_t n, int64_t rows, int64_t cols, bool exact) {
  const Blocks w = random_blocks(type, rows, cols);
  auto x = random_floats(n * (cols + 1), 1);
  const auto bias = random_floats(rows, 2);
  const std::string name = kernels.name;
  const int largest = type == DType::q8 && (name == "avx2" || name == "avx512") ? 64 : 127;
  if (exact) {
    for (size_t i = 0; i < x.size(); ++i) {
      x[i] = static_cast<float>(static_cast<int>(i * 37 % (2 * largest + 1)) - largest);
    }
    for (int64_t t = 0; t < n; ++t) {
      for (int64_t c = 0; c < cols; c += 32) {
        x[t * (cols + 1) + c + t % 32] = static_cast<float>(t % 2 ? largest : -largest);
      }
    }
  }
  std::vector<float> out(n * (rows + 1), 777);
  const Matrix matrix{type, w.data.data(), rows, cols, w.scales.data()};
  run_matmul(kernels, {x.data(), n, cols + 1, matrix, bias.data(), out.data(), rows + 1});
  const bool halves = n > 64 && name.find("amx") != std::string::npos;
  for (int64_t t = 0; t < n; ++t) {
    for (int64_t r = 0; r < rows; ++r) {
      double want = bias[r], size = 1, steps = 0;
      for (int64_t c = 0; c < cols; ++c) {
        const double v = w.values[r * cols + c];
        want += v * x[t * (cols + 1) + c];
        size += std::abs(v * x[t * (cols + 1) + c]);
        steps += std::abs(v);
      }
      const double rounding = halves ? size / (exact ? 512 : 256) : exact ? 0 : steps * 3.5 / largest / 4;
      const double tolerance = 2e-6 * size + rounding;
      ASSERT_NEAR(out[t * (rows + 1) + r], want, tolerance) << name_of(type) << " " << n << " " << t << "," << r;
    }
    ASSERT_EQ(out[t * (rows + 1) + rows], 777);
  }
}

TEST_P(Bricks, MatmulOfWeightsInBlocks) {
  for (const DType type : {DType::q8, DType::q4}) {
    for (const int64_t n : {1, 2, 3, 7, 8, 33, 50, 200}) {
      check_blocks(*GetParam(), type, n, 50, 96, true);
      check_blocks(*GetParam(), type, n, 16, 1088, true);
      check_blocks(*GetParam(), type, n, 90, 64, false);
    }
  }
}

TEST_P(Bricks, BytesOnTilesGiveWhatTheyGiveOnVectors) {
  const std::string name = GetParam()->name;
  if (name.find("amx") == std::string::npos) GTEST_SKIP() << "skipped: no tiles";
  const bool emulated = name.starts_with("emulated");
  const auto list = all_kernels();
  const auto vnni =
      std::find_if(list.begin(), list.end(), [](auto* k) { return k->name == std::string("avx512-vnni"); });
  const Kernels& vectors = emulated ? kernels_emulated() : **vnni;
  for (const DType type : {DType::q8, DType::q4}) {
    const int64_t rows = 50, cols = 1120;
    const Blocks w = random_blocks(type, rows, cols);
    for (const int64_t n : {5, 16, 23, 64}) {
      const auto x = random_floats(n * cols, 1);
      std::vector<float> got(n * rows, NAN), wanted(n * rows);
      const Matrix matrix{type, w.data.data(), rows, cols, w.scales.data()};
      run_matmul(*GetParam(), {x.data(), n, cols, matrix, nullptr, got.data(), rows});
      run_matmul(vectors, {x.data(), n, cols, matrix, nullptr, wanted.data(), rows});
      ASSERT_EQ(got, wanted) << name_of(type) << " " << n;
    }
  }
}

TEST_P(Bricks, NothingOfTheProductBeforeIsLeft) {
  const int64_t n = 17, rows = 32;
  std::vector<bf16> w(rows * 64, to_bf16(NAN));
  std::vector<float> x(n * 64, 1.0f), out(n * rows);
  for (const int64_t cols : {64, 34}) {
    run_matmul(*GetParam(), {x.data(), n, 64, {DType::bf16, w.data(), rows, cols}, nullptr, out.data(), rows});
    std::fill(w.begin(), w.end(), to_bf16(1.0f));
  }
  for (const float y : out) ASSERT_EQ(y, 34);
}

TEST_P(Bricks, F16InfinityAndNanSurvive) {
  const uint16_t w[] = {0x7c00, 0xfc00, 0x7e00};
  std::vector<uint16_t> matrix(3 * 32, 0);
  for (int r = 0; r < 3; ++r) matrix[r * 32] = w[r];
  std::vector<float> x(32, 1.0f), out(3);
  GetParam()->matmul({x.data(), 1, 32, {DType::f16, matrix.data(), 3, 32}, nullptr, out.data(), 3}, 0, 3);
  EXPECT_EQ(out[0], INFINITY);
  EXPECT_EQ(out[1], -INFINITY);
  EXPECT_TRUE(std::isnan(out[2]));
}

struct AttendCase {
  int64_t tokens, group, dim, past, window;
};

/// The spans, cut at two odd places, of keys and values in a type; the floats become what that type holds.
struct KeyRows {
  std::vector<float> floats, scales;
  std::vector<bf16> halves;
  std::vector<int8_t> bytes;
  KeyRows(DType dtype, int64_t n, int64_t dim, uint64_t seed) : floats(random_floats(n * dim, seed)) {
    if (dtype == DType::f32) return;
    for (int64_t i = 0; i < n * dim; ++i) {
      if (i % dim == 0) scales.push_back(0.01f + 0.001f * static_cast<float>(i % 7));
      if (dtype == DType::bf16) {
        halves.push_back(to_bf16(floats[i]));
        floats[i] = to_float(halves.back());
      } else {
        bytes.push_back(static_cast<int8_t>(std::clamp(std::lrint(floats[i] * 40), -127L, 127L)));
        floats[i] = scales.back() * static_cast<float>(bytes.back());
      }
    }
  }
  const void* row(int64_t at) const {
    if (!halves.empty()) return halves.data() + at;
    return bytes.empty() ? static_cast<const void*>(floats.data() + at) : bytes.data() + at;
  }
};

void check_attend(const Kernels& kernels, DType dtype, const AttendCase& c) {
  const int64_t n = c.past + c.tokens, dim = c.dim, queries = c.tokens * c.group;
  const KeyRows k(dtype, n, dim, 1), v(dtype, n, dim, 2);
  auto q = random_floats(queries * dim, 3);
  // Products of bf16 round queries, which here are bf16 already, and probabilities, relative to the largest so far.
  const std::string name = kernels.name;
  const bool halves = (name.ends_with("bf16") || name.ends_with("amx")) && dtype != DType::f32 && dim % 32 == 0;
  for (float& x : q) x = halves ? to_float(to_bf16(x)) : x;
  std::vector<float> out(q.size(), NAN), log_sum(queries, NAN);
  const auto span = [&](int64_t begin, int64_t end) {
    KeySpan s{k.row(begin * dim), v.row(begin * dim), end - begin};
    if (dtype == DType::i8) s.key_scales = k.scales.data() + begin, s.value_scales = v.scales.data() + begin;
    return s;
  };
  const KeySpan spans[] = {span(0, c.past / 3), span(c.past / 3, c.past), span(c.past, n)};
  kernels.attend({.q = q.data(),
                  .out = out.data(),
                  .q_stride = c.group * dim,
                  .out_stride = c.group * dim,
                  .tokens = c.tokens,
                  .group = c.group,
                  .dim = dim,
                  .scale = 0.7f,
                  .window = c.window,
                  .first_query = c.past,
                  .first_key = 0,
                  .dtype = dtype,
                  .spans = spans,
                  .n_spans = 3,
                  .log_sum = log_sum.data()});
  for (int64_t i = 0; i < queries; ++i) {
    const int64_t p = c.past + i / c.group, low = c.window > 0 ? std::max<int64_t>(0, p - c.window + 1) : 0;
    std::vector<double> want(dim), size(dim);
    double total = 0;
    for (int64_t j = low; j <= p; ++j) {
      double s = 0;
      for (int64_t e = 0; e < dim; ++e) s += 0.7 * q[i * dim + e] * k.floats[j * dim + e];
      total += std::exp(s);
      for (int64_t e = 0; e < dim; ++e) want[e] += std::exp(s) * v.floats[j * dim + e];
      for (int64_t e = 0; e < dim; ++e) size[e] += std::exp(s) * std::abs(v.floats[j * dim + e]);
    }
    for (int64_t e = 0; e < dim; ++e) {
      const double rounding = halves ? size[e] / total / 256 : 0;
      ASSERT_NEAR(out[i * dim + e], want[e] / total, 2e-5 + rounding) << i << "," << e;
    }
    ASSERT_NEAR(log_sum[i], std::log(total), 1e-4);
  }
}

TEST_P(Bricks, AttendIsSoftmaxOverWhatTheQuerySees) {
  const AttendCase cases[] = {{1, 1, 6, 0, 0},      {150, 3, 40, 0, 0},   {5, 6, 64, 200, 0},  {1, 5, 70, 300, 0},
                              {150, 2, 8, 10, 20},  {3, 40, 16, 130, 1},  {7, 1, 10, 500, 90}, {1, 1, 32, 100, 0},
                              {1, 2, 128, 333, 0},  {1, 3, 64, 0, 0},     {1, 6, 128, 200, 0}, {1, 4, 96, 77, 13},
                              {1, 17, 64, 150, 40}, {1, 8, 256, 50, 0},   {2, 2, 128, 31, 0},  {1, 40, 6, 100, 0},
                              {150, 3, 64, 0, 0},   {300, 1, 96, 77, 50}, {16, 1, 32, 640, 0}};
  for (const DType dtype : {DType::f32, DType::bf16, DType::i8}) {
    for (const AttendCase& c : cases) check_attend(*GetParam(), dtype, c);
  }
}

TEST_P(Bricks, SmallProductsOfAMatrixAndOfItsTranspose) {
  for (const auto& [m, k, n] : {std::tuple<int64_t, int64_t, int64_t>{1, 1, 1}, {32, 64, 64}, {7, 5, 43}, {13, 0, 9}}) {
    for (const bool transposed : {false, true}) {
      const int64_t a_stride = transposed ? m + 1 : k + 2, b_stride = n + 3, c_stride = n + 1;
      const auto a = random_floats((transposed ? k : m) * a_stride + 1, 1), b = random_floats(k * b_stride + 1, 2);
      const auto before = random_floats(m * c_stride, 3);
      for (const float start : {0.0f, -0.5f}) {
        std::vector<float> c = before;
        if (start == 0) std::fill(c.begin(), c.end(), NAN);
        const int64_t row = transposed ? 1 : a_stride, step = transposed ? a_stride : 1, half = m / 2;
        const SmallProduct p{a.data(), row, step, b.data(), b_stride, c.data(), c_stride, k, n, start};
        GetParam()->multiply(p, half, m);
        GetParam()->multiply(p, 0, half);
        for (int64_t i = 0; i < m; ++i) {
          for (int64_t j = 0; j < n; ++j) {
            double want = start == 0 ? 0.0 : double{start} * before[i * c_stride + j];
            for (int64_t l = 0; l < k; ++l) want += double{a[i * row + l * step]} * b[l * b_stride + j];
            ASSERT_NEAR(c[i * c_stride + j], want, 1e-5) << m << "x" << k << "x" << n << " at " << i << "," << j;
          }
        }
      }
    }
  }
}

TEST_P(Bricks, Transposes) {
  for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{1, 1}, {32, 64}, {19, 37}, {5, 16}}) {
    const auto x = random_floats(rows * (columns + 3), 1);
    std::vector<float> out(rows * columns, NAN);
    GetParam()->transpose(x.data(), columns + 3, rows, columns, out.data());
    for (int64_t i = 0; i < rows * columns; ++i) {
      ASSERT_EQ(out[i], x[i % rows * (columns + 3) + i / rows]) << rows << "x" << columns;
    }
  }
}

TEST_P(Bricks, Exponentials) {
  std::vector<float> x;
  for (double e = -87; e < 88; e += 0.37) x.push_back(static_cast<float>(e));
  std::vector<float> got = x;
  GetParam()->exponentials(got.data(), static_cast<int64_t>(got.size()));
  for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(got[i] / std::exp(double{x[i]}), 1, 2e-7) << x[i];
}

TEST_P(Bricks, MapsEveryStep) {
  using Op = Formula::Op;
  std::vector<float> x, y;
  for (double v = -86; v < 86; v += 0.37)
    x.push_back(static_cast<float>(v)), y.push_back(static_cast<float>(3 - v / 9));
  const auto n = static_cast<int64_t>(x.size());
  const auto log1p_exp = [](double v) { return std::max(v, 0.0) + std::log1p(std::exp(-std::abs(v))); };
  const std::vector<std::pair<Op, std::function<double(double, double)>>> steps = {
      {Op::constant, [](double, double) { return 0.25; }},
      {Op::add, [](double a, double b) { return a + b; }},
      {Op::sub, [](double a, double b) { return a - b; }},
      {Op::mul, [](double a, double b) { return a * b; }},
      {Op::div, [](double a, double b) { return a / b; }},
      {Op::neg, [](double a, double) { return -a; }},
      {Op::exp, [](double a, double) { return std::exp(a); }},
      {Op::tanh, [](double a, double) { return std::tanh(a); }},
      {Op::sigmoid, [](double a, double) { return 1 / (1 + std::exp(-a)); }},
      {Op::silu, [](double a, double) { return a / (1 + std::exp(-a)); }},
      {Op::softplus, [&](double a, double) { return log1p_exp(a); }},
      {Op::log_sigmoid, [&](double a, double) { return -log1p_exp(-a); }},
      {Op::clamp_min, [](double a, double) { return std::max(a, 0.25); }}};
  for (const auto& [op, wanted] : steps) {
    // What comes after the result does not matter.
    const Formula::Instruction code[] = {{}, {Op::argument, 1}, {op, 0, 1, 0.25f}, {Op::neg, 2}};
    std::vector<float> whole(x.size()), part(x.size(), NAN);
    const float* in[] = {x.data(), y.data()};
    GetParam()->map({code, 4, 2, in, whole.data(), n});
    for (size_t i = 0; i < x.size(); ++i) {
      const double w = wanted(x[i], y[i]);
      ASSERT_NEAR(whole[i], w, 1e-6 * std::abs(w) + (op == Op::tanh ? 2e-7 : 1e-36))
          << static_cast<int>(op) << " " << x[i];
    }
    for (int64_t at = 0; at < n; at += 7) {  // whatever stands beside it
      const float* from[] = {x.data() + at, y.data() + at};
      GetParam()->map({code, 4, 2, from, part.data() + at, std::min<int64_t>(7, n - at)});
    }
    ASSERT_EQ(whole, part);
    float nan = NAN, one = 1, out = 0;
    const float* with_nan[] = {&nan, &one};
    GetParam()->map({code, 4, 2, with_nan, &out, 1});
    EXPECT_EQ(std::isnan(out), op != Op::constant) << static_cast<int>(op);
  }
}

TEST_P(Bricks, WidensAndRoundsToBf16) {
  Rng rng(1, "halves");
  std::vector<float> x = {0, -0.0f, INFINITY, -INFINITY, NAN, -NAN, 3.4e38f, 1e-45f, 1.00390625f, 1.01171875f};
  while (x.size() < 1003) x.push_back(std::bit_cast<float>(static_cast<uint32_t>(rng.below(uint64_t{1} << 32))));
  std::vector<bf16> halves(x.size());
  std::vector<float> back(x.size());
  for (const int64_t n : {int64_t{0}, int64_t{7}, static_cast<int64_t>(x.size())}) {
    GetParam()->round(x.data(), halves.data(), n), GetParam()->widen(halves.data(), back.data(), n);
    for (int64_t i = 0; i < n; ++i) {
      ASSERT_EQ(halves[i].bits, to_bf16(x[i]).bits) << i;
      ASSERT_EQ(std::bit_cast<uint32_t>(back[i]), std::bit_cast<uint32_t>(to_float(halves[i]))) << i;
    }
  }
}

TEST_P(Bricks, GatedProducts) {
  std::vector<float> g, u;
  for (double x = -120; x < 120; x += 0.37) g.push_back(static_cast<float>(x)), u.push_back(static_cast<float>(1 + x));
  const auto n = static_cast<int64_t>(g.size());
  for (const Gate gate : {Gate::silu, Gate::gelu_tanh}) {
    std::vector<float> whole(g.size()), part(g.size(), NAN);
    GetParam()->gated(gate, g.data(), u.data(), whole.data(), n);
    for (size_t i = 0; i < g.size(); ++i) {
      const double x = g[i], y = gate == Gate::silu ? x : 2 * std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
      const double wanted = x / (1 + std::exp(-y)) * u[i];
      ASSERT_NEAR(whole[i], wanted, (1e-6 + 2.4e-7 * std::abs(y)) * std::abs(wanted) + 1e-30) << x;
    }
    for (int64_t at = 0; at < n; at += 7) {  // whatever stands beside it
      GetParam()->gated(gate, g.data() + at, u.data() + at, part.data() + at, std::min<int64_t>(7, n - at));
    }
    ASSERT_EQ(whole, part);
  }
}

TEST_P(Bricks, RecurrenceInAllItsForms) {
  const int64_t T = 71, K = 7, V = 75;    // chunks, a part of one, and (below) single tokens
  for (int form = 0; form < 6; ++form) {  // plain, constant decay, vector decay; delta, gated delta; dplr
    auto q = random_floats(T * K, 1), k = random_floats(T * K, 2), v = random_floats(T * V, 3);
    auto g = random_floats(T * K, 4), beta = random_floats(T, 5), a = random_floats(T * K, 6);
    auto b = random_floats(T * K, 7), state = random_floats(K * V, 8);
    for (float& x : g) x = -0.3f * std::abs(x);
    for (auto* x : {&k, &a, &b, &beta}) {
      for (float& e : *x) e *= 0.3f;
    }
    RecurrenceTask r{.q = q.data(), .k = k.data(), .v = v.data(), .q_stride = K, .k_stride = K, .v_stride = V};
    if (form > 0 && form != 3) r.g = g.data(), r.g_stride = form == 1 ? 0 : K, r.g_vector = form == 2 || form == 5;
    if (form == 3 || form == 4) r.beta = beta.data(), r.beta_stride = 1;
    if (form == 5) r.a = a.data(), r.b = b.data(), r.a_stride = r.b_stride = K;
    std::vector<float> out(T * V);
    std::vector<double> s(state.begin(), state.end());
    r.scale = 0.5f, r.out = out.data(), r.out_stride = V, r.state = state.data(), r.tokens = T, r.K = K, r.V = V;
    for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 5}, {5, V}}) {
      RecurrenceTask part = r;
      part.column_begin = begin, part.column_end = end;
      for (const int64_t tokens : {66, 1, 4}) {
        part.tokens = tokens;
        GetParam()->recurrence(part);
        part.q += tokens * K, part.k += tokens * K, part.v += tokens * V, part.out += tokens * V;
        for (auto& [x, stride] : {std::pair{&part.g, r.g_stride},
                                  {&part.beta, r.beta_stride},
                                  {&part.a, r.a_stride},
                                  {&part.b, r.b_stride}}) {
          if (*x) *x += tokens * stride;
        }
      }
    }
    for (int64_t t = 0; t < T; ++t) {
      for (int64_t c = 0; c < V; ++c) {
        double u = 0, o = 0;
        for (int64_t i = 0; i < K; ++i) u += r.a ? a[t * K + i] * s[i * V + c] : 0;
        for (int64_t i = 0; i < K; ++i) {
          if (r.g) s[i * V + c] *= std::exp(double{g[t * r.g_stride + (r.g_vector ? i : 0)]});
          s[i * V + c] += r.a ? b[t * K + i] * u : 0;
        }
        double write = v[t * V + c];
        if (r.beta) {
          for (int64_t i = 0; i < K; ++i) write -= s[i * V + c] * k[t * K + i];
          write *= beta[t];
        }
        for (int64_t i = 0; i < K; ++i) s[i * V + c] += k[t * K + i] * write;
        for (int64_t i = 0; i < K; ++i) o += 0.5 * q[t * K + i] * s[i * V + c];
        ASSERT_NEAR(out[t * V + c], o, 2e-5) << "form " << form << " token " << t << " column " << c;
      }
    }
    for (int64_t i = 0; i < K * V; ++i) ASSERT_NEAR(state[i], s[i], 2e-5) << "form " << form;
  }
}

}  // namespace
}  // namespace jet
