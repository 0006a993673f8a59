#include "jet/model/families/keys.h"

#include <algorithm>
#include <sstream>

namespace jet {

namespace {

// Of every family (transformers configuration_utils.py, version 4 and 5), and what tools leave in config.json.
constexpr const char* kFixedEverywhere = R"({"is_encoder_decoder": false, "add_cross_attention": false,
  "cross_attention_hidden_size": null, "per_layer_config": null, "pruned_heads": {}})";

constexpr const char* kHarmlessEverywhere =
    "model_type architectures transformers_version dtype torch_dtype use_cache auto_map quantization_config "
    "initializer_range attention_dropout pad_token_id sep_token_id decoder_start_token_id chunk_size_feed_forward "
    "return_dict output_hidden_states output_attentions id2label label2id num_labels problem_type _name_or_path "
    "name_or_path _commit_hash attn_implementation _attn_implementation _attn_implementation_autoset tokenizer_class "
    "prefix task_specific_params finetuning_task torchscript use_bfloat16 tf_legacy_loss is_decoder "
    "tie_encoder_decoder pretraining_tp max_length max_new_tokens min_length do_sample early_stopping num_beams "
    "num_beam_groups diversity_penalty temperature top_k top_p typical_p repetition_penalty length_penalty "
    "no_repeat_ngram_size encoder_no_repeat_ngram_size bad_words_ids num_return_sequences output_scores "
    "return_dict_in_generate forced_bos_token_id forced_eos_token_id remove_invalid_values "
    "exponential_decay_length_penalty suppress_tokens begin_suppress_tokens cache_implementation "
    "transformers.js_config unsloth_version unsloth_fixed "
    // read, but not by a plain key: rope.cc
    "rope_theta rope_scaling rope_parameters original_max_position_embeddings";

bool is_word_of(const char* words, const std::string& key) {
  std::istringstream in(words);
  for (std::string word; in >> word;)
    if (word == key) return true;
  return false;
}

void check_fixed(const Json& fixed, const Json& config, const std::string& where) {
  for (const auto& [key, value] : fixed.items()) {
    if (!config.contains(key) || config[key].is_null() || config[key] == value) continue;
    fail("{}: {} {} is not supported{}", where, key, json_text(config[key]).substr(0, 80),
         value.is_null() ? "" : fmt::format(" ({} is)", json_text(value)));
  }
}

}  // namespace

Json with_defaults(const FamilyKeys& keys, const Json& config, const std::string& where) {
  require(config.is_object(), "{}: is not an object of keys", where);
  check_fixed(Json::parse(kFixedEverywhere), config, where);
  check_fixed(Json::parse(keys.fixed), config, where);
  const Json defaults = Json::parse(keys.read);
  Json all = config;
  for (const auto& [key, value] : defaults.items())
    if (!all.contains(key)) all[key] = value;
  return all;
}

std::vector<std::string> unknown_keys(const FamilyKeys& keys, const Json& config) {
  const Json read = Json::parse(keys.read), fixed = Json::parse(keys.fixed), all = Json::parse(kFixedEverywhere);
  std::vector<std::string> unknown;
  for (const auto& [key, value] : config.items()) {
    const bool known = read.contains(key) || fixed.contains(key) || all.contains(key) ||
                       is_word_of(keys.harmless, key) || is_word_of(kHarmlessEverywhere, key);
    if (!known) unknown.push_back(key);
  }
  return unknown;
}

std::vector<std::string> read_layer_types(const Json& config, int layers, const std::vector<std::string>& known,
                                          const std::string& where) {
  const auto types = get_or(config, "layer_types", std::vector<std::string>{}, where);
  if (!config.contains("layer_types") || config["layer_types"].is_null()) return {};
  require(static_cast<int>(types.size()) == layers, "{}: layer_types has {} entries for {} layers", where, types.size(),
          layers);
  for (size_t i = 0; i < types.size(); ++i) {
    require(std::find(known.begin(), known.end(), types[i]) != known.end(),
            "{}: layer {} is of unknown type '{}' (known: {})", where, i, types[i], fmt::join(known, ", "));
  }
  return types;
}

}  // namespace jet
