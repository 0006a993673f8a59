#include "jet/train/trainer.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <chrono>
#include <cmath>
#include <numbers>

#include "jet/base/progress.h"

namespace jet {

using at::Tensor;

namespace {

constexpr double kSaveEverySeconds = 15;
using Clock = std::chrono::steady_clock;

struct State {
  int64_t step = 0;
  TrainResult result;
  double running = 0, since_sum = 0;  // running mean of the loss; sum since the last point of the curve
  int64_t since_count = 0;
  std::vector<Tensor> m, v, steps;

  Json to_json() const {
    return {{"step", step},
            {"curve", result.curve},
            {"seconds", result.seconds},
            {"diverged", result.diverged},
            {"spikes", result.spikes},
            {"running", running},
            {"since_sum", since_sum},
            {"since_count", since_count}};
  }
  void from_json(const Json& j) {
    step = j.at("step"), result.curve = j.at("curve"), result.seconds = j.at("seconds");
    result.diverged = j.at("diverged"), result.spikes = j.at("spikes"), running = j.at("running");
    since_sum = j.at("since_sum"), since_count = j.at("since_count");
  }
};

NamedTensors moments(const TrainJob& job, const State& s) {
  NamedTensors all;
  for (size_t i = 0; i < job.parameters.size(); ++i) {
    all.emplace_back("m." + job.parameters[i].first, s.m[i]);
    all.emplace_back("v." + job.parameters[i].first, s.v[i]);
  }
  return all;
}

// A finished checkpoint keeps the parameters alone.
void save(const TrainJob& job, const State& s, bool finished) {
  if (job.checkpoint.empty()) return;
  NamedTensors all = job.parameters;
  if (!finished) {
    for (auto& t : moments(job, s)) all.push_back(t);
  }
  save_tensors(job.checkpoint, all, DType::f32,
               {{"config", to_json_fields(job.config).dump()},
                {"state", s.to_json().dump()},
                {"finished", finished ? "1" : "0"}});
}

// True where a finished checkpoint was found.
bool resume(const TrainJob& job, State& s) {
  if (job.checkpoint.empty() || !file_exists(job.checkpoint)) return false;
  const SafeTensors file = SafeTensors::open(job.checkpoint);
  const auto& meta = file.metadata();
  const auto value = [&](const char* key) {
    require(meta.count(key) > 0, "{}: no '{}' in its metadata; remove the file to train again", job.checkpoint, key);
    return meta.at(key);
  };
  require(value("config") == to_json_fields(job.config).dump(),
          "{}: made with another training config ({}); remove it or choose another --out", job.checkpoint,
          value("config"));
  s.from_json(parse_json(value("state"), job.checkpoint));
  load_tensors(job.checkpoint, job.parameters);
  const bool finished = value("finished") == "1";
  if (!finished) load_tensors(job.checkpoint, moments(job, s));
  for (auto& t : s.steps) t.fill_(static_cast<double>(s.step));
  return finished;
}

void record(State& s, double loss, int64_t tokens, bool point) {
  s.running = s.running == 0 ? loss : 0.95 * s.running + 0.05 * loss;
  if (loss > 2 * s.running) ++s.result.spikes;
  s.since_sum += loss;
  ++s.since_count;
  if (!point) return;
  s.result.curve.emplace_back(tokens, s.since_sum / static_cast<double>(s.since_count));
  s.since_sum = 0;
  s.since_count = 0;
}

// One step; false where loss or gradient is not finite (nothing is changed then).
bool step_once(const TrainJob& job, State& s, const std::vector<Tensor>& leaves, double& loss_value) {
  std::vector<Tensor> grads(leaves.size());
  loss_value = 0;
  for (const Part& part : parts_of(s.step, job.config.batch, job.config.accumulate)) {
    const Tensor loss = job.loss(part);
    loss_value += loss.item<double>();
    if (!std::isfinite(loss_value)) return false;
    const auto own = torch::autograd::grad({loss}, leaves, {}, std::nullopt, false, /*allow_unused=*/true);
    for (size_t i = 0; i < own.size(); ++i) {
      if (own[i].defined()) grads[i] = grads[i].defined() ? grads[i] + own[i] : own[i];
    }
  }
  const at::NoGradGuard no_grad;
  Tensor square = at::zeros({});
  for (size_t i = 0; i < grads.size(); ++i) {
    if (!grads[i].defined()) grads[i] = at::zeros_like(leaves[i]);
    square += grads[i].square().sum();
  }
  const double norm = std::sqrt(square.item<double>());
  if (!std::isfinite(norm)) return false;
  if (norm > job.config.clip) {
    for (auto& g : grads) g.mul_(job.config.clip / norm);
  }
  const TrainConfig& c = job.config;
  for (auto& t : s.steps) t.add_(1);
  at::_fused_adamw_(leaves, grads, s.m, s.v, {}, s.steps, c.lr_at(s.step), c.beta1, c.beta2, c.weight_decay, 1e-8,
                    false, false);
  return true;
}

}  // namespace

std::vector<Part> parts_of(int64_t step, int batch, int n) {
  require(1 <= n && n <= batch, "a batch of {} rows cannot be cut into {} parts; each needs a row", batch, n);
  std::vector<Part> parts;
  for (int i = 0; i < n; ++i) {
    const auto from = static_cast<int>(int64_t{batch} * i / n), to = static_cast<int>(int64_t{batch} * (i + 1) / n);
    parts.push_back({step, from, to - from});
  }
  return parts;
}

double TrainConfig::lr_at(int64_t step) const {
  const auto n = static_cast<double>(steps()), t = static_cast<double>(step);
  const double ramp = std::max(1.0, warmup * n);
  if (t < ramp) return lr * (t + 1) / (ramp + 1);
  const double done = (t - ramp) / std::max(1.0, n - ramp);
  return lr * (min_lr + (1 - min_lr) * 0.5 * (1 + std::cos(std::numbers::pi * done)));
}

Json to_json(const TrainResult& r) {
  return {{"curve", r.curve},   {"seconds", r.seconds}, {"diverged", r.diverged},
          {"spikes", r.spikes}, {"tokens", r.tokens},   {"train_tps", r.tokens_per_second()}};
}

TrainResult train(const TrainJob& job) {
  const int64_t per_step = job.config.tokens_per_step(), total = job.config.steps();
  State s;
  std::vector<Tensor> leaves;
  for (const auto& [name, t] : job.parameters) {
    leaves.push_back(t);
    s.m.push_back(at::zeros_like(t));
    s.v.push_back(at::zeros_like(t));
    s.steps.push_back(at::zeros({}, at::kFloat));
  }
  if (!resume(job, s)) {
    for (auto& t : leaves) t.requires_grad_(true);
    Progress progress(job.name, total * per_step, "tokens", s.step * per_step);
    auto saved = Clock::now(), last = saved;
    const int64_t every = std::max<int64_t>(1, total / 100);
    while (s.step < total && !s.result.diverged) {
      double loss = 0;
      if (!step_once(job, s, leaves, loss)) {
        s.result.diverged = true;
        break;
      }
      ++s.step;
      record(s, loss, s.step * per_step, s.step % every == 0 || s.step == total);
      const auto now = Clock::now();
      s.result.seconds += std::chrono::duration<double>(now - last).count();
      last = now;
      progress.update(s.step * per_step, fmt::format("loss {:.4f}", s.running));
      if (std::chrono::duration<double>(now - saved).count() > kSaveEverySeconds && s.step < total) {
        save(job, s, false);
        saved = last = Clock::now();
      }
    }
    for (auto& t : leaves) t.requires_grad_(false);
    save(job, s, true);
    progress.finish(s.result.diverged ? "diverged" : fmt::format("loss {:.4f}", s.result.last_loss()));
  }
  s.result.tokens = s.step * per_step;
  return s.result;
}

}  // namespace jet
