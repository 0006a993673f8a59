#include "jet/engine/layer_runner.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "jet/model/transformer.h"

namespace jet {

namespace {

constexpr int64_t kBatchTokens = 4096;

CpuTensor view(float* data, int64_t rows, Dims dims) {
  CpuTensor x;
  x.data = data, x.rows = rows, x.stride = dims.count(), x.dims = dims;
  return x;
}

}  // namespace

CpuTensor LayerOps::first_of_pass(const Tensor& x) {
  called_first = true;
  if (!makes_first) return view(first->data(), x.rows, x.dims);
  first->resize(x.rows * x.dims.count());
  for (int64_t t = 0; t < x.rows; ++t) { std::copy_n(x.row(t), x.dims.count(), first->data() + t * x.dims.count()); }
  return x;
}

LayerRunner::LayerRunner(const Checkpoint& checkpoint, std::vector<int32_t> ids, int length, ThreadPool& pool)
    : spec_(checkpoint.spec), ids_(std::move(ids)), length_(length), pool_(pool),
      ops_(pool_, arena_, meter_, exact_kernels()), loaded_(load_weights(checkpoint)) {
  require(length_ > 0 && !ids_.empty() && ids_.size() % length_ == 0, "rows of {} tokens out of {}", length_,
          ids_.size());
  require(length_ <= spec_.max_position_embeddings, "rows of {} tokens do not fit the model's context of {}", length_,
          spec_.max_position_embeddings);
  for (const int32_t id : ids_) {
    require(id >= 0 && id < spec_.vocab_size, "token id {} is outside the vocabulary of {}", id, spec_.vocab_size);
  }
  model_params(spec_, loaded_.weights,
               [&](const std::string& name, CpuWeight& w, const ParamSpec&) { handles_[name] = &w; });
}

LayerRunner::Rows LayerRunner::embed() {
  Rows rows;
  rows.hidden.reserve(ids_.size() * spec_.hidden_size);
  for (size_t at = 0; at < ids_.size(); at += kBatchTokens) {
    const auto part = std::span<const int32_t>(ids_).subspan(at, std::min<size_t>(kBatchTokens, ids_.size() - at));
    const CpuTensor x = scaled(ops_, ops_.embed(part, loaded_.weights.embed), spec_.embed_scale);
    rows.hidden.insert(rows.hidden.end(), x.data, x.data + x.rows * x.dims.count());
  }
  return rows;
}

/// f(batch, first row, rows) of whole sequences, with states of layer i alone.
void LayerRunner::each_batch(int i, const std::function<void(int64_t, int64_t, int64_t)>& f) {
  StateLayout layout;
  ModelState<int> names;
  model_state(spec_, names, [&](int layer, const char* name, int&, const StateSpec& p) {
    if (layer == i) layout.entries.push_back({layer, name, p});
  });
  layout.kv = DType::f32, layout.max_length = length_;
  const auto shared = std::make_shared<const StateLayout>(std::move(layout));
  const int64_t most = std::max<int64_t>(1, kBatchTokens / length_) * length_;
  for (int64_t first = 0, batch = 0; first < tokens(); first += most, ++batch) {
    const int64_t rows = std::min(most, tokens() - first);
    std::vector<std::unique_ptr<CpuSequenceState>> states;
    std::vector<Segment> segments;
    for (int64_t at = 0; at < rows; at += length_) {
      states.push_back(std::make_unique<CpuSequenceState>(shared));
      segments.push_back({states.back().get(), at, length_, 0, 0});
    }
    ops_.begin(segments);
    f(batch, first, rows);
    ops_.begin({});
  }
}

void LayerRunner::layer(int i, Rows& rows, bool keep, const SeeInput& see) {
  ModelState<CpuState> state;
  int n = 0;
  model_state(spec_, state, [&](int layer, const char*, CpuState& handle, const StateSpec&) {
    if (layer == i) handle.index = n++;
  });
  ops_.see = see, ops_.makes_first = rows.first_layer < 0 || rows.first_layer == i, ops_.called_first = false;
  each_batch(i, [&](int64_t batch, int64_t first, int64_t count) {
    if (static_cast<int64_t>(rows.first.size()) <= batch) rows.first.resize(batch + 1);
    ops_.first = &rows.first[batch];
    const int64_t d = spec_.hidden_size;
    float* hidden = rows.hidden.data() + first * d;
    const auto mixer = [&](CpuTensor h) {
      return mixer_forward(ops_, spec_.layers[i], loaded_.weights.layers[i].mixer, std::move(h), state[i]);
    };
    const CpuTensor out = layer_forward(ops_, spec_, loaded_.weights, i, mixer, view(hidden, count, Dims::of(d)));
    if (keep) std::memcpy(hidden, out.data, count * d * sizeof(float));
  });
  if (ops_.called_first && rows.first_layer < 0) rows.first_layer = i;
  ops_.see = {};
}

void LayerRunner::head_inputs(const Rows& rows, const std::function<void(const CpuTensor&, int64_t)>& f) {
  const int64_t d = spec_.hidden_size;
  for (int64_t first = 0; first < tokens(); first += kBatchTokens) {
    ops_.begin({});
    const int64_t count = std::min(kBatchTokens, tokens() - first);
    const CpuTensor in = view(const_cast<float*>(rows.hidden.data()) + first * d, count, Dims::of(d));
    f(scaled(ops_, ops_.rms_norm(in, loaded_.weights.norm, spec_.rms_norm_eps), spec_.logits_scale), first);
  }
}

CpuTensor LayerRunner::head(const CpuTensor& x) {
  return ops_.linear(x, spec_.tie_word_embeddings ? loaded_.weights.embed : loaded_.weights.head);
}

}  // namespace jet
