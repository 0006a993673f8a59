#include "jet/train/trainer.h"

#include <ATen/core/grad_mode.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <numbers>

#include "jet/base/number.h"
#include "jet/base/progress.h"
#include "jet/train/gradients.h"
#include "jet/train/scratch.h"

namespace jet {

using at::Tensor;

namespace {

using Clock = std::chrono::steady_clock;

// How long a kill may set a training back.
double seconds_between_checkpoints() {
  const char* text = std::getenv("JET_SAVE_SECONDS");
  return text ? read_number("JET_SAVE_SECONDS", text, 0.0, 1e9) : 15;
}

struct State {
  int64_t step = 0;
  TrainResult result;
  double running = 0, since_sum = 0;  // running mean of the loss; sum since the last point of the curve
  int64_t since_count = 0;
  std::vector<int> owners;    // the process that keeps a parameter's moments
  std::vector<Tensor> m, v;   // undefined where another process keeps them
  std::vector<Tensor> steps;  // of the parameters that this one keeps

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

Tensor on_disk(const TrainJob& job, const Tensor& like) {
  const std::string folder =
      job.checkpoint.empty() ? std::filesystem::temp_directory_path().string() : job.checkpoint + ".scratch";
  return zeros_on_disk(folder, like.sizes());
}

// Moves the parameters to files, where whoever holds them sees them now; returns room for their gradients.
std::vector<Tensor> move_to_disk(const TrainJob& job) {
  require(world().alone(), "{}: on_disk is for one process; many share the moments out instead", job.name);
  std::vector<Tensor> room;
  for (const auto& [name, t] : job.parameters) {
    require(t.is_cpu(), "{}: on_disk is for the CPU; '{}' lies on {}", job.name, name, t.device().str());
    Tensor there = on_disk(job, t);
    there.copy_(t);
    t.set_data(there);
    room.push_back(on_disk(job, t));
  }
  return room;
}

// Those of this process; in the first one also room for the others'.
NamedTensors moments(const TrainJob& job, const State& s) {
  NamedTensors all;
  for (size_t i = 0; i < job.parameters.size(); ++i) {
    for (const auto& [prefix, own] : {std::pair{"m.", s.m[i]}, std::pair{"v.", s.v[i]}}) {
      if (!own.defined() && !world().first()) continue;
      all.emplace_back(prefix + job.parameters[i].first,
                       own.defined() ? own : at::empty_like(job.parameters[i].second));
    }
  }
  return all;
}

// Brings the moments of other processes to the first one, or back.
void move_moments(const State& s, const NamedTensors& all, bool to_first) {
  size_t next = 0;
  for (size_t i = 0; i < s.owners.size(); ++i) {
    const int owner = s.owners[i];
    if (!world().first() && owner != world().rank()) continue;
    for (int k = 0; k < 2; ++k, ++next) {
      if (owner != 0) world().move(all[next].second, to_first ? owner : 0, to_first ? 0 : owner);
    }
  }
}

void share_parameters(const TrainJob& job, const std::vector<int>& from) {
  if (world().alone()) return;
  for (size_t i = 0; i < from.size(); ++i) world().start_broadcast(job.parameters[i].second, from[i]);
  world().wait();
}

// A finished checkpoint keeps the parameters alone.
void save(const TrainJob& job, const State& s, bool finished) {
  if (job.checkpoint.empty()) return;
  NamedTensors all = job.parameters;
  if (!finished) {
    const NamedTensors own = moments(job, s);
    move_moments(s, own, /*to_first=*/true);
    all.insert(all.end(), own.begin(), own.end());
  }
  if (!world().first()) return;
  save_tensors(job.checkpoint, all, DType::f32,
               {{"config", json_text(to_json_fields(job.config))},
                {"state", json_text(s.to_json())},
                {"finished", finished ? "1" : "0"}});
}

// {"state", "finished"} of the checkpoint, or null where there is none.
Json checkpoint_state(const TrainJob& job) {
  if (job.checkpoint.empty() || !file_exists(job.checkpoint)) return nullptr;
  const SafeTensors file = SafeTensors::open(job.checkpoint);
  const auto& meta = file.metadata();
  const auto value = [&](const char* key) {
    require(meta.count(key) > 0, "{}: no '{}' in its metadata; remove the file to train again", job.checkpoint, key);
    return meta.at(key);
  };
  require(value("config") == json_text(to_json_fields(job.config)),
          "{}: made with another training config ({}); remove it or choose another --out", job.checkpoint,
          value("config"));
  return {{"state", parse_json(value("state"), job.checkpoint)}, {"finished", value("finished") == "1"}};
}

// Begins with what the first process has, from the checkpoint or not. True where a finished checkpoint was found.
bool resume(const TrainJob& job, State& s) {
  const Json found = world().from_first([&] { return checkpoint_state(job); });
  if (!found.is_null() && world().first()) load_tensors(job.checkpoint, job.parameters);
  share_parameters(job, std::vector<int>(job.parameters.size(), 0));
  if (found.is_null()) return false;
  s.from_json(found["state"]);
  const bool finished = found["finished"];
  if (!finished) {
    const NamedTensors all = moments(job, s);
    if (world().first()) load_tensors(job.checkpoint, all);
    move_moments(s, all, /*to_first=*/false);
  }
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

// The rows of this process, in parts no larger than those that one process would work through.
std::vector<Part> own_parts(int64_t step, const TrainConfig& c) {
  const int n = world().size();
  if (n == 1) return parts_of(step, c.batch, c.accumulate);
  const Part mine = parts_of(step, c.batch, n)[world().rank()];
  auto parts = parts_of(step, mine.rows, std::min(mine.rows, (c.accumulate + n - 1) / n));
  for (Part& p : parts) p.from += mine.from;
  return parts;
}

// One step; false where loss or gradient is not finite (nothing is changed then).
bool step_once(const TrainJob& job, State& s, Gradients& gradients, double& loss_value) {
  double own_loss = 0;
  std::vector<Part> parts;
  for (const Part& rows : own_parts(s.step, job.config)) {
    for (Part& p : chunks_of(rows, job.config.length, job.config.chunk)) parts.push_back(std::move(p));
  }
  for (size_t i = 0; i < parts.size(); ++i) {
    const Tensor loss = job.loss(parts[i]);
    own_loss += loss.item<double>();
    gradients.add(loss, i + 1 == parts.size());
  }
  const at::NoGradGuard no_grad;
  const std::vector<Tensor> all = gradients.take();
  std::vector<Tensor> leaves, grads, m, v;  // of the parameters that this process updates
  Tensor square = at::zeros({}, all[0].options());
  for (size_t i = 0; i < all.size(); ++i) {
    if (!s.m[i].defined()) continue;
    leaves.push_back(job.parameters[i].second), grads.push_back(all[i]), m.push_back(s.m[i]), v.push_back(s.v[i]);
    square += at::linalg_vector_norm(all[i]).square();
  }
  double sums[] = {own_loss, square.item<double>()};
  world().sum(sums);
  loss_value = sums[0];
  const double norm = std::sqrt(sums[1]);
  if (!std::isfinite(loss_value) || !std::isfinite(norm)) return false;
  if (norm > job.config.clip) {
    for (auto& g : grads) g.mul_(job.config.clip / norm);
  }
  const TrainConfig& c = job.config;
  for (auto& t : s.steps) t.add_(1);
  if (!leaves.empty()) {
    at::_fused_adamw_(leaves, grads, m, v, {}, s.steps, c.lr_at(s.step), c.beta1, c.beta2, c.weight_decay, 1e-8, false,
                      false);
  }
  share_parameters(job, s.owners);
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

std::vector<Part> chunks_of(const Part& part, int length, int chunk) {
  if (chunk == 0) return {part};
  const auto carried = std::make_shared<CarriedModels>();
  std::vector<Part> chunks;
  for (int begin = 0; begin < length; begin += chunk) {
    chunks.push_back({part.step, part.from, part.rows, begin, std::min(chunk, length - begin), carried});
  }
  return chunks;
}

double TrainConfig::lr_at(int64_t step) const {
  const auto n = static_cast<double>(steps()), t = static_cast<double>(step);
  const double ramp = std::max(1.0, warmup * n);
  if (t < ramp) return lr * (t + 1) / (ramp + 1);
  const double done = (t - ramp) / std::max(1.0, n - ramp);
  return lr * (min_lr + (1 - min_lr) * 0.5 * (1 + std::cos(std::numbers::pi * done)));
}

void TrainConfig::check(const std::string& where) const {
  require(accumulate <= batch, "{}: accumulate is {}, expected a number in [1, {}], batch: each part takes whole rows",
          where, accumulate, batch);
  require(chunk < length, "{}: chunk is {}, expected a number in [0, {}), below length, which it divides into parts",
          where, chunk, length);
}

namespace {

State first_state(const TrainJob& job) {
  State s;
  std::vector<Tensor> leaves;
  for (const auto& [name, t] : job.parameters) leaves.push_back(t);
  s.owners = owners_of(leaves, world().size());
  const auto zeros = [&](const Tensor& t) { return job.config.on_disk ? on_disk(job, t) : at::zeros_like(t); };
  for (size_t i = 0; i < leaves.size(); ++i) {
    const bool own = s.owners[i] == world().rank();
    s.m.push_back(own ? zeros(leaves[i]) : Tensor());
    s.v.push_back(own ? zeros(leaves[i]) : Tensor());
    if (own) s.steps.push_back(at::zeros({}, leaves[i].options()));
  }
  return s;
}

// From where `s` stands to the end, or to where the loss stops being finite.
void take_steps(const TrainJob& job, State& s, Gradients& gradients) {
  const int64_t per_step = job.config.tokens_per_step(), total = job.config.steps();
  const int64_t every = std::max<int64_t>(1, total / 100);
  const double save_every = seconds_between_checkpoints();
  Progress progress(job.name, total * per_step, "tokens", s.step * per_step);
  auto saved = Clock::now(), last = saved;
  while (s.step < total) {
    double loss = 0;
    if (!step_once(job, s, gradients, loss)) {
      s.result.diverged = true;
      break;
    }
    ++s.step;
    const bool point = s.step % every == 0 || s.step == total;
    record(s, loss, s.step * per_step, point);
    const auto now = Clock::now();
    s.result.seconds += std::chrono::duration<double>(now - last).count();
    last = now;
    progress.update(s.step * per_step, fmt::format("loss {:.4f}", s.running));
    if (point && job.so_far) {
      s.result.tokens = s.step * per_step;
      job.so_far(s.result);
    }
    const bool due = std::chrono::duration<double>(now - saved).count() > save_every;
    if (s.step < total && world().first_says(due)) {
      save(job, s, false);
      saved = last = Clock::now();
    }
  }
  if (!s.result.diverged) progress.finish(fmt::format("loss {:.4f}", s.result.last_loss()));
}

}  // namespace

TrainResult train_or_diverge(const TrainJob& job) {
  require(job.config.tokens > 0, "{}: tokens is 0, so there is nothing to train; give it some", job.name);
  require(job.config.batch >= world().size(), "{}: a batch of {} rows for {} processes; each needs a row", job.name,
          job.config.batch, world().size());
  std::vector<Tensor> leaves, room;
  if (job.config.on_disk) room = move_to_disk(job);
  for (const auto& [name, t] : job.parameters) leaves.push_back(t);
  State s = first_state(job);
  if (!resume(job, s)) {
    for (auto& t : leaves) t.requires_grad_(true);
    {
      Gradients gradients(world(), leaves, room);
      take_steps(job, s, gradients);
    }
    for (auto& t : leaves) t.requires_grad_(false);
    save(job, s, true);
  }
  s.result.tokens = s.step * job.config.tokens_per_step();
  s.result.train_tps = s.result.seconds > 0 ? static_cast<double>(s.result.tokens) / s.result.seconds : 0;
  return s.result;
}

TrainResult train(const TrainJob& job) {
  const TrainResult r = train_or_diverge(job);
  require(!r.diverged, "{}: the loss stopped being finite after {} tokens; lower its lr", job.name, r.tokens);
  return r;
}

}  // namespace jet
