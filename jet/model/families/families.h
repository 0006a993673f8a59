// One file per foreign family; this list is all that the rest of the program knows of them.
#pragma once

#include "jet/model/checkpoint.h"
#include "jet/model/families/keys.h"

namespace jet {

ModelSpec read_qwen2(const Json& config, const std::string& where);
ModelSpec read_qwen3(const Json& config, const std::string& where);
ModelSpec read_llama(const Json& config, const std::string& where);
ModelSpec read_mistral(const Json& config, const std::string& where);
ModelSpec read_gemma3(const Json& config, const std::string& where);
ModelSpec read_qwen3_5(const Json& config, const std::string& where);
ModelSpec read_granite_hybrid(const Json& config, const std::string& where);
ModelSpec read_olmo_hybrid(const Json& config, const std::string& where);
ModelSpec read_jet_nemotron(const Json& config, const std::string& where);
ModelSpec read_jet_cpp(const Json& config, const std::string& where);

Json write_qwen2(const ModelSpec& spec, const std::string& where);
Json write_jet_nemotron(const ModelSpec& spec, const std::string& where);
Json write_jet_cpp(const ModelSpec& spec, const std::string& where);

/// q, k and v have biases there; zeros are the same as none.
ModelSpec fit_jet_nemotron(ModelSpec spec);
std::vector<std::string> notes_on_jet_nemotron(const ModelSpec& spec, const std::string& folder);

// Where their tensors lie in the files.
void arrange_qwen3_5(const ModelSpec& spec, TensorNames& names);
void arrange_granite_hybrid(const ModelSpec& spec, TensorNames& names);
void arrange_olmo_hybrid(const ModelSpec& spec, TensorNames& names);

// Their keys.
extern const FamilyKeys kLlamaKeys, kMistralKeys, kQwen2Keys, kQwen3Keys, kGemma3Keys, kQwen35Keys, kGraniteHybridKeys,
    kOlmoHybridKeys;

inline const Family kFamilies[] = {
    {.model_type = "jet_cpp", .read = read_jet_cpp, .write = write_jet_cpp},
    {.model_type = "qwen2", .read = read_qwen2, .keys = &kQwen2Keys, .write = write_qwen2},
    {.model_type = "qwen3", .read = read_qwen3, .keys = &kQwen3Keys},
    {.model_type = "llama", .read = read_llama, .keys = &kLlamaKeys},
    {.model_type = "mistral", .read = read_mistral, .keys = &kMistralKeys},
    {.model_type = "gemma3_text", .read = read_gemma3, .keys = &kGemma3Keys, .norms_plus_one = true},
    {.model_type = "qwen3_5_text",
     .read = read_qwen3_5,
     .keys = &kQwen35Keys,
     .arrange = arrange_qwen3_5,
     .norms_plus_one = true},
    {.model_type = "granitemoehybrid",
     .read = read_granite_hybrid,
     .keys = &kGraniteHybridKeys,
     .arrange = arrange_granite_hybrid},
    {.model_type = "olmo_hybrid", .read = read_olmo_hybrid, .keys = &kOlmoHybridKeys, .arrange = arrange_olmo_hybrid},
    {.model_type = "jet_nemotron",
     .read = read_jet_nemotron,
     .write = write_jet_nemotron,
     .fitted = fit_jet_nemotron,
     .notes = notes_on_jet_nemotron},
};

/// Models of text and images whose text part alone is read: config.json holds the text's config, whose tensors have a
/// prefix.
struct TextPart {
  const char *model_type, *text_type, *prefix;
};
inline constexpr TextPart kTextParts[] = {{"qwen3_5", "qwen3_5_text", "model.language_model."}};

/// What all of them share: sizes, norms, head counts; every layer full attention without bias and with the default rope.
ModelSpec read_sizes(const Json& config, const std::string& where);
/// The same with rope as the config has it, alike in all layers.
ModelSpec read_llama_like(const Json& config, const std::string& where);
/// What a model has that no Llama-like layout can say, or null.
const char* beyond_llama(const ModelSpec& s);

/// What a config says of rope beside rope's own table.
struct RopeContext {
  int head_dim = 0, context = 0;
  double theta = 10000;  // where nothing is said
  double partial = 1;    // share of the channels that turn, likewise
  bool may_be_partial = false;
  int original = 0;  // original_max_position_embeddings beside the table; 0: not said
};
struct ReadRope {
  Rope rope;
  int context = 0;  // up to which it holds
};
/// Rope from rope_theta and rope_scaling (transformers 4) or rope_parameters (transformers 5).
ReadRope read_rope(const Json& config, RopeContext of, const std::string& where);
/// From one such table.
ReadRope read_rope_table(const Json& table, const RopeContext& of, const std::string& where);
/// f(attention config, layer index) on every layer.
template <class F>
void each_attention(ModelSpec& s, F&& f) {
  for (int i = 0; i < s.n_layers(); ++i) f(std::get<Attention::Config>(s.layers[i]), i);
}

}  // namespace jet
