#include "jet/train/torch_model.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "jet/blocks/init.h"
#include "jet/model/finite.h"

namespace jet {

using at::Tensor;

Tensor to_tensor(const StoredTensor& t) {
  if (t.dtype == DType::i64 || t.dtype == DType::i32) {
    const auto v = to_ints(t);
    return at::tensor(v, at::kLong).view(t.shape);
  }
  const auto v = to_floats(t);
  return at::tensor(v, at::kFloat).view(t.shape);
}

TorchModel TorchModel::load(const std::string& folder) {
  const Checkpoint c = Checkpoint::open(folder);
  TorchModel m{c.spec, {}};
  model_params(m.spec, m.weights, [&](const std::string& name, Tensor& t, const ParamSpec& p) {
    t = at::tensor(c.floats(name, p), at::kFloat).view(p.shape);
  });
  return m;
}

TorchModel TorchModel::map(const std::string& folder) {
  const auto c = std::make_shared<const Checkpoint>(Checkpoint::open(folder));
  TorchModel m{c->spec, {}};
  model_params(m.spec, m.weights, [&](const std::string& name, Tensor& t, const ParamSpec& p) {
    const StoredTensor& stored = c->tensors.at(name);
    if (!p.is_matrix() || stored.dtype == DType::u8) {  // floats() says what is wrong with quantized ones
      t = at::tensor(c->floats(name, p), at::kFloat).view(p.shape);
      return;
    }
    const auto type = stored.dtype == DType::bf16 ? at::kBFloat16 : stored.dtype == DType::f16 ? at::kHalf : at::kFloat;
    t = at::from_blob(
        const_cast<std::byte*>(stored.bytes.data()), p.shape, [c](void*) {}, type);
  });
  return m;
}

Tensor init_tensor(const ParamSpec& p, uint64_t seed, const std::string& name) {
  Rng rng(seed, name);
  std::vector<float> v(numel(p.shape));
  const auto normal = [](Rng& r) { return r.normal(); };
  for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<float>(init_value(p, static_cast<int64_t>(i), rng, normal));
  return at::tensor(v, at::kFloat).view(p.shape);
}

TorchModel TorchModel::random(const ModelSpec& spec, uint64_t seed) {
  TorchModel m{spec, {}};
  const double out_scale = 1 / std::sqrt(2.0 * spec.n_layers());
  model_params(m.spec, m.weights, [&](const std::string& name, Tensor& t, const ParamSpec& p) {
    t = init_tensor(p, seed, name);
    // What is added to the residual stream starts small: 2 L summands keep its variance.
    if (p.role == ParamRole::output) t *= out_scale;
  });
  return m;
}

TorchModel TorchModel::to(at::Device device) const {
  TorchModel m = *this;  // handles only
  model_params(m.spec, m.weights, [&](const std::string&, Tensor& t, const ParamSpec&) { t = t.to(device); });
  return m;
}

MixerWeights<Tensor> random_mixer(const MixerSpec& m, int hidden, uint64_t seed, const std::string& label,
                                  at::Device device) {
  MixerWeights<Tensor> w;
  mixer_params(m, hidden, w, [&](const char* name, Tensor& t, const ParamSpec& p) {
    t = init_tensor(p, seed, label + name).to(device);
  });
  return w;
}

NamedTensors mixer_parameters(const MixerSpec& m, int hidden, MixerWeights<Tensor>& w, const std::string& prefix) {
  NamedTensors all;
  mixer_params(m, hidden, w,
               [&](const char* name, Tensor& t, const ParamSpec&) { all.emplace_back(prefix + name, t); });
  return all;
}

namespace {

// The rows of head h; for `o` the columns, seen as rows of the transpose.
Tensor head_rows(const Tensor& w, const AttentionRole& r, int h) {
  const Tensor m = r.role == AttentionRole::o ? w.t() : w;
  return m.narrow(0, r.offset + int64_t{h} * (r.apart > 0 ? r.apart : r.dim), r.dim);
}

Tensor named(const NamedTensors& all, const std::string& name) {
  for (const auto& [n, t] : all)
    if (n == name) return t;
  fail("a mixer has no parameter '{}'", name);
}

// What a block of one kind takes over of one of another; none: it cannot.
std::optional<std::vector<TakenOver>> taken_over(const MixerSpec& from, const MixerSpec& to) {
  using Taken = std::optional<std::vector<TakenOver>>;
  if (mixer_to_json(from) == mixer_to_json(to)) return Taken(std::in_place);
  return BlockList::visit(to, [&]<class Block>(const typename Block::Config& c) {
    return BlockList::visit(from, [&]<class Other>(const typename Other::Config& o) -> Taken {
      if constexpr (requires { Block::takes_over(c, o); }) return Block::takes_over(c, o);
      return {};
    });
  });
}

}  // namespace

bool take_over(const MixerSpec& from, const MixerWeights<Tensor>& trained, const MixerSpec& to, int hidden,
               MixerWeights<Tensor>& weights) {
  const auto taken = taken_over(from, to);
  if (!taken) return false;
  MixerWeights<Tensor> source = trained;
  const NamedTensors theirs = mixer_parameters(from, hidden, source, "");
  for (const auto& [name, own] : mixer_parameters(to, hidden, weights, "")) {
    const auto made = std::ranges::find(*taken, name, &TakenOver::param);
    if (made == taken->end()) {
      const auto same = std::ranges::find(theirs, name, [](const auto& p) { return p.first; });
      if (same != theirs.end()) own.copy_(same->second);
      continue;
    }
    const int64_t rows = own.size(0), columns = own.numel() / rows;
    const Tensor one = made->from.empty() ? at::eye(rows / made->repeat, columns, own.options())
                                          : named(theirs, made->from).to(at::kFloat);
    const Tensor all = one.repeat_interleave(made->repeat, 0).flatten() * made->scale;
    own.zero_().view(-1).narrow(0, 0, all.numel()).copy_(all);
  }
  return true;
}

void inherit_attention(const Attention::Config& from, const MixerWeights<Tensor>& attention, const MixerSpec& to,
                       int hidden, MixerWeights<Tensor>& weights) {
  MixerWeights<Tensor> source = attention;
  const NamedTensors theirs = mixer_parameters(from, hidden, source, ""),
                     ours = mixer_parameters(to, hidden, weights, "");
  const auto roles = BlockList::visit(to, [&]<class Block>(const typename Block::Config& c) {
    if constexpr (requires { Block::attention_part; }) {
      for (const auto& [name, t] : theirs) named(ours, Block::attention_part + name).copy_(t);
    }
    return Block::roles(c);
  });
  for (const AttentionRole& mine : roles) {
    for (const AttentionRole& its : Attention::roles(from)) {
      if (its.role != mine.role) continue;
      const Tensor w = named(ours, mine.param), a = named(theirs, its.param).to(at::kFloat);
      const int64_t shared = std::min(mine.dim, its.dim);
      for (int h = 0; h < mine.heads; ++h) {
        Tensor to_rows = head_rows(w, mine, h);
        const Tensor from_rows = head_rows(a, its, h * its.heads / mine.heads);
        if (shared < mine.dim) to_rows *= from_rows.std() / to_rows.std();
        to_rows.narrow(0, 0, shared).copy_(from_rows.narrow(0, 0, shared));
      }
    }
  }
}

NamedTensors TorchModel::parameters() const {
  NamedTensors all;
  auto w = weights;  // handles only
  model_params(spec, w, [&](const std::string& name, Tensor& t, const ParamSpec&) { all.emplace_back(name, t); });
  return all;
}

NamedTensors own_parameters(TorchModel& m, const std::function<bool(const std::string&)>& wanted) {
  NamedTensors own;
  model_params(m.spec, m.weights, [&](const std::string& name, Tensor& t, const ParamSpec&) {
    if (!wanted(name)) return;
    t = t.detach().to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
    own.emplace_back(name, t);
  });
  return own;
}

Tensor TorchModel::logits(TorchOps& ops, const Tensor& ids) const {
  ModelState<Tensor> state;
  model_state(spec, state, [](int, const char*, Tensor&, const StateSpec&) {});
  return logits_forward(ops, spec, weights, ids, state);
}

void save_tensors(const std::string& path, const NamedTensors& tensors, DType dtype,
                  const std::map<std::string, std::string>& metadata) {
  std::vector<Tensor> held;  // keeps the converted copies alive until they are written
  std::vector<TensorToWrite> list;
  for (const auto& [name, t] : tensors) {
    const bool integer = t.scalar_type() == at::kLong;
    const auto type = integer ? at::kLong : dtype == DType::bf16 ? at::kBFloat16 : at::kFloat;
    held.push_back(t.detach().to(at::kCPU, type).contiguous());
    list.push_back({name, integer ? DType::i64 : dtype, t.sizes().vec(), held.back().data_ptr()});
  }
  write_safetensors(path, list, metadata);
}

void load_tensors(const std::string& path, const NamedTensors& into) {
  const SafeTensors file = SafeTensors::open(path);
  const at::NoGradGuard no_grad;
  for (const auto& [name, t] : into) {
    const auto& stored = file.at(name);
    require(stored.shape == t.sizes().vec(), "{}: tensor '{}' has shape {}, expected {}", path, name,
            to_string(stored.shape), to_string(t.sizes().vec()));
    const_cast<Tensor&>(t).copy_(to_tensor(stored));
  }
}

TorchModel in_type(const TorchModel& m, at::ScalarType type, ConvertedTensors& converted) {
  TorchModel out = m;  // handles only
  model_params(out.spec, out.weights, [&](const std::string&, Tensor& t, const ParamSpec& p) {
    if (!p.is_matrix() || &t == &out.weights.embed || t.scalar_type() == type) return;
    Tensor& its = converted[t.data_ptr()];
    if (!its.defined()) its = t.detach().to(type);
    t = its;
  });
  return out;
}

void TorchModel::save(const std::string& folder, const std::string& tokenizer_folder, DType dtype,
                      const std::string& model_type) const {
  std::vector<Tensor> held;
  std::vector<TensorToWrite> list;
  for (const auto& [name, t] : parameters()) {
    held.push_back(t.detach().to(at::kCPU, dtype == DType::bf16 ? at::kBFloat16 : at::kFloat).contiguous());
    require_finite(dtype, {static_cast<const std::byte*>(held.back().data_ptr()), held.back().nbytes()}, name, folder);
    list.push_back({name, dtype, t.sizes().vec(), held.back().data_ptr()});
  }
  save_checkpoint(folder, spec, list, tokenizer_folder, model_type);
}

}  // namespace jet
