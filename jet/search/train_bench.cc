#include "jet/search/train_bench.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <torch/csrc/autograd/autograd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>

#include "jet/base/progress.h"
#include "jet/eval/machine.h"
#include "jet/eval/machine_info.h"
#include "jet/model/shapes.h"
#include "jet/model/train_plan.h"
#include "jet/search/device.h"
#include "jet/search/peak_memory.h"
#include "jet/search/student.h"
#include "jet/train/recurrence.h"

namespace jet {

using at::Tensor;

namespace {

// A model folder of random bf16 matrices, written a tensor at a time.
void write_random(const ModelSpec& spec, uint64_t seed, const std::string& folder) {
  struct Nothing {};
  ModelWeights<Nothing> w;
  std::vector<TensorToWrite> list;
  model_params(spec, w, [&](const std::string& name, Nothing&, const ParamSpec& p) {
    list.push_back({name, p.is_matrix() ? DType::bf16 : DType::f32, p.shape});
  });
  std::filesystem::create_directories(folder);
  SafeTensorsWriter file(folder + "/model.safetensors", list);
  at::manual_seed(seed);
  Progress progress("random weights", static_cast<int64_t>(list.size()), "tensors");
  int64_t done = 0;
  model_params(spec, w, [&](const std::string& name, Nothing&, const ParamSpec& p) {
    const Tensor t =
        p.is_matrix() ? at::empty(p.shape, at::kBFloat16).uniform_(-0.03, 0.03) : init_tensor(p, seed, name);
    file.write(t.data_ptr());
    progress.update(++done);
  });
  file.commit();
  progress.finish();
  write_file(folder + "/config.json", json_text(Json{{"model_type", "jet_cpp"}, {"spec", spec_to_json(spec)}}));
}

TorchModel open_base(const TrainBenchOptions& o) {
  require(o.model.empty() != o.shape.empty(), "bench train: name a model folder or a --shape (known: {})",
          fmt::join(shape_names(), ", "));
  if (o.shape.empty()) return TorchModel::map(o.model);
  const ModelSpec spec = shape_spec(o.shape);
  for (int i = 0; i < spec.n_layers(); ++i) attention_of(spec, i);  // throws before anything is written
  const std::string folder = fmt::format("{}/jet-bench-{}", std::filesystem::temp_directory_path().string(), getpid());
  write_random(spec, o.seed, folder);
  TorchModel base = TorchModel::map(folder);
  std::filesystem::remove_all(folder);  // it lives on as long as it is mapped
  return base;
}

double elapsed(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// FLOP/s of products of this type: out of registers on the CPU, else the best of some large ones.
double peak_flops(at::Device device, at::ScalarType type) {
  if (device.is_cpu()) {
    ThreadPool pool(at::get_num_threads());
    return gemm_peak(pool, type == at::kBFloat16 ? DType::bf16 : DType::f32).best;
  }
  const int64_t n = device.is_cuda() ? 8192 : 128;
  // Not of equal numbers: a GPU multiplies those faster, as they cost less power.
  const Tensor a = at::rand({n, n}, at::TensorOptions(at::kFloat).device(device)).to(type);
  double best = 0;
  for (int i = 0; i < 5; ++i) {
    const auto start = std::chrono::steady_clock::now();
    at::matmul(a, a)[0][0].item<double>();  // which waits for it
    best = std::max(best, 2.0 * n * n * n / elapsed(start));
  }
  return best;
}

// Most bytes at once, since it was made: of a GPU, or of this process.
class DeviceMemory {
 public:
  explicit DeviceMemory(at::Device device) : device_(device) {
    if (device_.is_cuda()) c10::getDeviceAllocator(at::kCUDA)->resetPeakStats(device_.index());
  }
  int64_t peak() const {
    if (!device_.is_cuda()) return process_.resident();
    const auto stats = c10::getDeviceAllocator(at::kCUDA)->getDeviceStats(device_.index());
    return stats.allocated_bytes[static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE)].peak;
  }
  int64_t anonymous() const { return process_.anonymous(); }

 private:
  at::Device device_;
  PeakMemory process_;
};

struct Bench {
  explicit Bench(const TrainBenchOptions& options)
      : o(options), device(device_named(options.device, "bench train")), base(open_base(options).to(device)) {
    ops.device = device;
    for (const auto& [name, t] : base.parameters()) base_bytes += static_cast<int64_t>(t.nbytes());
    plan.rows = o.rows, plan.length = o.length, plan.activation_bytes = sizeof(float);
    plan.logit_chunk = positions_at_once(base.spec.vocab_size, device);
    ops.recompute = !o.keep_activations;
  }

