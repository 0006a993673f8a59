// Jet-Nemotron in its official layout: layer_types names attn, swa or jet per layer, efficient_attention_config holds
// the dimensions, one "jet" and one "swa" for all layers:
//   head_dim = hidden_size / num_attention_heads where there is no such key;  biases on q, k and v, none elsewhere
//   dV = int(jet.head_dim * jet.expand_v);  generator = num_heads * dV / jet.dconv_generator_reduction, rounded down
// "jet" becomes the arguments of a class: it has all of these keys and no other. Some numbers are strings ("1e-5").
// Source: NVlabs/Jet-Nemotron, jetai/modeling/hf.
#include <charconv>
#include <cmath>
#include <limits>

#include "jet/model/families/families.h"

namespace jet {

namespace {

double number(const Json& j, const char* key, double fallback, const std::string& where) {
  if (!j.contains(key)) return fallback;
  if (!j[key].is_string()) return get<double>(j, key, where);
  const auto text = j[key].get<std::string>();
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  require(error == std::errc() && end == text.data() + text.size() && std::isfinite(value),
          "{}: key '{}' is no number: {}", where, key, json_text(j[key]).substr(0, 80));
  return value;
}

/// A size that came out of a calculation.
int size_from(double value, const char* what, const std::string& where) {
  require(value >= 1 && value <= 1 << 20, "{}: {} would be {}", where, what, value);
  return static_cast<int>(value);
}

JetBlock::Config read_block(const Json& j, const std::string& where) {
  JetBlock::Config c;
  c.heads = get<int>(j, "num_heads", where);
  c.dk = get<int>(j, "head_dim", where);
  c.dv = size_from(c.dk * number(j, "expand_v", 2.0, where), "head_dim * expand_v", where);
  c.conv = get_or(j, "conv_size", 4, where);
  const int reduction = get_or(j, "dconv_generator_reduction", 8, where);
  require(reduction > 0, "{}: dconv_generator_reduction {} is not positive", where, reduction);
  c.generator = size_from(static_cast<double>(int64_t{c.heads} * c.dv / reduction), "the generator's size", where);
  const double eps = number(j, "norm_eps", 1e-5, where);
  require(std::abs(eps) <= std::numeric_limits<float>::max(), "{}: key 'norm_eps' is out of range: {}", where, eps);
  c.norm_eps = static_cast<float>(eps);
  return c;
}

}  // namespace

ModelSpec read_jet_nemotron(const Json& config, const std::string& where) {
  ModelSpec s = read_llama_like(config, where);
  const auto types = get<std::vector<std::string>>(config, "layer_types", where);
  require(types.size() == s.layers.size(), "{}: layer_types has {} entries for {} layers", where, types.size(),
          s.layers.size());
  const auto blocks = get<Json>(config, "efficient_attention_config", where);
  for (size_t i = 0; i < types.size(); ++i) {
    auto& a = std::get<Attention::Config>(s.layers[i]);
    a.qkv_bias = true;
    if (types[i] == "attn") continue;
    if (types[i] == "swa") {
      a.window = get<int>(get<Json>(blocks, "swa", where), "window_size", where);
    } else if (types[i] == "jet") {
      s.layers[i] = read_block(get<Json>(blocks, "jet", where), where);
    } else {
      fail("{}: layer {} is of unknown type '{}' (known: attn, swa, jet)", where, i, types[i]);
    }
  }
  return s;
}

namespace {

/// The shortest decimal that reads back as the same float: 1e-06, where the float itself is 9.99999997e-07.
double shortest(float x) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, x).ptr;
  double value = 0;
  std::from_chars(text, end, value);
  return value;
}

/// As released: "1e-5", one digit in the exponent.
std::string as_text(float x) {
  std::string text = fmt::format("{}", x);
  const size_t zero = text.find("e-0");
  return zero == std::string::npos ? text : text.erase(zero + 2, 1);
}

/// What is wrong with an attention layer in this layout, or "".
std::string fault_of(const Attention::Config& a) {
  if (a.o_bias) return "has a bias on o_proj";
  if (a.qk_norm) return "has norms on q and k";
  if (a.output_gate) return "has a gate on its output";
  if (!a.rotary) return "has no rope";
  if (a.sinks > 0) return fmt::format("has {} sinks beside its window", a.sinks);
  if (!a.rope.is_whole()) return "has rope of a kind that it does not know";
  if (!a.qkv_bias) return "has no biases on q, k and v";
  if (a.scale > 0 && static_cast<float>(a.scale) != static_cast<float>(1 / std::sqrt(a.head_dim))) {
    return fmt::format("scales its scores by {}, not by head_dim^-1/2", a.scale);
  }
  return "";
}

