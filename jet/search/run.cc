#include "jet/search/run.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <torch/version.h>

#include "jet/base/threads.h"
#include "jet/train/world.h"

namespace jet {

using at::Tensor;

TorchBatch to_torch(const TokenBatch& b, const Part& p, bool apart, at::Device device) {
  const std::vector<int64_t> all(b.ids.begin(), b.ids.end());
  const Tensor ids = at::tensor(all, at::kLong).to(device).view({b.batch, b.length}).narrow(0, p.from, p.rows);
  const Tensor weights = at::tensor(b.weights, at::kFloat).to(device).view({b.batch, b.length});
  const Tensor predicted = weights.narrow(1, 1, b.length - 1);
  const int tokens = p.tokens > 0 ? p.tokens : b.length, n = std::min(tokens, b.length - 1 - p.begin);
  TorchBatch out;
  out.rows = TokenRows(ids.narrow(1, p.begin, tokens), nullptr, p.begin);
  if (apart) {
    const auto starts = std::span(b.starts).subspan(size_t(p.from) * b.length, size_t(p.rows) * b.length);
    out.rows.documents = std::make_shared<const Documents>(starts, p.rows, b.length, device);
  }
  out.next = ids.narrow(1, p.begin + 1, n);
  out.weights = (predicted / predicted.sum()).narrow(0, p.from, p.rows).narrow(1, p.begin, n);
  out.share = static_cast<double>(p.rows) * tokens / (static_cast<double>(b.batch) * b.length);
  out.carried = p.carried;
  return out;
}

States TorchBatch::states(const std::string& model) const {
  if (!carried) return nullptr;
  auto& states = (*carried)[model];
  if (!states) states = std::make_shared<CarriedStates>();
  return states;
}

at::Device device_named(const std::string& name, const std::string& where) {
  if (name == "auto") return device_named(at::getNumGPUs() > 0 ? "cuda" : "cpu", where);
  std::optional<at::Device> device;
  try {
    device = at::Device(name);
  } catch (const c10::Error&) { fail("{}: device '{}' is unknown (known: auto, cpu, cuda, cuda:N)", where, name); }
  if (!device->is_cuda()) return *device;
  const auto gpus = static_cast<int>(at::getNumGPUs());
  require(std::max<int>(0, device->index()) < gpus, "{}: device '{}': libtorch {} finds {} GPUs{}", where, name,
          TORCH_VERSION, gpus, at::globalContext().hasCUDART() ? "" : ": it was built without CUDA");
  return device->has_index() ? *device : at::Device(at::kCUDA, at::DeviceIndex(world().local_rank() % gpus));
}

at::ScalarType precision_named(const std::string& name, at::Device device) {
  if (name == "fp32") return at::kFloat;
  if (name == "bf16") return at::kBFloat16;
  return !device.is_cpu() || __builtin_cpu_supports("avx512bf16") ? at::kBFloat16 : at::kFloat;
}

namespace {

// Of the results that stages leave for each other; a run that another version began is not gone on with.
constexpr int kFormat = 2;

Json identity(const std::string& base_folder, const Recipe& recipe) {
  const std::string weights = base_folder + "/model.safetensors";
  const uint64_t hash = file_exists(weights) ? hash64(read_file(weights)) : 0;
  return {{"recipe", to_json_fields(recipe)}, {"base", fmt::format("{:016x}", hash)}, {"format of results", kFormat}};
}

int set_threads(const Recipe& r) {
  const int n = threads_asked(r.threads);
  at::set_num_threads(n);
  return n;
}

}  // namespace

Run::Run(std::string folder, const std::string& recipe_path, const std::string& out, bool trials)
    : base_folder(std::move(folder)), recipe(read_recipe(recipe_path)),
      device(device_named(recipe.device, recipe_path)), ledger(out, identity(base_folder, recipe), trials),
      tokenizer(Tokenizer::load(base_folder)),
      corpus(Corpus::load(tokenizer, recipe.data, recipe.held_out_tokens, set_threads(recipe))),
      base(load_model(base_folder)) {
  ops.device = device;
  ops.compute = precision_named(recipe.precision, device);
  ops.recompute = recipe.checkpoint_activations;
  for (const auto& file : task_files(recipe.eval.tasks)) {
    tasks.push_back(load_task(file, tokenizer, recipe.eval.items));
    search_tasks.push_back(load_task(file, tokenizer, recipe.eval.search_items, recipe.eval.items));
    require(!search_tasks.back().items.empty(), "{}: eval.items + eval.search_items asks for more items than there are",
            file);
  }
}

TorchModel Run::load_model(const std::string& folder) const {
  return (recipe.frozen == "mapped" ? TorchModel::map(folder) : TorchModel::load(folder)).to(device);
}

// The whole batch is drawn for any part of it: its weights sum to one over all parts.
TorchBatch Run::batch(const std::string& stage, const Part& p, const TrainConfig& c) const {
  return to_torch(corpus.train_batch(hash64(stage, recipe.seed), p.step, c.batch, c.length), p,
                  recipe.separate_documents, device);
}

void Run::require_epochs(const std::string& section, const TrainConfig& c) const {
  corpus.require_epochs(section, c.steps() * c.tokens_per_step(), c.length);
}

void Run::require_epochs(const std::string& section, const BudgetConfig& c) const {
  require_epochs(section + ".budget.align", c.align);
  require_epochs(section + ".budget.distill.train", c.distill.train);
}

namespace {

// Scores padded batches: hidden states of all rows, the head only where an answer is predicted.
std::vector<QueryScore> score_queries(const TorchOps& ops, const std::vector<Query>& queries,
                                      const Run::HiddenFn& hidden, const Tensor& head) {
  const at::NoGradGuard no_grad;
  int64_t longest = 0;
  for (const auto& q : queries) longest = std::max<int64_t>(longest, static_cast<int64_t>(q.ids.size()) - 1);
  const auto n = static_cast<int64_t>(queries.size());
  std::vector<int64_t> ids(n * longest, 0), rows, targets;
  for (int64_t i = 0; i < n; ++i) {
    const auto& q = queries[i].ids;
    std::copy(q.begin(), q.end() - 1, ids.begin() + i * longest);
    for (size_t t = queries[i].from; t < q.size(); ++t) {
      rows.push_back(i * longest + static_cast<int64_t>(t) - 1);
      targets.push_back(q[t]);
    }
  }
  const auto there = [&](const std::vector<int64_t>& v) { return at::tensor(v, at::kLong).to(ops.device); };
  const Tensor h = hidden(there(ids).view({n, longest})).flatten(0, 1);
  const Tensor log_p = at::log_softmax(ops.linear(h.index_select(0, there(rows)), head), -1).to(at::kCPU);
  const Tensor best = log_p.argmax(-1), picked = log_p.gather(1, at::tensor(targets, at::kLong).unsqueeze(1));
  std::vector<QueryScore> out(n);
  int64_t row = 0;
  for (int64_t i = 0; i < n; ++i) {
    for (size_t t = queries[i].from; t < queries[i].ids.size(); ++t, ++row) {
      out[i].argmax.push_back(best[row].item<int32_t>());
      out[i].logprob.push_back(picked[row][0].item<float>());
    }
    for (int32_t id : queries[i].alternatives) out[i].alternatives.push_back(log_p[row - 1][id].item<float>());
  }
  return out;
}

}  // namespace

const Task& Run::search_task(const std::string& name) const {
  for (const auto& t : search_tasks)
    if (t.name == name) return t;
  fail("no task '{}' in {}", name, recipe.eval.tasks);
}

int64_t Run::search_tokens(const std::string& task) const {
  int64_t tokens = 0;
  for (const auto& item : search_task(task).items)
    tokens += static_cast<int64_t>(item.prompt.size() + item.answer.size());
  return tokens;
}

TaskScore Run::score(const Task& task, const HiddenFn& hidden, const Tensor& head) const {
  return score_task(task, [&](const std::vector<Query>& q) { return score_queries(ops, q, hidden, head); });
}

Json Run::evaluate(const std::vector<Task>& which, const HiddenFn& hidden, const Tensor& head) const {
  const at::NoGradGuard no_grad;
  Json out = {{"tasks", Json::object()}, {"losses", Json::object()}};
  for (const auto& t : which) out["tasks"][t.name] = score(t, hidden, head).to_json();
  double sum = 0;
  for (const auto& name : corpus.names()) {
    auto rows = corpus.held_out(name, recipe.eval.held_out_rows, recipe.eval.held_out_length);
    std::fill(rows.weights.begin(), rows.weights.end(), 1.0f);
    const TorchBatch b = to_torch(rows, {0, 0, rows.batch}, false, device);
    const double loss = next_token_loss(ops, hidden(b.rows.ids), head, b.next, b.weights).item<double>();
    out["losses"][name] = loss;
    sum += loss;
  }
  out["loss"] = sum / static_cast<double>(corpus.names().size());
  return out;
}

Json Run::evaluate(const std::vector<Task>& which, const TorchModel& m) {
  return world().from_first([&] {
    return evaluate(
        which, [&](const Tensor& ids) { return forward_with(ops, m, ids, own_mixers(ops, m)); }, head_of(m));
  });
}

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

}  // namespace jet
