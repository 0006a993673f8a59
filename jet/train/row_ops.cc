#include "jet/train/row_ops.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

namespace jet {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

bool in_loops(const Tensor& x) { return x.is_cpu() && x.scalar_type() == at::kFloat; }

// Pieces do not depend on the number of threads, so that neither do sums over rows.
constexpr int64_t kPiece = 64;
int64_t pieces(int64_t rows) { return (rows + kPiece - 1) / kPiece; }

/// f(piece, first row, end)
template <class F>
void each_piece(int64_t rows, const F& f) {
  at::parallel_for(0, pieces(rows), 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) f(p, p * kPiece, std::min(rows, (p + 1) * kPiece));
  });
}

// sum of f(i), in lanes that a compiler may keep in vectors
template <class F>
float sum_of(int64_t n, const F& f) {
  constexpr int64_t lanes = 16;
  float sums[lanes] = {}, rest = 0;
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (int64_t l = 0; l < lanes; ++l) sums[l] += f(i + l);
  for (; i < n; ++i) rest += f(i);
  for (const float s : sums) rest += s;
  return rest;
}

struct NormRows : torch::autograd::Function<NormRows> {
  static Tensor forward(AutogradContext* ctx, const Tensor& input, const std::optional<Tensor>& weight, double factor,
                        double eps) {
    const Tensor x = input.contiguous(), w = weight ? weight->contiguous() : Tensor();
    const int64_t width = x.size(-1), rows = x.numel() / std::max<int64_t>(1, width);
    Tensor y = at::empty_like(x), r = at::empty({rows}, x.options());
    const float *from = x.const_data_ptr<float>(), *by = weight ? w.const_data_ptr<float>() : nullptr;
    float *to = y.mutable_data_ptr<float>(), *roots = r.mutable_data_ptr<float>();
    each_piece(rows, [&](int64_t, int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const float* xi = from + i * width;
        float* yi = to + i * width;
        const float squares = sum_of(width, [&](int64_t c) { return xi[c] * xi[c]; });
        const float root = 1 / std::sqrt(static_cast<float>(factor) * squares + static_cast<float>(eps));
        roots[i] = root;
        for (int64_t c = 0; c < width; ++c) yi[c] = by ? xi[c] * root * by[c] : xi[c] * root;
      }
    });
    ctx->save_for_backward({x, w, r});
    ctx->saved_data["factor"] = factor;
    return y;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], &w = saved[1], dy = grads[0].contiguous();
    const int64_t width = x.size(-1), rows = saved[2].numel();
    const auto factor = static_cast<float>(ctx->saved_data["factor"].toDouble());
    const bool for_w = w.defined() && ctx->needs_input_grad(1);
    Tensor dx = at::empty_like(x), dw = for_w ? at::zeros({pieces(rows), width}, x.options()) : Tensor();
    const float *from = x.const_data_ptr<float>(), *above = dy.const_data_ptr<float>();
    const float *roots = saved[2].const_data_ptr<float>(), *by = w.defined() ? w.const_data_ptr<float>() : nullptr;
    float *to = dx.mutable_data_ptr<float>(), *weights = for_w ? dw.mutable_data_ptr<float>() : nullptr;
    each_piece(rows, [&](int64_t piece, int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const float *xi = from + i * width, *di = above + i * width, root = roots[i];
        float* out = to + i * width;
        const float along =
            factor * root * root * sum_of(width, [&](int64_t c) { return (by ? by[c] * di[c] : di[c]) * xi[c]; });
        for (int64_t c = 0; c < width; ++c) out[c] = root * ((by ? by[c] * di[c] : di[c]) - xi[c] * along);
        if (float* sums = for_w ? weights + piece * width : nullptr) {
          for (int64_t c = 0; c < width; ++c) sums[c] += di[c] * xi[c] * root;
        }
      }
    });
    return {dx, for_w ? dw.sum(0) : Tensor(), Tensor(), Tensor()};
  }
};

// What a convolution runs over: rows of x and of kernels by batch and token.
struct Rows {
  int64_t batch, tokens, channels, width, apart;  // width: W; apart: x's batches are, in floats
  bool own_kernels;                               // a token

  Rows(const Tensor& x, const Tensor& k)
      : batch(x.size(0)), tokens(x.size(1) - k.size(-1) + 1), channels(x.size(2)), width(k.size(-1)),
        apart(x.stride(0)), own_kernels(k.dim() == 4) {}
  int64_t count() const { return batch * tokens; }
  /// x's row under kernel tap 0 of row i; tap j's is j rows on.
  int64_t seen(int64_t i) const { return i / tokens * apart + i % tokens * channels; }
  int64_t kernel(int64_t i) const { return own_kernels ? i * channels * width : 0; }
};

