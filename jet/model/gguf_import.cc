#include "jet/model/gguf_import.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "jet/model/checkpoint.h"
#include "jet/model/gguf_tensors.h"
#include "jet/model/gguf_tokenizer.h"
#include "jet/tensor/quant.h"

namespace jet {
namespace {

constexpr int64_t kShardBytes = 5'000'000'000;
constexpr std::string_view kUsedByConfig[] = {"rope_freqs.weight"};

/// Our names of the file's tensors, each with what becomes of it.
class Walk {
 public:
  Walk(const GgufKeys& keys, const GgufArchitecture& architecture, const ModelSpec& spec)
      : keys_(keys), architecture_(architecture), spec_(spec) {}

  std::vector<GgufJob> jobs() {
    for (const auto& part : architecture_.tensors) {
      for (const auto& t : part) {
        const bool layered = with_layer(t.gguf, 0) != t.gguf;
        for (int i = 0; i < (layered ? spec_.n_layers() : 1); ++i) add(t, i);
      }
    }
    for (const auto& [name, unused] : keys_.file().tensors()) {
      const bool used = used_.contains(name) ||
                        std::find(std::begin(kUsedByConfig), std::end(kUsedByConfig), name) != std::end(kUsedByConfig);
      require(used,
              "{}: tensor '{}' is no part of a model of architecture '{}' as it is known here: without it the model "
              "would be another",
              keys_.path(), name, keys_.architecture());
    }
    check_parameters();
    return std::move(jobs_);
  }

 private:
  void add(const GgufTensorName& names, int layer) {
    const std::string name = with_layer(names.gguf, layer);
    theirs_[with_layer(names.ours, layer)] = name;
    const auto found = keys_.file().tensors().find(name);
    if (found == keys_.file().tensors().end()) return;
    used_.insert(name);
    GgufJob job{.from = &found->second, .path = keys_.path(), .name = with_layer(names.ours, layer)};
    job.spec = {names.role, job.from->shape};
    job.change = names.change;
    if (const auto* a = std::get_if<Attention::Config>(&spec_.layers[layer])) job.head_dim = a->head_dim;
    jobs_.push_back(std::move(job));
  }

  /// What the model has is in the file, in its shape, and the other way round.
  void check_parameters() const {
    std::map<std::string, Shape> shapes;
    for (const auto& job : jobs_) shapes[job.name] = job.from->shape;
    struct Nothing {};
    ModelWeights<Nothing> w;
    model_params(spec_, w, [&](const std::string& name, Nothing&, const ParamSpec& p) {
      const auto theirs = theirs_.find(name);
      const auto found = shapes.find(name);
      require(found != shapes.end(), "{}: tensor '{}' is missing; download the file again, or convert the model again",
              keys_.path(), theirs == theirs_.end() ? name : theirs->second);
      require(found->second == p.shape, "{}: tensor '{}' is {}, where the keys ask for {}; convert the model again",
              keys_.path(), theirs->second, to_string(found->second), to_string(p.shape));
      shapes.erase(found);
    });
    if (!shapes.empty()) {
      fail("{}: tensor '{}' has no place in the model that the keys tell of; convert the model again", keys_.path(),
           theirs_.at(shapes.begin()->first));
    }
  }

