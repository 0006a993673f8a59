// The linear recurrence, token by token, on a few columns of one head's state. Part of bricks.h. With docs/design.md's
// symbols, S the state before the token and S' after it, D = diag(exp g):
//   additive     S' = D S [+ b u^T] + k v^T         u = S^T a                         o = S'^T q
//   delta rule   S' = D S + beta k u^T              u = v - (D S)^T k                 o = (D S)^T q + (k . q) beta u
// A column block of the state (K x 64 floats) stays in the L1 cache while all tokens pass by.
namespace jet::JET_ISA_NAMESPACE {
namespace {

template <int N>
struct Columns {  // N vectors of kLanes columns
  Vec v[N];
  static constexpr int width = N * kLanes;
  JET_INLINE static Columns at(const float* p) {
    Columns c;
    for (int i = 0; i < N; ++i) c.v[i] = load(p + i * kLanes);
    return c;
  }
  JET_INLINE void to(float* p) const {
    for (int i = 0; i < N; ++i) store(p + i * kLanes, v[i]);
  }
  JET_INLINE void scale(float f) {
    for (int i = 0; i < N; ++i) v[i] *= f;
  }
  JET_INLINE void add(float f, const Columns& x) {
    for (int i = 0; i < N; ++i) v[i] += f * x.v[i];
  }
};

struct Column {  // one, where V is no multiple of kLanes
  float v = 0;
  static constexpr int width = 1;
  JET_INLINE static Column at(const float* p) { return {*p}; }
  JET_INLINE void to(float* p) const { *p = v; }
  JET_INLINE void scale(float f) { v *= f; }
  JET_INLINE void add(float f, const Column& x) { v += f * x.v; }
};

/// e^g of token t: [K] for a vector g, else decay[0].
JET_INLINE void decays(const RecurrenceTask& r, int64_t t, float* decay) {
  if (!r.g) return;
  const float* g = r.g + t * r.g_stride;
  const int64_t n = r.g_vector ? r.K : 1;
  for (int64_t i = 0; i < n; ++i) decay[i] = __builtin_expf(g[i]);
}

template <class C>
JET_INLINE void delta_token(const RecurrenceTask& r, int64_t t, int64_t column, const float* decay) {
  const float *q = r.q + t * r.q_stride, *k = r.k + t * r.k_stride;
  float* s = r.state + column;
  C beta_u{}, o{};
  float kq = 0;
  for (int64_t i = 0; i < r.K; ++i) {
    C row = C::at(s + i * r.V);
    if (r.g) {
      row.scale(decay[r.g_vector ? i : 0]);
      row.to(s + i * r.V);
    }
    beta_u.add(k[i], row);
    o.add(q[i], row);
    kq += k[i] * q[i];
  }
  const float beta = r.beta[t * r.beta_stride];
  beta_u.scale(-beta);
  beta_u.add(beta, C::at(r.v + t * r.v_stride + column));
  for (int64_t i = 0; i < r.K; ++i) {
    C row = C::at(s + i * r.V);
    row.add(k[i], beta_u);
    row.to(s + i * r.V);
  }
  o.add(kq, beta_u);
  o.scale(r.scale);
  o.to(r.out + t * r.out_stride + column);
}

template <class C>
JET_INLINE void additive_token(const RecurrenceTask& r, int64_t t, int64_t column, const float* decay) {
  const float *q = r.q + t * r.q_stride, *k = r.k + t * r.k_stride;
  float* s = r.state + column;
  const C v = C::at(r.v + t * r.v_stride + column);
  C u{}, o{};
  if (r.a) {
    const float* a = r.a + t * r.a_stride;
    for (int64_t i = 0; i < r.K; ++i) u.add(a[i], C::at(s + i * r.V));
  }
  for (int64_t i = 0; i < r.K; ++i) {
    C row = C::at(s + i * r.V);
    if (r.g) row.scale(decay[r.g_vector ? i : 0]);
    if (r.a) row.add(r.b[t * r.b_stride + i], u);
    row.add(k[i], v);
    row.to(s + i * r.V);
    o.add(q[i], row);
  }
  o.scale(r.scale);
  o.to(r.out + t * r.out_stride + column);
}

template <class C>
void recurrence_columns(const RecurrenceTask& r, int64_t column, float* decay) {
  for (int64_t t = 0; t < r.tokens; ++t) {
    if (t == 0 || r.g_stride > 0) decays(r, t, decay);
    if (r.beta) {
      delta_token<C>(r, t, column, decay);
    } else {
      additive_token<C>(r, t, column, decay);
    }
  }
}

void recurrence(const RecurrenceTask& r) {
  if (in_chunks(r)) return recurrence_in_chunks(r);
  static thread_local Scratch scratch;
  float* decay = scratch.floats(r.K);
  int64_t c = r.column_begin;
  for (; c + 4 * kLanes <= r.column_end; c += 4 * kLanes) recurrence_columns<Columns<4>>(r, c, decay);
  for (; c + kLanes <= r.column_end; c += kLanes) recurrence_columns<Columns<1>>(r, c, decay);
  for (; c < r.column_end; ++c) recurrence_columns<Column>(r, c, decay);
}

}  // namespace
}  // namespace jet::JET_ISA_NAMESPACE
