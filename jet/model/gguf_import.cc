#include "jet/model/gguf_import.h"

#include <algorithm>
#include <cstdio>
#include <map>

#include "jet/model/checkpoint.h"
#include "jet/model/gguf_tensors.h"
#include "jet/model/gguf_tokenizer.h"
#include "jet/tensor/quant.h"

namespace jet {
namespace {

constexpr int64_t kShardBytes = 5'000'000'000;

/// The model's parameters, each with the tensor of the file that it comes from.
class Walk {
 public:
  Walk(const GgufKeys& keys, const GgufArchitecture& architecture, const ModelSpec& spec)
      : keys_(keys), spec_(spec), left_(keys.file().tensors().begin(), keys.file().tensors().end()) {
    for (const auto& part : architecture.tensors) {
      for (const auto& t : part) {
        const bool layered = with_layer(t.gguf, 0) != t.gguf;
        for (int i = 0; i < (layered ? spec.n_layers() : 1); ++i) names_[with_layer(t.ours, i)].push_back({&t, i});
      }
    }
  }

  std::vector<GgufJob> jobs() {
    struct Nothing {};
    ModelWeights<Nothing> w;
    model_params(spec_, w, [&](const std::string& name, Nothing&, const ParamSpec& p) { add(name, p); });
    left_.erase("rope_freqs.weight");  // config.json says it
    for (const auto& [name, unused] : left_) {
      if (is_beyond(name)) continue;
      fail(
          "{}: tensor '{}' is no part of a model of architecture '{}' as its keys tell and as it is known here: "
          "without "
          "it the model would be another",
          keys_.path(), name, keys_.architecture());
    }
    return std::move(jobs_);
  }

 private:
  struct Entry {
    const GgufTensorName* names;
    int layer;
    std::string theirs() const { return with_layer(names->gguf, layer); }
  };

  void add(const std::string& name, const ParamSpec& p) {
    const auto entries = names_.find(name);
    require(entries != names_.end(), "{}: a model of architecture '{}' with the parameter '{}' is not known here",
            keys_.path(), keys_.architecture(), name);
    for (const Entry& e : entries->second) {
      const auto found = keys_.file().tensors().find(e.theirs());
      if (found == keys_.file().tensors().end()) continue;
      left_.erase(e.theirs());
      GgufJob job{.from = &found->second, .path = keys_.path(), .name = name};
      job.spec = p;
      job.numbers = e.names->numbers;
      choose_order(job, e.names->order, spec_.layers[e.layer]);
      check_shape(job);
      jobs_.push_back(std::move(job));
      return;
    }
    fail("{}: tensor '{}' is missing; download the file again, or convert the model again", keys_.path(),
         entries->second.front().theirs());
  }

  /// As the keys ask for it; sizes of 1 say nothing, nor do groups of a norm.
  void check_shape(const GgufJob& job) const {
    const auto plain = [](Shape s) {
      std::erase(s, 1);
      return s;
    };
    Shape shape = job.from->shape;
    if (!job.rows.empty()) shape[0] = static_cast<int64_t>(job.rows.size());
    const bool grouped = job.from->name.ends_with(".ssm_norm.weight") && numel(shape) == numel(job.spec.shape);
    require(grouped || plain(shape) == plain(job.spec.shape),
            "{}: tensor '{}' is {}, where the keys ask for {}; convert the model again", keys_.path(), job.from->name,
            to_string(shape), to_string(job.spec.shape));
  }

  /// Of layers that guess further tokens, behind those that are run.
  bool is_beyond(const std::string& name) const {
    int layer = 0;
    return std::sscanf(name.c_str(), "blk.%d.", &layer) == 1 && layer >= spec_.n_layers() &&
           keys_.file().contains(keys_.full("nextn_predict_layers"));
  }

  const GgufKeys& keys_;
  const ModelSpec& spec_;
  std::map<std::string, std::vector<Entry>> names_;  // by ours
  std::map<std::string, GgufTensor, std::less<>> left_;
  std::vector<GgufJob> jobs_;
};

/// Packed numbers and their scales first, then wider types first: every tensor is aligned to its element.
void sort_jobs(std::vector<GgufJob>& jobs) {
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

const char* dtype_of_torch(DType t) { return t == DType::f32 ? "float32" : t == DType::f16 ? "float16" : "bfloat16"; }

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
  config["torch_dtype"] = dtype_of_torch(plain.value_or(DType::bf16));
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
  sort_jobs(jobs);
  complete_config(config, jobs, tokenizer);

  AtomicFolder folder(target);
  ThreadPool pool(threads_asked(options.threads));
  GgufImportReport report{architecture.name, file.paths().size(), jobs.size(), 0, types_text(jobs)};
  std::vector<TensorToWrite> tensors;
  for (const auto& job : jobs) {
    for (auto& t : written_tensors(job)) {
      report.bytes += numel(t.shape) * static_cast<int64_t>(size_of(t.dtype));
      tensors.push_back(std::move(t));
    }
  }
  ShardedSafeTensorsWriter weights(folder.path(), tensors, kShardBytes);
  int64_t done = 0, total = 0;
  for (const auto& job : jobs) total += numel(job.spec.shape);
  for (const auto& job : jobs) {
    write_job(job, pool, weights);
    done += numel(job.spec.shape);
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