  const TrainBenchOptions& o;
  at::Device device;
  TorchModel base;
  int64_t base_bytes = 0;
  TrainOptions plan;
  TorchOps ops;
  Json lines = Json::array();

  TorchBatch batch(int64_t step, const Part& p) const {
    at::manual_seed(o.seed + static_cast<uint64_t>(step));
    const Tensor ids = at::randint(base.spec.vocab_size, {o.rows, o.length}, at::kLong).to(device);
    const Tensor own = ids.narrow(0, p.from, p.rows), next = own.narrow(1, 1, o.length - 1);
    const Tensor weights = at::full(next.sizes(), 1.0 / (double(o.rows) * (o.length - 1)), device);
    return {own, next, weights, static_cast<double>(p.rows) / o.rows};
  }

  /// Times `work`, which returns its seconds.
  void line(const std::string& what, const std::string& block, const StagePlan& p, double flops, double bytes,
            const std::function<double()>& work) {
    const double peak = peak_flops(device, ops.compute);
    const DeviceMemory memory(device);
    const double seconds = work();
    const double tokens = static_cast<double>(o.rows) * o.length * o.steps, tps = tokens / seconds;
    lines.push_back({{"what", what},
                     {"block", block},
                     {"tokens", tokens},
                     {"seconds", seconds},
                     {"tps", tps},
                     {"trained", p.trained},
                     {"flops", flops},
                     {"peak_flops", peak},
                     {"share", tps * flops / peak},
                     {"peak_bytes", memory.peak()},
                     {"anonymous_bytes", memory.anonymous()},
                     {"predicted_bytes", bytes}});
  }

