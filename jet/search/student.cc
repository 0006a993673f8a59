#include "jet/search/student.h"

#include <algorithm>

#include <ATen/core/grad_mode.h>

#include "jet/model/train_plan.h"
#include "jet/search/baselines.h"
#include "jet/search/run_plan.h"

namespace jet {

using at::Tensor;

TorchModel make_student(const TorchModel& base, const std::vector<MixerSpec>& layers, uint64_t seed, bool inherit) {
  require(layers.size() == base.spec.layers.size(), "make_student: {} layers for a base of {}", layers.size(),
          base.spec.layers.size());
  TorchModel student = base;
  student.spec.layers = layers;
  for (int i = 0; i < base.spec.n_layers(); ++i) {
    if (std::holds_alternative<Attention::Config>(layers[i])) continue;
    auto& w = student.weights.layers[i].mixer;
    w = random_mixer(layers[i], base.spec.hidden_size, seed, fmt::format("layer {} ", i), head_of(base).device());
    if (!inherit) continue;
    inherit_attention(attention_of(base.spec, i), base.weights.layers[i].mixer, layers[i], base.spec.hidden_size, w);
  }
  return student;
}

std::vector<int> new_layers(const std::vector<MixerSpec>& layers) {
  std::vector<int> out;
  for (size_t i = 0; i < layers.size(); ++i) {
    if (!std::holds_alternative<Attention::Config>(layers[i]) && has_mixer(layers[i]))
      out.push_back(static_cast<int>(i));
  }
  return out;
}

std::vector<int> changed_mixers(const ModelSpec& base, const TorchModel& student) {
  auto out = changed_layers(base, student.spec);
  std::erase_if(out, [&](int l) { return !has_mixer(student.spec.layers[l]); });
  return out;
}

namespace {

// The output projection of one mixer becomes the ridge regression of `y` on what the mixer makes of x before it.
void fit_output(const TorchOps& ops, const MixerSpec& spec, int hidden, MixerWeights<Tensor>& w, const Tensor& x,
                const Tensor& y) {
  std::vector<AttentionRole> roles;
  const bool in_part = BlockList::visit(spec, [&]<class Block>(const typename Block::Config& c) {
    roles = Block::roles(c);
    if constexpr (requires { Block::new_part(c); }) {  // what lies beside it is the teacher's own
      MixerWeights<Tensor> part = Block::new_part(std::get<typename Block::template Weights<Tensor>>(w));  // handles
      fit_output(ops, Block::new_part(c), hidden, part, x, y);
      return true;
    }
    return false;
  });
  if (in_part) return;
  std::string projection;  // none: a block that has the attention's own
  for (const auto& r : roles)
    if (r.role == AttentionRole::o) projection = r.param;
  mixer_params(spec, hidden, w, [&](const std::string& name, Tensor& slot, const ParamSpec&) {
    if (name != projection) return;
    const Tensor own = slot;
    slot = at::eye(own.size(1), own.options());  // the mixer's output is now what it feeds the projection
    MixerState<Tensor> state;
    mixer_state(spec, hidden, state, [](const char*, Tensor&, const StateSpec&) {});
    TorchOps quiet = ops;
    quiet.first = Tensor();
    const Tensor z = mixer_forward(quiet, spec, w, x, state).flatten(0, 1);
    Tensor gram = at::matmul(z.t(), z);
    gram += at::eye(gram.size(0), gram.options()) * (0.01 * gram.diagonal().mean());
    own.copy_(at::linalg_solve(gram, at::matmul(z.t(), y.flatten(0, 1))).t());
    slot = own;
  });
}

// The mean distance of the keys that each head of an attention layer reads, [heads].
Tensor mean_look_back(const Teacher& teacher, int layer, const Tensor& x) {
  TorchOps ops = teacher.ops;
  std::vector<Tensor> maps;
  ops.attention_maps = &maps, ops.documents = nullptr, ops.first = Tensor();
  const MixerSpec& attention = teacher.spec().layers[layer];
  MixerState<Tensor> state;
  mixer_state(attention, teacher.spec().hidden_size, state, [](const char*, Tensor&, const StateSpec&) {});
  mixer_forward(ops, attention, teacher.model.weights.layers[layer].mixer, x, state);
  const int64_t tokens = x.size(1), sinks = std::min<int64_t>(kSinks, tokens - 1);
  const Tensor p = maps.at(0).narrow(-1, sinks, tokens - sinks);
  const Tensor place = at::arange(tokens, p.options());
  const Tensor distance = (place.unsqueeze(1) - place.narrow(0, sinks, tokens - sinks)).clamp_min(0);
  return (p * distance).sum({0, 2, 3}) / p.sum({0, 2, 3});
}

void start_decays(const MixerSpec& spec, int hidden, MixerWeights<Tensor>& w, const Tensor& ages) {
  const Tensor rates = at::log1p(1 / ages.clamp_min(1e-3));
  mixer_params(spec, hidden, w, [&](const std::string&, Tensor& slot, const ParamSpec& p) {
    if (p.init.kind == Init::decay_log) slot.zero_();
    if (p.init.kind != Init::softplus_inverse) return;
    const int64_t n = slot.numel();  // some a head, or one for some heads
    const Tensor head = at::arange(n, rates.options().dtype(at::kLong)) * rates.numel() / n;
    const Tensor y = rates.index_select(0, head.floor().to(at::kLong));
    slot.copy_((y + at::log(-at::expm1(-y))).view_as(slot));
  });
}

}  // namespace

void fit_start(const Teacher& teacher, TorchModel& student, const std::vector<int>& layers, const BatchStream& texts,
               bool look_back) {
  if (layers.empty()) return;
  const at::NoGradGuard no_grad;
  const Trace wanted = teach(teacher.ops, teacher.model, texts.batch({0, 0, texts.config.batch}).rows);
  for (int l : layers) {
    if (look_back) {
      start_decays(student.spec.layers[l], student.spec.hidden_size, student.weights.layers[l].mixer,
                   mean_look_back(teacher, l, wanted.mixer_in[l]));
    }
    fit_output(teacher.ops, student.spec.layers[l], student.spec.hidden_size, student.weights.layers[l].mixer,
               wanted.mixer_in[l], wanted.mixer_out[l]);
  }
}

Tensor align_loss(const Teacher& teacher, const TorchModel& student, const std::vector<int>& layers,
                  const BatchStream& texts, const Part& part, int kept) {
  Part drawn = part;
  if (kept > 0) drawn.step %= kept;
  const auto b = texts.batch(drawn);
  const Trace wanted = kept > 0 ? teacher.activations(texts.name, drawn, b, layers) : teacher.trace(b);
  return local_loss(teacher.ops, student, wanted, layers, b.states("student")) * b.share;
}

Tensor distill_loss(const TorchOps& ops, const DistillConfig& c, const Trace& teacher, const Trace& student,
                    const std::vector<int>& layers, const TorchBatch& rows) {
  Tensor loss = at::zeros({});
  if (c.kl_weight > 0) {
    loss =
        loss + c.kl_weight * kl_loss(ops, {student.hidden, student.head}, {teacher.hidden, teacher.head}, rows.weights);
  }
  if (c.feature_weight > 0 && !layers.empty()) {
    loss = loss + rows.share * c.feature_weight * mean_feature_loss(student.mixer_out, teacher.mixer_out, layers);
  }
  if (c.hidden_weight > 0) loss = loss + rows.share * c.hidden_weight * feature_loss(student.hidden, teacher.hidden);
  return loss;
}

Tensor end_to_end_loss(const Teacher& teacher, const TorchModel& student, const std::vector<int>& layers,
                       const BatchStream& texts, const Part& part, const DistillConfig& c) {
  TorchOps& ops = teacher.ops;
  const auto b = texts.batch(part);
  if (c.teacher_top > 0) {
    const Targets targets = teacher.targets(texts.name, part, b, c.teacher_top);
    const Tensor hidden = forward_with(ops, student, b.rows, own_mixers(ops, student));
    return c.kl_weight * kl_loss(ops, hidden, head_of(student), targets, b.weights);
  }
  const Trace wanted = teacher.trace(b);
  Trace own;
  forward_with(ops, student, b.rows, own_mixers(ops, student, b.states("student")), &own);
  return distill_loss(ops, c, wanted, own, layers, b);
}

NamedTensors scope_parameters(const ModelSpec& base, TorchModel& student, Scope scope) {
  const auto some = changed_layers(base, student.spec);
  return own_parameters(student, [&](const std::string& name) {
    if (scope == Scope::everything) return true;
    if (scope == Scope::layers) return layers_trained(name);
    if (!is_mixer_parameter(name)) return false;
    return scope == Scope::all_mixers || std::any_of(some.begin(), some.end(), [&](int l) {
             return name.starts_with(fmt::format("model.layers.{}.", l));
           });
  });
}

NamedTensors new_parts(const TorchModel& student, NamedTensors parameters) {
  for (int l = 0; l < student.spec.n_layers(); ++l) {
    std::string taken = fmt::format("model.layers.{}.self_attn.", l);
    const bool some = BlockList::visit(student.spec.layers[l], [&]<class Block>(const typename Block::Config&) {
      if constexpr (requires { Block::attention_part; }) return taken += Block::attention_part, true;
      return std::is_same_v<Block, Attention>;
    });
    if (some) std::erase_if(parameters, [&](const auto& p) { return p.first.starts_with(taken); });
  }
  return parameters;
}

TrainResult distill(Run& run, TorchModel& student, const std::string& name, const DistillConfig& c, Scope scope,
                    const std::function<void(const TrainResult&)>& so_far) {
  const Teacher& teacher = run.teacher;
  const auto changed = changed_mixers(teacher.spec(), student);
  require(!c.local || !changed.empty(), "{}: no layer differs from the base's; nothing can be trained locally", name);
  if (c.local) scope = Scope::changed_mixers;
  const BatchStream texts{run.data, name, c.train};
  const auto loss = [&](const Part& p) {
    return c.local ? c.feature_weight * align_loss(teacher, student, changed, texts, p)
                   : end_to_end_loss(teacher, student, changed, texts, p, c);
  };
  const auto doing = run.progress.training(WorkKind::distill, distill_passes(c));
  return train(
      {name, run.folder.checkpoint(name), c.train, scope_parameters(teacher.spec(), student, scope), loss, so_far});
}

}  // namespace jet
