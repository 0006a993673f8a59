// A formula of map() on rows of numbers (jet/tensor/formula.h). Part of bricks.h. Steps are taken some vectors at a
// time, so that what choosing a step costs is shared, and what lies between steps stays in the L1 cache:
//
//   at[i]    where step i's numbers lie: an argument's in the row itself, the result's in out, others in between[i]
//
// A number depends on its own arguments alone: what is left at the end is padded to a vector. Bound by exponentials and
// divisions, without them by memory.
namespace jet::JET_ISA_NAMESPACE {
namespace {

constexpr int kMapVectors = 8;

/// log(1 + e^-|x|), as 2 artanh(u / (2 + u)) with u = e^-|x|, a series.
JET_INLINE Vec log1p_exp_minus_abs(Vec x) {
  const Vec u = exp_to_88(x < -x ? x : -x), s = u / (u + 2.0f), z = s * s;
  Vec p = z * (1.0f / 13) + 1.0f / 11;
  p = p * z + 1.0f / 9;
  p = p * z + 1.0f / 7;
  p = p * z + 1.0f / 5;
  p = p * z + 1.0f / 3;
  return (p * z + 1.0f) * s * 2.0f;
}

/// A NaN in x stays.
JET_INLINE Vec at_least(Vec x, float low) { return x < low ? broadcast(low) : x; }
JET_INLINE Vec at_most(Vec x, float high) { return x > high ? broadcast(high) : x; }
JET_INLINE Vec exponential(Vec x) { return exp_to_88(at_most(x, 88.0f)); }

/// Numbers [from, from + N vectors).
template <int N>
JET_INLINE void map_numbers(const MapTask& m, int64_t from) {
  using Op = Formula::Op;
  float between[Formula::kMost][N * kLanes];
  const float* at[Formula::kMost];
  for (int i = 0; i < m.steps; ++i) {
    const Formula::Instruction& c = m.code[i];
    if (c.op == Op::argument) {
      at[i] = m.in[c.a] + from;
      continue;
    }
    const float *a = at[c.a], *b = at[c.b];
    float* to = i == m.result ? m.out + from : between[i];
    at[i] = to;
    const auto one = [&](auto&& f) JET_INLINE_LAMBDA {
#pragma GCC unroll 4
      for (int k = 0; k < N * kLanes; k += kLanes) store(to + k, f(load(a + k)));
    };
    const auto two = [&](auto&& f) JET_INLINE_LAMBDA {
#pragma GCC unroll 4
      for (int k = 0; k < N * kLanes; k += kLanes) store(to + k, f(load(a + k), load(b + k)));
    };
    switch (c.op) {
      case Op::argument: break;
      case Op::constant:
        for (int k = 0; k < N * kLanes; k += kLanes) store(to + k, broadcast(c.value));
        break;
      case Op::add: two([](Vec x, Vec y) { return x + y; }); break;
      case Op::sub: two([](Vec x, Vec y) { return x - y; }); break;
      case Op::mul: two([](Vec x, Vec y) { return x * y; }); break;
      case Op::div: two([](Vec x, Vec y) { return x / y; }); break;
      case Op::neg: one([](Vec x) { return -x; }); break;
      case Op::exp: one([](Vec x) { return exponential(x); }); break;
      case Op::tanh: one([](Vec x) { return 1.0f - 2.0f / (exponential(x * 2.0f) + 1.0f); }); break;
      case Op::sigmoid: one([](Vec x) { return 1.0f / (exponential(-x) + 1.0f); }); break;
      case Op::silu: one([](Vec x) { return x / (exponential(-x) + 1.0f); }); break;
      case Op::softplus: one([](Vec x) { return at_least(x, 0.0f) + log1p_exp_minus_abs(x); }); break;
      case Op::log_sigmoid: one([](Vec x) { return at_most(x, 0.0f) - log1p_exp_minus_abs(x); }); break;
      case Op::clamp_min: one([&](Vec x) { return at_least(x, c.value); }); break;
    }
  }
  if (m.code[m.result].op == Op::argument) std::memcpy(m.out + from, at[m.result], N * kLanes * sizeof(float));
}

[[maybe_unused]] void map(const MapTask& m) {
  int64_t i = 0;
  for (; i + kMapVectors * kLanes <= m.n; i += kMapVectors * kLanes) map_numbers<kMapVectors>(m, i);
  for (; i + kLanes <= m.n; i += kLanes) map_numbers<1>(m, i);
  if (i == m.n) return;
  float rest[Formula::kMostArguments][kLanes] = {}, out[kLanes];
  const float* in[Formula::kMostArguments];
  int64_t arguments = 0;
  for (; arguments < m.steps && m.code[arguments].op == Formula::Op::argument; ++arguments) {
    in[arguments] = rest[arguments];
    std::memcpy(rest[arguments], m.in[arguments] + i, (m.n - i) * sizeof(float));
  }
  map_numbers<1>({m.code, m.steps, m.result, in, out, kLanes}, 0);
  std::memcpy(m.out + i, out, (m.n - i) * sizeof(float));
}

}  // namespace
}  // namespace jet::JET_ISA_NAMESPACE