std::string dimensions_of(const MixerSpec& m) {
  if (const auto* j = std::get_if<JetBlock::Config>(&m)) {
    return fmt::format("JetBlock of {} heads, {} x {}, convolution {}, generator {}, norm_eps {}", j->heads, j->dk,
                       j->dv, j->conv, j->generator, j->norm_eps);
  }
  const auto& a = std::get<Attention::Config>(m);
  return fmt::format("attention of {} heads ({} for keys and values) of {}, window {}, rope theta {} and factor {}",
                     a.heads, a.kv_heads, a.head_dim, a.window, a.rope.theta, a.rope.factor);
}

/// The one form that all layers of a kind must have, and the first layer that has it.
struct Form {
  int layer = -1;
  MixerSpec mixer;
};
struct Forms {
  Form jet, attention, window;
};

/// Throws unless layer `i` has the form of the earlier ones of its kind.
void check_form(Form& form, int i, const MixerSpec& mixer, const ModelSpec& s, const std::string& where) {
  if (form.layer < 0) form = {i, mixer};
  require(mixer_to_json(mixer) == mixer_to_json(form.mixer),
          "{}: layer {} is {}, where layer {} is {}; the Jet-Nemotron layout has one form for all layers; "
          "export with --format hf, which takes any",
          where, i, dimensions_of(s.layers[i]), form.layer, dimensions_of(s.layers[form.layer]));
}

Forms forms_of(const ModelSpec& s, const std::string& where) {
  Forms forms;
  for (int i = 0; i < s.n_layers(); ++i) {
    if (std::holds_alternative<JetBlock::Config>(s.layers[i])) {
      check_form(forms.jet, i, s.layers[i], s, where);
      continue;
    }
    const auto* a = std::get_if<Attention::Config>(&s.layers[i]);
    require(a != nullptr,
            "{}: layer {} is {}; the Jet-Nemotron layout has only attention, sliding windows and JetBlock; "
            "export with --format hf, which takes every block",
            where, i, mixer_label(s.layers[i]));
    require(fault_of(*a).empty(),
            "{}: layer {} ({}) {}, which the Jet-Nemotron layout cannot express; export with --format hf", where, i,
            mixer_label(s.layers[i]), fault_of(*a));
    Attention::Config common = *a;  // what full and windowed layers share; without norms, norm_eps is not used
    common.scale = 0, common.norm_eps = 0;
    if (a->window > 0) check_form(forms.window, i, common, s, where);
    common.window = 0;
    check_form(forms.attention, i, common, s, where);
  }
  return forms;
}

/// dV / dK as a decimal of ten digits, rounded up: its products with dK and heads * dK are cut off to whole numbers.
Json expand_of(const JetBlock::Config& c, const std::string& where) {
  if (c.dv % c.dk == 0) return c.dv / c.dk;
  const double k = static_cast<double>(c.heads) * c.dk, digits = std::ceil(1e10 * c.dv / c.dk);
  for (const double more : {0, 1}) {  // 8.2 as a double is less than 8.2
    const double expand = (digits + more) / 1e10;
    if (static_cast<int64_t>(c.dk * expand) == c.dv && static_cast<int64_t>(k * expand) == int64_t{c.heads} * c.dv) {
      return expand;
    }
  }
  fail("{}: no expand_v of ten digits makes {} of {}; export with --format hf", where, c.dv, c.dk);
}

Json block_of(const Form& form, const std::string& where) {
  const auto& c = std::get<JetBlock::Config>(form.mixer);
  const int64_t values = int64_t{c.heads} * c.dv;
  const int64_t reduction = values / 8 == c.generator ? 8 : values / c.generator;
  require(reduction > 0 && values / reduction == c.generator,
          "{}: layer {}: a JetBlock's generator of {} is not its {} values divided by a whole number; "
          "export with --format hf",
          where, form.layer, c.generator, values);
  return {{"conv_size", c.conv},
          {"dconv_generator_reduction", reduction},
          {"dconv_implementation", "triton"},
          {"expand_v", expand_of(c, fmt::format("{}: layer {}", where, form.layer))},
          {"head_dim", c.dk},
          {"mode", "chunk"},
          {"norm_eps", as_text(c.norm_eps)},
          {"num_heads", c.heads}};
}

Json scaling_of(const Rope& r) {
  if (r.factor == 1) return nullptr;
  return {{"rope_type", "llama3"},
          {"factor", r.factor},
          {"high_freq_factor", r.high_freq_factor},
          {"low_freq_factor", r.low_freq_factor},
          {"original_max_position_embeddings", static_cast<int64_t>(r.original_context)}};
}