struct ConvolveRows : torch::autograd::Function<ConvolveRows> {
  static Tensor forward(AutogradContext* ctx, const Tensor& input, const Tensor& kernels) {
    const bool rows_lie = input.stride(2) == 1 && input.stride(1) == input.size(2);  // batches may be apart
    const Tensor x = rows_lie ? input : input.contiguous(), k = kernels.contiguous();
    const Rows rows(x, k);
    Tensor y = at::empty({rows.batch, rows.tokens, rows.channels}, x.options());
    const float *from = x.const_data_ptr<float>(), *by = k.const_data_ptr<float>();
    float* to = y.mutable_data_ptr<float>();
    each_piece(rows.count(), [&](int64_t, int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const float *xi = from + rows.seen(i), *ki = by + rows.kernel(i);
        float* yi = to + i * rows.channels;
        for (int64_t c = 0; c < rows.channels; ++c) yi[c] = ki[c * rows.width] * xi[c];
        for (int64_t j = 1; j < rows.width; ++j) {
          const float* xj = xi + j * rows.channels;
          for (int64_t c = 0; c < rows.channels; ++c) yi[c] += ki[c * rows.width + j] * xj[c];
        }
      }
    });
    ctx->save_for_backward({x, k});
    return y;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], &k = saved[1], dy = grads[0].contiguous();
    const Rows rows(x, k);
    return {ctx->needs_input_grad(0) ? rows_gradient(rows, x, k, dy) : Tensor(),
            ctx->needs_input_grad(1) ? kernel_gradient(rows, x, k, dy) : Tensor()};
  }

  static Tensor rows_gradient(const Rows& rows, const Tensor& x, const Tensor& k, const Tensor& dy) {
    Tensor dx = at::empty(x.sizes(), x.options());
    const float *by = k.const_data_ptr<float>(), *above = dy.const_data_ptr<float>();
    float* to = dx.mutable_data_ptr<float>();
    const int64_t all = x.size(1), n = rows.channels;
    each_piece(rows.batch * all, [&](int64_t, int64_t begin, int64_t end) {
      for (int64_t s = begin; s < end; ++s) {
        float* out = to + s * n;
        std::fill_n(out, n, 0.0f);
        for (int64_t j = 0; j < rows.width; ++j) {
          const int64_t t = s % all - j;
          if (t < 0 || t >= rows.tokens) continue;
          const int64_t i = s / all * rows.tokens + t;
          const float *di = above + i * n, *ki = by + rows.kernel(i) + j;
          for (int64_t c = 0; c < n; ++c) out[c] += ki[c * rows.width] * di[c];
        }
      }
    });
    return dx;
  }

  // Of kernels that all tokens share: sums, a piece of the rows each.
  static Tensor kernel_gradient(const Rows& rows, const Tensor& x, const Tensor& k, const Tensor& dy) {
    const int64_t n = rows.channels, size = n * rows.width;
    Tensor dk = rows.own_kernels ? at::empty_like(k) : at::zeros({pieces(rows.count()), n, rows.width}, k.options());
    const float *from = x.const_data_ptr<float>(), *above = dy.const_data_ptr<float>();
    float* to = dk.mutable_data_ptr<float>();
    each_piece(rows.count(), [&](int64_t piece, int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const float *xi = from + rows.seen(i), *di = above + i * n;
        float* out = to + (rows.own_kernels ? i : piece) * size;
        for (int64_t j = 0; j < rows.width; ++j) {
          const float* xj = xi + j * n;
          for (int64_t c = 0; c < n; ++c) {
            float& d = out[c * rows.width + j];
            d = rows.own_kernels ? di[c] * xj[c] : d + di[c] * xj[c];
          }
        }
      }
    });
    return rows.own_kernels ? dk : dk.sum(0);
  }
};

}  // namespace

Tensor norm_rows(const Tensor& x, const Tensor& w, double factor, double eps) {
  if (in_loops(x)) return NormRows::apply(x, w.defined() ? std::optional(w) : std::nullopt, factor, eps);
  const Tensor y = x * (x.square().sum(-1, true) * factor + eps).rsqrt();
  return w.defined() ? y * w : y;
}

Tensor convolve_rows(const Tensor& x, const Tensor& kernels) {
  if (in_loops(x)) return ConvolveRows::apply(x, kernels);
  const int64_t width = kernels.size(-1), tokens = x.size(1) - width + 1;
  Tensor y = x.narrow(1, 0, tokens) * kernels.select(-1, 0);
  for (int64_t j = 1; j < width; ++j) y = at::addcmul(y, x.narrow(1, j, tokens), kernels.select(-1, j));
  return y;
}

}  // namespace jet