  /// Whole training steps of what `parameters` are.
  void steps(const std::string& what, const std::string& block, const StagePlan& p, bool local,
             const std::function<NamedTensors()>& parameters, const std::function<Tensor(const Part&)>& loss) {
    const bool recompute = ops.recompute && !local;
    const double bytes = static_cast<double>(base_bytes) + 16 * p.trained + p.target_bytes + p.logit_bytes +
                         (recompute ? p.checkpointed_bytes : p.activation_bytes);
    line(what, block, p, p.flops(recompute), bytes, [&] {
      const NamedTensors own = parameters();
      const auto seconds_of = [&](int steps) {
        TrainConfig c{.batch = o.rows, .length = o.length, .on_disk = o.on_disk};
        c.tokens = steps * c.tokens_per_step();
        const TrainResult r = train({fmt::format("{} {}", what, block), "", c, own, loss});
        require(!r.diverged, "bench train: {}: the loss is not finite", what);
        return r.seconds;
      };
      if (!device.is_cpu()) seconds_of(1);  // loads the kernels
      return seconds_of(o.steps);
    });
  }
};

void bench_teacher(Bench& b) {
  const StagePlan p = plan_distillation("teacher", b.base.spec, b.base.spec, is_mixer_parameter, b.plan);
  StagePlan none = p;
  none.trained = 0;
  b.line("teacher", "", none, p.teacher_flops, static_cast<double>(b.base_bytes) + p.target_bytes + p.logit_bytes, [&] {
    const at::NoGradGuard no_grad;
    const auto pass = [&](int step) {
      const TorchBatch rows = b.batch(step, {step, 0, b.o.rows});
      const Trace t = teach(b.ops, b.base, rows.rows);
      next_token_loss(b.ops, t.hidden, t.head, rows.next, rows.weights).item<double>();  // GPUs are waited for
    };
    if (!b.device.is_cpu()) pass(0);
    const auto start = std::chrono::steady_clock::now();
    for (int step = 0; step < b.o.steps; ++step) pass(step);
    return elapsed(start);
  });
}

// One path: as many full layers as the plan counts, evenly spaced.
void bench_supernet(Bench& b) {
  const int n = b.base.spec.n_layers(), full = static_cast<int>(b.plan.full_share * n + 0.5);
  TorchModel branches = make_student(b.base, with_block(b.base.spec, b.o.branch, 0).layers, b.o.seed);
  TorchModel path = b.base;
  path.spec = with_block(b.base.spec, b.o.branch, full);
  const std::vector<int> linear = changed_layers(b.base.spec, path.spec);
  const auto parameters = [&] {
    NamedTensors own = own_parameters(branches, is_mixer_parameter);
    for (int l : linear) path.weights.layers[l].mixer = branches.weights.layers[l].mixer;
    return own;
  };
  b.steps("supernet", b.o.branch, plan_supernet(b.base.spec, b.o.branch, b.plan), false, parameters,
          [&](const Part& part) {
            const TorchBatch rows = b.batch(part.step, part);
            const Trace teacher = teach(b.ops, b.base, rows.rows);
            Trace own;
            forward_with(b.ops, b.base, rows.rows, own_mixers(b.ops, path), &own);
            return distill_loss(b.ops, {}, teacher, own, linear, rows);
          });
}

// A line that trains a student, and what of it.
struct TrainedLine {
  std::string line, what;
  Scope scope;
  IsTrained trained;
};
const std::vector<TrainedLine> kTrainedLines = {
    {"stage1", "stage 1", Scope::all_mixers, is_mixer_parameter},
    {"local", "stage 1, local", Scope::changed_mixers, is_mixer_parameter},
    {"stage2", "stage 2", Scope::everything, all_trained},
    {"stage2-layers", "stage 2, layers", Scope::layers, layers_trained},
};

void bench_stage(Bench& b, const TrainedLine& s, const std::string& block, const ModelSpec& spec) {
  TorchModel student = make_student(b.base, spec.layers, b.o.seed);
  const bool local = s.line == "local";
  const std::vector<int> changed = changed_layers(b.base.spec, spec);
  const StagePlan plan =
      local ? plan_local(b.base.spec, spec, b.plan) : plan_distillation(s.line, b.base.spec, spec, s.trained, b.plan);
  const auto parameters = [&] { return scope_parameters(b.base.spec, student, s.scope); };
  b.steps(s.what, block, plan, local, parameters, [&](const Part& part) {
    const TorchBatch rows = b.batch(part.step, part);
    const Trace teacher = teach(b.ops, b.base, rows.rows);
    if (local) return local_loss(b.ops, student, teacher, changed) * rows.share;
    Trace own;
    forward_with(b.ops, student, rows.rows, own_mixers(b.ops, student), &own);
    return distill_loss(b.ops, {}, teacher, own, changed, rows);
  });
}

/// The gated delta rule by itself, of one layer with heads as many and as large as the block's: forward and backward.
void bench_recurrence(Bench& b, const std::string& block, const ModelSpec& spec) {
  const Json dims = mixer_to_json(spec.layers[changed_layers(b.base.spec, spec).front()]);
  const int64_t rows = b.o.rows, tokens = b.o.length, H = dims.at("heads"), K = dims.at("dk"), V = dims.at("dv");
  at::manual_seed(b.o.seed);
  Recurrence<Tensor> r;
  const auto there = at::TensorOptions(b.device);
  r.q = at::randn({rows, tokens, H, K}, there), r.k = at::randn({rows, tokens, H, K}, there);
  r.v = at::randn({rows, tokens, H, V}, there);
  r.k = r.k / r.k.norm(2, {-1}, true);
  r.g = -0.1 * at::rand({rows, tokens, H}, there), r.beta = at::rand({rows, tokens, H}, there);
  r.scale = 1 / std::sqrt(static_cast<float>(K));
  std::vector<Tensor> inputs = {r.q, r.k, r.v, r.g, r.beta};
  for (Tensor& x : inputs) x.requires_grad_(true);
  const Tensor weights = at::randn({rows, tokens, H, V}, there);
  const auto step = [&] {
    const auto grads = torch::autograd::grad({(chunked_recurrence(r, {}).first * weights).sum()}, inputs);
    grads.back().flatten()[0].item<double>();
  };
  StagePlan nothing;
  // Products with the state and, half of each square, within a chunk of 32; backward twice as many.
  const double flops = 3.0 * static_cast<double>(H * (6 * K * V + 2 * 32 * (K + V)));
  b.line("recurrence", block, nothing, flops, 0, [&] {
    step();
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < b.o.steps; ++i) step();
    return elapsed(start);
  });
}

}  // namespace

