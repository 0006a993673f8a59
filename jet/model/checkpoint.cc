#include "jet/model/checkpoint.h"

#include <filesystem>

#include "jet/model/families/families.h"

namespace jet {

namespace {

const Family& family_named(const std::string& type, const std::string& where) {
  std::string known;
  for (const auto& f : kFamilies) {
    if (type == f.model_type) return f;
    known += std::string(known.empty() ? "" : ", ") + f.model_type;
  }
  fail("{}: unknown model_type '{}' (known: {})", where, type, known);
}

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

void check_tensors(const ModelSpec& spec, const SafeTensors& tensors) {
  struct Nothing {};
  ModelWeights<Nothing> w;
  model_params(spec, w, [&](const std::string& name, Nothing&, const ParamSpec& p) {
    const auto& t = tensors.at(name);
    require(t.dtype == DType::f32 || t.dtype == DType::bf16 || t.dtype == DType::f16,
            "{}: tensor '{}' is of type {}, expected f32, bf16 or f16", tensors.path(), name, name_of(t.dtype));
    require(t.shape == p.shape, "{}: tensor '{}' has shape {}, config.json asks for {}", tensors.path(), name,
            to_string(t.shape), to_string(p.shape));
  });
}

}  // namespace

ModelSpec spec_from_config(const Json& config, const std::string& where) {
  return read_with(family_of(config, where), config, where);
}

ModelSpec read_spec(const std::string& folder) {
  const std::string where = folder + "/config.json";
  return spec_from_config(read_json(where), where);
}

Checkpoint Checkpoint::open(const std::string& folder) {
  require(std::filesystem::is_directory(folder), "{}: no such model folder", folder);
  const std::string where = folder + "/config.json";
  Checkpoint c;
  c.folder = folder;
  c.config = read_json(where);
  const Family& family = family_of(c.config, where);
  c.norms_plus_one = family.norms_plus_one;
  c.spec = read_with(family, c.config, where);
  c.tensors = SafeTensors::open(folder);
  check_tensors(c.spec, c.tensors);
  return c;
}

std::vector<float> Checkpoint::floats(const std::string& name) const {
  auto values = to_floats(tensors.at(name));
  if (norms_plus_one && name.ends_with("norm.weight")) {
    for (float& v : values) v += 1;
  }
  return values;
}

void save_checkpoint(const std::string& folder, const ModelSpec& spec, const std::vector<TensorToWrite>& tensors,
                     const std::string& tokenizer_folder, const std::string& model_type) {
  const Family& family = family_named(model_type, folder);
  require(family.write != nullptr, "{}: models are not written in the layout of {}", folder, model_type);
  const Json config = family.write(spec);
  write_safetensors(folder + "/model.safetensors", tensors, {{"format", "pt"}});
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"}) {
    const std::string from = tokenizer_folder + "/" + name;
    if (file_exists(from)) write_file(folder + "/" + name, read_file(from));
  }
  write_file(folder + "/config.json", config.dump(2) + "\n");
}

}  // namespace jet
