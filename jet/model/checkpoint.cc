#include "jet/model/checkpoint.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <set>

#include "jet/model/families/families.h"
#include "jet/tensor/quant.h"

namespace jet {

const Family& family_named(const std::string& type, const std::string& where) {
  std::string known;
  for (const auto& f : kFamilies) {
    if (type == f.model_type) return f;
    known += std::string(known.empty() ? "" : ", ") + f.model_type;
  }
  fail("{}: unknown model_type '{}' (known: {})", where, type, known);
}

namespace {

constexpr const char* kCompanions[] = {"tokenizer.json",
                                       "tokenizer_config.json",
                                       "special_tokens_map.json",
                                       "added_tokens.json",
                                       "tokenizer.model",
                                       "vocab.json",
                                       "merges.txt",
                                       "chat_template.jinja",
                                       "chat_template.json",
                                       "generation_config.json",
                                       "LICENSE"};

const TextPart* text_part_of(const Json& config) {
  const auto type = config.is_object() ? config.value("model_type", Json()) : Json();
  const auto found = std::find_if(std::begin(kTextParts), std::end(kTextParts),
                                  [&](const TextPart& t) { return type == t.model_type; });
  return found == std::end(kTextParts) ? nullptr : found;
}

/// The config of the text, where others stand beside it. One head is all there is: what the whole says of it counts.
Json text_config(const Json& config, const std::string& where) {
  if (!text_part_of(config)) return config;
  Json text = get<Json>(config, "text_config", where);
  require(text.is_object(), "{}: text_config is not an object", where);
  if (config.contains("tie_word_embeddings")) text["tie_word_embeddings"] = config["tie_word_embeddings"];
  text["model_type"] = text_part_of(config)->text_type;
  return text;
}

const Family& family_of(const Json& text, const std::string& where) {
  return family_named(get<std::string>(text, "model_type", where), where);
}

ModelSpec read_with(const Family& family, const Json& config, const std::string& where) {
  ModelSpec spec;
  try {
    spec = family.read(family.keys ? with_defaults(*family.keys, config, where) : config, where);
  } catch (const nlohmann::json::exception& e) { fail("{}: {}", where, e.what()); }
  check_spec(spec, where);
  return spec;
}

void check_plain(const StoredTensor& t, const Shape& shape, const std::string& path) {
  require(t.dtype == DType::f32 || t.dtype == DType::bf16 || t.dtype == DType::f16,
          "{}: tensor '{}' is of type {}, expected f32, bf16 or f16", path, t.name, name_of(t.dtype));
  require(t.shape == shape, "{}: tensor '{}' has shape {}, config.json asks for {}", path, t.name, to_string(t.shape),
          to_string(shape));
}

/// "a, b, c and 4 more"
std::string listed(const std::vector<std::string>& names) {
  const size_t shown = std::min<size_t>(names.size(), 3);
  const std::string first = fmt::to_string(fmt::join(names.begin(), names.begin() + static_cast<int64_t>(shown), ", "));
  return names.size() > shown ? fmt::format("{} and {} more", first, names.size() - shown) : first;
}

/// A file's own head counts, as in transformers, though config.json says that there is none.
void settle_head(Checkpoint& c) {
  const std::string embed = kEmbedding, head = kHead;
  if (!c.spec.tie_word_embeddings || !c.tensors.contains(head) || !c.tensors.contains(embed)) return;
  const StoredTensor &a = c.tensors.at(embed), &b = c.tensors.at(head);
  const bool same = a.dtype == b.dtype && a.bytes.size() == b.bytes.size() &&
                    std::memcmp(a.bytes.data(), b.bytes.data(), a.bytes.size()) == 0;
  if (same) return;
  c.spec.tie_word_embeddings = false;
  c.notes.push_back("config.json says tie_word_embeddings, but lm_head.weight is another matrix: it is used");
}

void note_unread(Checkpoint& c, const std::set<std::string>& read) {
  std::vector<std::string> names;
  for (const auto& [name, t] : c.tensors.all()) {
    const bool tied_head = name == kHead;  // the embedding once more
    if (!read.count(name) && !name.ends_with(".scales") && !tied_head) names.push_back(name);
  }
  for (const auto& [name, why] : c.tensors.unread()) names.push_back(name);
  if (!names.empty()) c.notes.push_back("tensors that the model does not need: " + listed(names));
}

void check_tensors(Checkpoint& c) {
  struct Nothing {};
  ModelWeights<Nothing> w;
  std::set<std::string> read;
  model_params(c.spec, w, [&](const std::string& name, Nothing&, const ParamSpec& p) {
    read.insert(name);
    if (p.is_matrix()) {
      c.matrix(name, p.shape);
    } else {
      check_plain(c.tensors.at(name), p.shape, c.tensors.path());
    }
  });
  note_unread(c, read);
}

/// Other tools' quantized layouts differ from ours: told here, before a tensor is missed.
void check_quantization(const Json& config, const std::string& where) {
  const Json q = get_or(config, "quantization_config", Json(), where);
  if (q.is_null()) return;
  const auto method = get_or(q, "quant_method", std::string("?"), where);
  require(method == "jet", "{}: weights quantized by '{}' cannot be read (known: jet); quantize the original", where,
          method);
}

}  // namespace

ModelSpec read_spec(const std::string& folder) {
  const std::string where = folder + "/config.json";
  return read_spec(read_python_json(where), where);
}

ModelSpec read_spec(const Json& config, const std::string& where) {
  const Json text = text_config(config, where);
  return read_with(family_of(text, where), text, where);
}

void arrange_tensors(const Json& config, const ModelSpec& spec, SafeTensors& tensors, const std::string& before) {
  TensorNames names(tensors, before);
  if (const TextPart* part = text_part_of(config)) names.rename_all(part->prefix, "model.");
  // A model saved without its head has no "model." before its names.
  for (const char* top : {"embed_tokens.", "layers.", "norm."}) names.rename_all(top, std::string("model.") + top);
  const Family& family = family_of(text_config(config, "config.json"), "config.json");
  if (family.arrange) family.arrange(spec, names);
}

Checkpoint Checkpoint::open(const std::string& folder) {
  require(is_folder(folder), "{}: no such model folder", folder);
  const std::string where = folder + "/config.json";
  Checkpoint c;
  c.folder = folder;
  c.config = read_python_json(where);
  const Json text = text_config(c.config, where);
  const Family& family = family_of(text, where);
  c.norms_plus_one = family.norms_plus_one;
  c.spec = read_with(family, text, where);
  if (family.keys) {
    if (const auto keys = unknown_keys(*family.keys, text); !keys.empty())
      c.notes.push_back("keys of config.json that are not known: " + listed(keys));
  }
  c.generation = read_generation_config(folder, c.spec);
  check_quantization(c.config, where);
  c.tensors = SafeTensors::open(folder);
  arrange_tensors(c.config, c.spec, c.tensors);
  settle_head(c);
  check_tensors(c);
  return c;
}

std::vector<float> Checkpoint::floats(const std::string& name, const ParamSpec& p) const {
  const StoredTensor& t = tensors.at(name);
  require(t.dtype != DType::u8,
          "{}: tensor '{}' is quantized, where its floats are wanted; use the model before it was", tensors.path(),
          name);
  auto values = to_floats(t);
  if (plus_one(name, p)) {
    for (float& v : values) v += 1;
  }
  return values;
}

StoredMatrix Checkpoint::matrix(const std::string& name, const Shape& shape) const {
  const StoredTensor& t = tensors.at(name);
  if (t.dtype != DType::u8) {
    check_plain(t, shape, tensors.path());
    return {t.dtype, t.bytes, {}};
  }
  const int64_t rows = shape[0], cols = shape[1], bytes = static_cast<int64_t>(t.bytes.size());
  require(cols % kGroupColumns == 0,
          "{}: tensor '{}' is u8, but a matrix {} cannot be quantized: its columns are no "
          "multiple of {}",
          tensors.path(), name, to_string(shape), kGroupColumns);
  const int64_t q8 = packed_bytes(DType::q8, rows, cols), q4 = packed_bytes(DType::q4, rows, cols);
  require(bytes == q8 || bytes == q4,
          "{}: tensor '{}' has {} bytes, a matrix {} takes {} as int8 and {} as int4; "
          "quantize the model again",
          tensors.path(), name, bytes, to_string(shape), q8, q4);
  const StoredTensor& scales = tensors.at(name + ".scales");
  const Shape wanted = {panels_of(rows), cols / kGroupColumns, kPanelRows};
  require(scales.dtype == DType::f16 && scales.shape == wanted,
          "{}: tensor '{}' is {} {}, a matrix {} takes f16 {}; "
          "quantize the model again",
          tensors.path(), scales.name, name_of(scales.dtype), to_string(scales.shape), to_string(shape),
          to_string(wanted));
  return {bytes == q8 ? DType::q8 : DType::q4, t.bytes, scales.bytes};
}

void require_other_folder(const std::string& source, const std::string& target) {
  std::error_code ignored;
  require(!std::filesystem::equivalent(source, target, ignored), "{}: is the source itself; name another folder",
          target);
}

void copy_companions(const std::string& source, const std::string& target) {
  for (const char* name : kCompanions) {
    const std::string from = source + "/" + name;
    if (file_exists(from)) write_file(target + "/" + name, read_file(from));
  }
}

void save_checkpoint(const std::string& folder, const ModelSpec& spec, const std::vector<TensorToWrite>& tensors,
                     const std::string& source, const std::string& model_type) {
  const Family& family = family_named(model_type, folder);
  require(family.write != nullptr, "{}: models are not written in the layout of {}", folder, model_type);
  const Json config = family.write(spec, folder);
  write_safetensors(folder + "/model.safetensors", tensors, {{"format", "pt"}});
  if (!source.empty()) copy_companions(source, folder);
  write_file(folder + "/config.json", json_text(config, 2) + "\n");
}

}  // namespace jet