Json layer_types_of(const ModelSpec& s) {
  Json types = Json::array();
  for (const auto& layer : s.layers) {
    const auto* a = std::get_if<Attention::Config>(&layer);
    types.push_back(!a ? "jet" : a->window > 0 ? "swa" : "attn");
  }
  return types;
}

void check_whole(const ModelSpec& s, const std::string& where) {
  const char* fault = s.hidden_act != Activation::silu ? "an activation other than silu" : beyond_llama(s);
  require(!fault, "{}: the model has {}, which the Jet-Nemotron layout cannot express; export with --format hf", where,
          fault ? fault : "");
}

}  // namespace

Json write_jet_nemotron(const ModelSpec& s, const std::string& where) {
  check_whole(s, where);
  const Forms forms = forms_of(s, where);
  Json blocks = Json::object();
  if (forms.jet.layer >= 0) blocks["jet"] = block_of(forms.jet, where);
  if (forms.window.layer >= 0) {
    blocks["swa"] = {{"window_size", std::get<Attention::Config>(forms.window.mixer).window}};
  }
  Attention::Config a;
  if (forms.attention.layer >= 0) {
    a = std::get<Attention::Config>(forms.attention.mixer);
  } else {  // nothing reads them; the config's class wants them
    a.heads = a.kv_heads = std::get<JetBlock::Config>(forms.jet.mixer).heads;
    a.head_dim = s.hidden_size / a.heads;
  }
  Json j = {{"architectures", {"JetNemotronForCausalLM"}},
            {"attention_dropout", 0.0},
            {"auto_map",
             {{"AutoConfig", "configuration_jet_nemotron.JetNemotronConfig"},
              {"AutoModelForCausalLM", "modeling_jet_nemotron.JetNemotronForCausalLM"}}},
            {"bos_token_id", s.bos_token_id < 0 ? Json() : Json(s.bos_token_id)},
            {"efficient_attention_config", blocks},
            {"eos_token_id", token_ids_to_json(s.eos_token_id)},
            {"hidden_act", name_of(s.hidden_act)},
            {"hidden_size", s.hidden_size},
            {"initializer_range", 0.02},
            {"intermediate_size", s.intermediate_size},
            {"layer_types", layer_types_of(s)},
            {"max_position_embeddings", s.max_position_embeddings},
            {"max_window_layers", s.n_layers()},
            {"model_type", "jet_nemotron"},
            {"num_attention_heads", a.heads},
            {"num_hidden_layers", s.n_layers()},
            {"num_key_value_heads", a.kv_heads},
            {"rms_norm_eps", shortest(s.rms_norm_eps)},
            {"rope_scaling", scaling_of(a.rope)},
            {"rope_theta", a.rope.theta},
            {"tie_word_embeddings", s.tie_word_embeddings},
            {"transformers_version", "4.51.3"},
            {"use_cache", true},
            {"use_mrope", false},
            {"vocab_size", s.vocab_size}};
  if (a.head_dim != s.hidden_size / a.heads) j["head_dim"] = a.head_dim;
  return j;
}

ModelSpec fit_jet_nemotron(ModelSpec s) {
  for (auto& layer : s.layers) {
    if (auto* a = std::get_if<Attention::Config>(&layer)) a->qkv_bias = true;
  }
  return s;
}

std::vector<std::string> notes_on_jet_nemotron(const ModelSpec& target, const std::string& folder) {
  std::vector<std::string> notes;
  if (!file_exists(folder + "/modeling_jet_nemotron.py")) {
    notes.push_back(
        "transformers wants the authors' code beside config.json (jetai/modeling/hf/*.py of "
        "NVlabs/Jet-Nemotron), SGLang does not");
  }
  const Attention::Config* attention = nullptr;
  bool has_block = false;
  for (const auto& layer : target.layers) {
    if (const auto* a = std::get_if<Attention::Config>(&layer)) attention = a;
    has_block = has_block || std::holds_alternative<JetBlock::Config>(layer);
  }
  if (!has_block) notes.push_back("SGLang wants a JetBlock in one layer at least; here is none");
  if (!attention) return notes;
  const int head_dim = target.hidden_size / attention->heads;
  if (attention->head_dim != head_dim) {
    notes.push_back(fmt::format("SGLang does not read head_dim ({}) and takes hidden_size / num_attention_heads ({})",
                                attention->head_dim, head_dim));
  }
  if (attention->rope.theta != std::floor(attention->rope.theta)) {
    notes.push_back(fmt::format("SGLang cuts rope_theta ({}) to a whole number", attention->rope.theta));
  }
  return notes;
}

}  // namespace jet