  const GgufKeys& keys_;
  const GgufArchitecture& architecture_;
  const ModelSpec& spec_;
  std::vector<GgufJob> jobs_;
  std::set<std::string, std::less<>> used_;
  std::map<std::string, std::string> theirs_;  // of ours
};

/// Packed numbers and their scales first, then wider types first: every tensor is aligned to its element.
void put_in_order(std::vector<GgufJob>& jobs) {
  const auto rank = [](const GgufJob& j) { return is_quantized(j.to) ? 0 : 16 - static_cast<int>(size_of(j.to)); };
  std::stable_sort(jobs.begin(), jobs.end(), [&](const GgufJob& a, const GgufJob& b) { return rank(a) < rank(b); });
}

/// "210 of Q4_1 as bf16, rounded; 1 of Q8_0 as int8, exact", the most first.
std::string types_text(const std::vector<GgufJob>& jobs) {
  std::map<std::string, int> counts;
  for (const auto& j : jobs) {
    const char* how = !j.exact ? ", rounded" : is_quantized(j.to) || !j.from->type->plain ? ", exact" : "";
    ++counts[fmt::format("of {} as {}{}", j.from->type->name, name_of(j.to), how)];
  }
  std::vector<std::pair<int, std::string>> order;
  for (const auto& [text, n] : counts) order.emplace_back(-n, text);
  std::sort(order.begin(), order.end());
  std::string out;
  for (const auto& [n, text] : order) out += fmt::format("{}{} {}", out.empty() ? "" : "; ", -n, text);
  return out;
}

const char* torch_name(DType t) { return t == DType::f32 ? "float32" : t == DType::f16 ? "float16" : "bfloat16"; }

/// What the weights and the tokenizer add to config.json.
void complete_config(Json& config, const std::vector<GgufJob>& jobs, const GgufTokenizer& tokenizer) {
  std::map<DType, int> counts;
  for (const auto& j : jobs)
    if (j.spec.is_matrix()) ++counts[j.to];
  const auto most = [&](auto&& takes) {
    std::optional<DType> best;
    for (const auto& [type, n] : counts)
      if (takes(type) && (!best || n > counts[*best])) best = type;
    return best;
  };
  const auto plain = most([](DType t) { return !is_quantized(t); }), packed = most(is_quantized);
  config["torch_dtype"] = torch_name(plain.value_or(DType::bf16));
  if (packed) {
    config["quantization_config"] = {{"quant_method", "jet"}, {"type", name_of(*packed)}, {"group", kGroupColumns}};
  }
  config["bos_token_id"] = tokenizer.bos ? Json(*tokenizer.bos) : Json();
  config["eos_token_id"] = token_ids_to_json(tokenizer.ends);
  if (tokenizer.pad) config["pad_token_id"] = *tokenizer.pad;
}

/// generation_config.json: ends of text, and the sampling that the file's makers recommend.
Json generation_config(const Gguf& file, const GgufTokenizer& tokenizer) {
  Json j = Json::object();
  if (tokenizer.bos) j["bos_token_id"] = *tokenizer.bos;
  j["eos_token_id"] = token_ids_to_json(tokenizer.ends);
  if (tokenizer.pad) j["pad_token_id"] = *tokenizer.pad;
  constexpr std::pair<const char*, const char*> kSampling[] = {
      {"temp", "temperature"}, {"top_p", "top_p"}, {"min_p", "min_p"}, {"penalty_repeat", "repetition_penalty"}};
  bool samples = false;
  for (const auto& [theirs, ours] : kSampling) {
    const auto value = file.number(std::string("general.sampling.") + theirs);
    if (value) j[ours] = *value, samples = true;
  }
  if (const auto k = file.whole("general.sampling.top_k")) j["top_k"] = *k, samples = true;
  if (samples) j["do_sample"] = true;
  return j;
}

void write_json(const AtomicFolder& folder, const char* name, const Json& j, int indent = 2) {
  write_file(folder.file(name), json_text(j, indent) + "\n");
}

}  // namespace

GgufImportReport import_gguf(const std::string& source, const std::string& target, const GgufImportOptions& options) {
  const Gguf file = Gguf::open(source);
  const GgufKeys keys(file);
  const GgufArchitecture& architecture = gguf_architecture(keys);
  Json config = architecture.config(keys);
  const GgufTokenizer tokenizer = gguf_tokenizer(file, config["vocab_size"].get<int64_t>());
  const ModelSpec spec = read_spec(config, source);
  std::vector<GgufJob> jobs = Walk(keys, architecture, spec).jobs();
  for (auto& job : jobs) choose_type(job, options.type);
  put_in_order(jobs);
  complete_config(config, jobs, tokenizer);

  AtomicFolder folder(target);
  ThreadPool pool(threads_asked(options.threads));
  GgufImportReport report{architecture.name, file.paths().size(), jobs.size(), 0, types_text(jobs)};
  std::vector<TensorToWrite> tensors;
  for (const auto& job : jobs) {
    for (auto& t : tensors_of(job)) {
      report.bytes += numel(t.shape) * static_cast<int64_t>(size_of(t.dtype));
      tensors.push_back(std::move(t));
    }
  }
  ShardedSafeTensorsWriter weights(folder.path(), tensors, kShardBytes);
  int64_t done = 0, total = 0;
  for (const auto& job : jobs) total += numel(job.from->shape);
  for (const auto& job : jobs) {
    write_job(job, pool, weights);
    done += numel(job.from->shape);
    if (options.progress) options.progress(done, total);
  }
  weights.commit();
  write_json(folder, "config.json", config);
  write_json(folder, "generation_config.json", generation_config(file, tokenizer));
  write_json(folder, "tokenizer.json", tokenizer.tokenizer, 1);
  write_json(folder, "tokenizer_config.json", tokenizer.config);
  Checkpoint::open(folder.path());  // what this program would not read must not appear
  if (options.check) options.check(folder.path());
  folder.commit();
  return report;
}

}  // namespace jet
