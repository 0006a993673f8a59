// Model folders: config.json, generation_config.json, *.safetensors, tokenizer.json. Foreign layouts are read by one
// file per family (families/*.cc); our own ("jet_cpp") is the ModelSpec itself as JSON with the same tensor names.
#pragma once

#include <string>

#include "jet/model/generation_config.h"
#include "jet/model/spec.h"
#include "jet/model/tensor_names.h"
#include "jet/storage/safetensors.h"

namespace jet {

struct FamilyKeys;

/// What a family's reader knows: which config.json it takes, how to read it, and where it deviates in names or values.
struct Family {
  const char* model_type;
  ModelSpec (*read)(const Json& config, const std::string& where);
  /// What config.json may say; read() is given it with the family's defaults. Null: read() looks for itself.
  const FamilyKeys* keys = nullptr;
  /// Gives the files' tensors our names. Null: they have them.
  void (*arrange)(const ModelSpec& spec, TensorNames& names) = nullptr;
  /// The family's config.json of a spec. Errors begin with `where` and say which layer the family cannot express, and
  /// why. Null: not written.
  Json (*write)(const ModelSpec& spec, const std::string& where) = nullptr;
  /// Norm weights are stored as w and applied as 1 + w, but for those of a mixer's read-out (Gemma, Qwen3.5).
  bool norms_plus_one = false;
  /// The same model in the form that the layout has. Null: as it is.
  ModelSpec (*fitted)(ModelSpec spec) = nullptr;
  /// Where other readers of the layout differ, or want more than `folder` has: for the user to know. Null: nothing.
  std::vector<std::string> (*notes)(const ModelSpec& spec, const std::string& folder) = nullptr;
};

/// A matrix as it is stored: rows of its type, or packed numbers and their scales (jet/tensor/quant.h).
struct StoredMatrix {
  DType dtype = DType::f32;
  std::span<const std::byte> data, scales;
};

/// A checkpoint on disk: its spec and its tensors, all shapes checked.
struct Checkpoint {
  std::string folder;
  Json config;
  ModelSpec spec;
  GenerationConfig generation;
  SafeTensors tensors;
  bool norms_plus_one = false;
  std::vector<std::string> notes{};  // what the user should know: keys and tensors that were not read, ...

  /// Reads config.json and generation_config.json and maps the weights. Errors name the file, the key or tensor, and
  /// both shapes.
  static Checkpoint open(const std::string& folder);
  /// Whether a parameter is stored as w and used as 1 + w.
  bool plus_one(const std::string& name, const ParamSpec& p) const {
    return norms_plus_one && p.role == ParamRole::norm && !name.ends_with(".o_norm.weight");
  }
  /// A parameter's values as the blocks use them.
  std::vector<float> floats(const std::string& name, const ParamSpec& p) const;
  /// The matrix `name`. Errors name the tensor and both shapes or sizes.
  StoredMatrix matrix(const std::string& name, const Shape& shape) const;
};

/// The spec of `folder`/config.json alone, and of a config.json that was read already (`where` names it in errors).
ModelSpec read_spec(const std::string& folder);
ModelSpec read_spec(const Json& config, const std::string& where);

/// Gives the tensors of a file beside the model (golden files: "grad." before each name) our names, too.
void arrange_tensors(const Json& config, const ModelSpec& spec, SafeTensors& tensors, const std::string& before = "");

/// The family of a model_type; throws where there is none.
const Family& family_named(const std::string& type, const std::string& where);

/// Throws where both are one folder.
void require_other_folder(const std::string& source, const std::string& target);
/// Copies what a model folder holds beside config.json and weights: tokenizer, chat template, generation settings,
/// licence.
void copy_companions(const std::string& source, const std::string& target);

/// Writes config.json in the layout of `model_type` and model.safetensors (each as a whole or not at all), and copies
/// the companions of `source` where it is named.
void save_checkpoint(const std::string& folder, const ModelSpec& spec, const std::vector<TensorToWrite>& tensors,
                     const std::string& source, const std::string& model_type = "jet_cpp");

}  // namespace jet
