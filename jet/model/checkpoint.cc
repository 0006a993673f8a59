#include "jet/model/checkpoint.h"

#include <filesystem>

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

const Family& family_of(const Json& config, const std::string& where) {
  return family_named(get<std::string>(config, "model_type", where), where);
}

ModelSpec read_with(const Family& family, const Json& config, const std::string& where) {
  ModelSpec spec;
  try {
    spec = family.read(config, where);
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

void check_tensors(const Checkpoint& c) {
  struct Nothing {};
  ModelWeights<Nothing> w;
  model_params(c.spec, w, [&](const std::string& name, Nothing&, const ParamSpec& p) {
    if (p.is_matrix()) {
      c.matrix(name, p.shape);
    } else {
      check_plain(c.tensors.at(name), p.shape, c.tensors.path());
    }
  });
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
  return read_spec(read_json(where), where);
}

ModelSpec read_spec(const Json& config, const std::string& where) {
  return read_with(family_of(config, where), config, where);
}

Checkpoint Checkpoint::open(const std::string& folder) {
  require(is_folder(folder), "{}: no such model folder", folder);
  const std::string where = folder + "/config.json";
  Checkpoint c;
  c.folder = folder;
  c.config = read_json(where);
  const Family& family = family_of(c.config, where);
  c.norms_plus_one = family.norms_plus_one;
  c.spec = read_with(family, c.config, where);
  c.generation = read_generation_config(folder, c.spec);
  check_quantization(c.config, where);
  c.tensors = SafeTensors::open(folder);
  check_tensors(c);
  return c;
}

std::vector<float> Checkpoint::floats(const std::string& name, const ParamSpec& p) const {
  const StoredTensor& t = tensors.at(name);
  require(t.dtype != DType::u8,
          "{}: tensor '{}' is quantized, where its floats are wanted; use the model before it was", tensors.path(),
          name);
  auto values = to_floats(t);
  if (plus_one(p)) {
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
                     const std::string& tokenizer_folder, const std::string& model_type) {
  const Family& family = family_named(model_type, folder);
  require(family.write != nullptr, "{}: models are not written in the layout of {}", folder, model_type);
  const Json config = family.write(spec, folder);
  write_safetensors(folder + "/model.safetensors", tensors, {{"format", "pt"}});
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "generation_config.json"}) {
    const std::string from = tokenizer_folder + "/" + name;
    if (file_exists(from)) write_file(folder + "/" + name, read_file(from));
  }
  write_file(folder + "/config.json", json_text(config, 2) + "\n");
}

}  // namespace jet
