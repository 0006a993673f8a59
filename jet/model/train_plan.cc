#include "jet/model/train_plan.h"

#include <algorithm>
#include <map>

#include "jet/base/error.h"
#include "jet/model/transformer.h"

namespace jet {

const std::vector<Gpu>& known_gpus() {
  // NVIDIA's data sheets of the SXM boards: dense bf16 products on tensor cores, memory, its bandwidth, NVLink one way;
  // the network of DGX nodes, one adapter a GPU: HDR 200 Gb/s (A100), NDR 400 Gb/s (H100, H200).
  static const std::vector<Gpu> gpus = {
      {"a100", 312e12, 80e9, 2.039e12, 300e9, 25e9},  // of 80 GB
      {"h100", 989e12, 80e9, 3.35e12, 450e9, 50e9},
      {"h200", 989e12, 141e9, 4.8e12, 450e9, 50e9},
  };
  return gpus;
}

Gpu gpu_named(const std::string& name) {
  std::string known;
  for (const Gpu& g : known_gpus()) {
    if (g.name == name) return g;
    known += (known.empty() ? "" : ", ") + g.name;
  }
  fail("gpu '{}' is unknown (known: {})", name, known);
}

double StagePlan::memory(int64_t gpus, bool checkpointed) const {
  return weight_bytes + gradient_bytes + optimiser_bytes / static_cast<double>(gpus) + target_bytes + logit_bytes +
         (checkpointed ? checkpointed_bytes : activation_bytes);
}

double StagePlan::compute_seconds(double tokens, int64_t gpus, const Gpu& gpu, double mfu, bool checkpointed) const {
  return tokens * flops(checkpointed) / (static_cast<double>(gpus) * gpu.bf16_flops * mfu);
}

double StagePlan::reduce_seconds(int64_t gpus, const Gpu& gpu) const {
  const auto n = static_cast<double>(gpus);
  return 2 * gradient_bytes * (n - 1) / n / (gpus <= 8 ? gpu.nvlink : gpu.network);
}

double StagePlan::unfused_mfu(const Gpu& gpu, bool checkpointed) const {
  const double products = flops(checkpointed) / gpu.bf16_flops;
  return products / (products + moved_bytes / gpu.bandwidth);
}

bool StagePlan::needs_checkpoints(int64_t gpus, const Gpu& gpu) const {
  if (memory(gpus, false) <= kUsableMemory * gpu.memory_bytes) return false;
  const double least = memory(gpus, true);
  require(least <= kUsableMemory * gpu.memory_bytes,
          "{}: needs {:.1f} GB on each of {} {} with {:.0f} GB, even with checkpointed activations; take fewer --rows",
          name, least * 1e-9, gpus, gpu.name, gpu.memory_bytes * 1e-9);
  return true;
}

namespace {

constexpr double kHalf = 2, kFloat = 4;  // bytes of bf16 and fp32

CountPass pass_of(const TrainOptions& o) {
  require(o.rows > 0 && o.length > 1 && o.logit_chunk > 0,
          "plan: rows {}, length {} and logit chunk {} must be positive", o.rows, o.length, o.logit_chunk);
  return {.sequences = o.rows, .tokens = o.length, .logits = o.length, .chunk = kTrainChunk};
}

using Sizes = std::map<std::string, double>;

/// Numbers by parameter.
Sizes sizes_of(const ModelSpec& spec) {
  struct Nothing {};
  ModelWeights<Nothing> w;
  Sizes sizes;
  model_params(spec, w, [&](const std::string& name, Nothing&, const ParamSpec& p) {
    sizes[name] = static_cast<double>(numel(p.shape));
  });
  return sizes;
}

double sum_of(const Sizes& sizes, const IsTrained& wanted) {
  double sum = 0;
  for (const auto& [name, n] : sizes) sum += wanted(name) ? n : 0;
  return sum;
}

/// FLOPs and activations of a student and its teacher.
void count_step(StagePlan& plan, const ModelSpec& base, const ModelSpec& student, const IsTrained& trained,
                const TrainOptions& o) {
  const CountPass pass = pass_of(o);
  const CountTypes types = plain_types(DType::bf16, o.activation_bytes);
  const double tokens = static_cast<double>(pass.rows()), hidden = o.activation_bytes * tokens * student.hidden_size;
  const ModelCost cost = count_model(student, pass, types, trained);
  const Count total = cost.total(), ends = cost.layer(student.layers.size());
  const Count teacher = count_model(base, pass, types).total();
  const auto moved = [](const Count& c) { return c.activation_bytes + c.weight_bytes + c.state_bytes(); };
  plan.teacher_flops = teacher.flops / tokens;
  plan.moved_bytes = (moved(teacher) + 3 * moved(total)) / tokens;
  plan.forward_flops = total.flops / tokens;
  plan.backward_flops = total.backward_flops / tokens;
  plan.recompute_flops = (total.flops - ends.flops) / tokens;
  double most = 0;
  for (size_t i = 0; i < student.layers.size(); ++i) most = std::max(most, cost.layer(i).saved_bytes);
  plan.activation_bytes = std::max(plan.activation_bytes, total.saved_bytes);
  plan.checkpointed_bytes = std::max(plan.checkpointed_bytes, ends.saved_bytes + most + hidden * student.n_layers());
  plan.target_bytes = 2 * hidden * student.n_layers();
  plan.logit_bytes = 4 * kFloat * static_cast<double>(std::min(o.logit_chunk, pass.rows())) * student.vocab_size;
}

void price_parameters(StagePlan& plan) {
  plan.weight_bytes = kHalf * (plan.trained + plan.frozen);
  plan.gradient_bytes = kFloat * plan.trained;
  plan.optimiser_bytes = 3 * kFloat * plan.trained;
}

void require_alike(const ModelSpec& base, const ModelSpec& student) {
  require(base.vocab_size == student.vocab_size && base.hidden_size == student.hidden_size &&
              base.n_layers() == student.n_layers(),
          "plan: a student of {} layers, hidden {}, vocabulary {} for a base of {}, {}, {}", student.n_layers(),
          student.hidden_size, student.vocab_size, base.n_layers(), base.hidden_size, base.vocab_size);
}

}  // namespace

ModelSpec with_block(const ModelSpec& base, const std::string& kind, int n_full) {
  ModelSpec out = base;
  const int n = base.n_layers();
  for (int i = 0; i < n; ++i) {
    const bool full = (i + 1) * n_full / n > i * n_full / n;
    const auto& attention = attention_of(base, i);
    if (!full) out.layers[i] = make_mixer(kind, attention);
  }
  return out;
}

StagePlan plan_supernet(const ModelSpec& base, const std::string& branch, const TrainOptions& o) {
  require(o.full_share >= 0 && o.full_share <= 1, "plan: a full share of {} is not within 0 .. 1", o.full_share);
  StagePlan plan{.name = "supernet"};
  const ModelSpec linear = with_block(base, branch, 0);
  plan.trained = sum_of(sizes_of(linear), is_mixer_parameter);
  plan.frozen = sum_of(sizes_of(base), all_trained);
  // Memory must hold the path that needs most, all linear; work is the mean path's.
  count_step(plan, base, linear, is_mixer_parameter, o);
  const ModelSpec path = with_block(base, branch, static_cast<int>(o.full_share * base.n_layers() + 0.5));
  const auto trained = [&](const std::string& name) {
    if (!is_mixer_parameter(name)) return false;
    const int layer = std::stoi(name.substr(std::string("model.layers.").size()));
    return !std::holds_alternative<Attention::Config>(path.layers[layer]);
  };
  count_step(plan, base, path, trained, o);
  price_parameters(plan);
  return plan;
}

StagePlan plan_distillation(const std::string& name, const ModelSpec& base, const ModelSpec& student,
                            const IsTrained& trained, const TrainOptions& o) {
  require_alike(base, student);
  StagePlan plan{.name = name};
  const Sizes own = sizes_of(student), theirs = sizes_of(base);
  plan.trained = sum_of(own, trained);
  // The teacher's: all of it; what the student leaves frozen is the teacher's, too.
  plan.frozen = sum_of(theirs, all_trained);
  count_step(plan, base, student, trained, o);
  price_parameters(plan);
  return plan;
}

StagePlan plan_local(const ModelSpec& base, const ModelSpec& student, const TrainOptions& o) {
  require_alike(base, student);
  StagePlan plan{.name = "local"};
  const CountPass pass = pass_of(o);
  const CountTypes types = plain_types(DType::bf16, o.activation_bytes);
  const double tokens = static_cast<double>(pass.rows());
  CountOps ops(pass, types);
  for (int l : changed_layers(base, student)) {
    ops.enter(static_cast<size_t>(l));
    MixerWeights<CountWeight> w;
    mixer_params(student.layers[l], student.hidden_size, w, [&](const char*, CountWeight& own, const ParamSpec& p) {
      own = {p.shape, DType::bf16, true, true};
      plan.trained += static_cast<double>(numel(p.shape));
    });
    MixerState<CountState> state;
    mixer_state(student.layers[l], student.hidden_size, state, [](const char*, CountState&, const StateSpec&) {});
    mixer_forward(ops, student.layers[l], w, ops.input({student.hidden_size}, false), state);
  }
  const Count total = ModelCost{ops.layers()}.total();
  const ModelCost teacher = count_model(base, pass, types);
  plan.frozen = sum_of(sizes_of(base), all_trained);
  plan.teacher_flops = (teacher.total().flops - teacher.layer(base.layers.size()).flops) / tokens;
  plan.forward_flops = total.flops / tokens;
  plan.backward_flops = total.backward_flops / tokens;
  plan.activation_bytes = plan.checkpointed_bytes = total.saved_bytes;
  plan.target_bytes = 2 * o.activation_bytes * tokens * student.hidden_size * student.n_layers();
  price_parameters(plan);
  return plan;
}

std::vector<int> changed_layers(const ModelSpec& base, const ModelSpec& student) {
  std::vector<int> changed;
  for (int i = 0; i < student.n_layers(); ++i) {
    if (mixer_to_json(student.layers[i]) != mixer_to_json(base.layers[i])) changed.push_back(i);
  }
  return changed;
}

}  // namespace jet