std::vector<std::string> train_bench_lines() {
  return {"teacher", "supernet", "stage1", "local", "stage2", "stage2-layers", "recurrence"};
}

Json train_bench(const TrainBenchOptions& o) {
  const auto known = train_bench_lines();
  for (const auto& line : o.lines) {
    require(std::find(known.begin(), known.end(), line) != known.end(), "bench train: no line '{}' (known: {})", line,
            fmt::join(known, ", "));
  }
  require(o.rows > 0 && o.length > 1 && o.steps > 0, "bench train: rows and steps must be positive, length above 1");
  const auto wanted = [&](const std::string& line, bool unasked = true) {
    return o.lines.empty() ? unasked : std::find(o.lines.begin(), o.lines.end(), line) != o.lines.end();
  };
  at::set_num_threads(threads_asked(o.threads));
  Bench b(o);
  b.ops.compute = precision_named(o.precision, b.device);
  require(o.full >= 0 && o.full < b.base.spec.n_layers(), "bench train: --full {} of {} layers; one must be replaced",
          o.full, b.base.spec.n_layers());
  if (wanted("teacher")) bench_teacher(b);
  if (wanted("supernet")) bench_supernet(b);
  for (const auto& block : o.student.empty() ? o.blocks : std::vector{o.student}) {
    ModelSpec spec = b.base.spec;
    spec.layers = (o.student.empty() ? with_block(b.base.spec, block, o.full) : shape_spec(o.student)).layers;
    for (const TrainedLine& s : kTrainedLines) {
      if (wanted(s.line, s.scope != Scope::layers)) bench_stage(b, s, block, spec);
    }
    if (wanted("recurrence", false)) bench_recurrence(b, block, spec);
  }
  return {{"format", "jet bench train 1"},
          {"machine", machine_name(at::get_num_threads())},
          {"device", b.device.str()},
          {"model", o.shape.empty() ? o.model : o.shape},
          {"student", o.student},
          {"precision", b.ops.compute == at::kBFloat16 ? "bf16" : "fp32"},
          {"rows", o.rows},
          {"length", o.length},
          {"steps", o.steps},
          {"checkpoint_activations", b.ops.recompute},
          {"on_disk", o.on_disk},
          {"parameters", parameter_count(b.base.spec)},
          {"base_bytes", b.base_bytes},
          {"lines", b.lines}};
}

std::string train_bench_text(const Json& r) {
  const auto text = [](const Json& j, const char* key) { return j.at(key).get<std::string>(); };
  const bool gpu = text(r, "device") != "cpu";
  std::string s = fmt::format(
      "{}{}\n{}: {} parameters, {:.2f} GB{}; {} x {} tokens a step, {} step{}, {} products, "
      "activations {}{}\n\n",
      text(r, "machine"), gpu ? ", " + text(r, "device") : "", text(r, "model"),
      format_count(r.at("parameters").get<double>()), r.at("base_bytes").get<double>() * 1e-9, gpu ? "" : " mapped",
      r.at("rows").get<int>(), r.at("length").get<int>(), r.at("steps").get<int>(), r.at("steps") == 1 ? "" : "s",
      text(r, "precision"), r.at("checkpoint_activations").get<bool>() ? "recomputed" : "kept",
      r.at("on_disk").get<bool>() ? ", what is trained on disk" : "");
  s += fmt::format("{:<15} {:<16} {:>9} {:>8} {:>12} {:>8} {:>8} {:>9} {:>9} {:>10}\n", "", "", "tokens/s", "trained",
                   "GFLOP/token", "GFLOP/s", "of peak", "peak GB", "anonymous", "cost model");
  for (const Json& l : r.at("lines")) {
    const auto number = [&](const char* key, double scale = 1) { return l.at(key).get<double>() * scale; };
    s += fmt::format("{:<15} {:<16} {:>9.1f} {:>8} {:>12.2f} {:>8.1f} {:>6.0f} % {:>9.2f} {:>9.2f} {:>10.2f}\n",
                     text(l, "what"), text(l, "block"), number("tps"), format_count(number("trained")),
                     number("flops", 1e-9), number("tps") * number("flops", 1e-9), 100 * number("share"),
                     number("peak_bytes", 1e-9), number("anonymous_bytes", 1e-9), number("predicted_bytes", 1e-9));
  }
  return s;
}

}  // namespace jet
