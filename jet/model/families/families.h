// One file per foreign family; this list is all that the rest of the program knows of them.
#pragma once

#include "jet/model/checkpoint.h"

namespace jet {

ModelSpec read_qwen2(const Json& config, const std::string& where);
ModelSpec read_qwen3(const Json& config, const std::string& where);
ModelSpec read_llama(const Json& config, const std::string& where);
ModelSpec read_mistral(const Json& config, const std::string& where);
ModelSpec read_gemma3(const Json& config, const std::string& where);
ModelSpec read_jet_nemotron(const Json& config, const std::string& where);
ModelSpec read_jet_cpp(const Json& config, const std::string& where);

Json write_qwen2(const ModelSpec& spec, const std::string& where);
Json write_jet_nemotron(const ModelSpec& spec, const std::string& where);
Json write_jet_cpp(const ModelSpec& spec, const std::string& where);

/// q, k and v have biases there; zeros are the same as none.
ModelSpec fit_jet_nemotron(ModelSpec spec);
std::vector<std::string> notes_on_jet_nemotron(const ModelSpec& spec, const std::string& folder);

inline const Family kFamilies[] = {
    {"jet_cpp", read_jet_cpp, write_jet_cpp},
    {"qwen2", read_qwen2, write_qwen2},
    {"qwen3", read_qwen3},
    {"llama", read_llama},
    {"mistral", read_mistral},
    {"gemma3_text", read_gemma3, nullptr, /*norms_plus_one=*/true},
    {"jet_nemotron", read_jet_nemotron, write_jet_nemotron, false, fit_jet_nemotron, notes_on_jet_nemotron},
};

/// What Llama, Qwen, Mistral and Jet-Nemotron share: sizes, norms, head counts, rope (old and new style); every layer
/// full attention without bias.
ModelSpec read_llama_like(const Json& config, const std::string& where);
/// What a model has that no Llama-like layout can say, or null.
const char* beyond_llama(const ModelSpec& s);
/// Rope from rope_theta + rope_scaling (transformers 4) or from rope_parameters (transformers 5).
Rope read_rope(const Json& config, const std::string& where);
/// f(attention config, layer index) on every layer.
template <class F>
void each_attention(ModelSpec& s, F&& f) {
  for (int i = 0; i < s.n_layers(); ++i) f(std::get<Attention::Config>(s.layers[i]), i);
}

}  // namespace jet
