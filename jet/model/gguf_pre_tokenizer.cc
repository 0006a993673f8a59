// Names of tokenizer.ggml.pre and the pre-tokenizers that they stand for. Names with one rule share an entry; the rules
// are the released models' own (llama.cpp rewrites some of them for its regex engine). A name that is not here is an
// error: text split another way would be read by the model as something it was not trained on. Normal form C, which
// Qwen's own files ask for, a GGUF cannot ask for: as in llama.cpp, text is taken as it comes.
#include <iterator>

#include "jet/base/error.h"
#include "jet/model/gguf_tokenizer.h"

namespace jet {
namespace {

constexpr const char* kLlama3 = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|)"
                                R"(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen2 = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|)"
                               R"(\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen35 = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|)"
                                R"(\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kTekken = R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|)"
                                R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|)"
                                R"(\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kGpt4o =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

constexpr const char *kWords = "", *kDigitsAndWords = "digits";  // in place of a pattern: GPT-2's words

struct SplitRule {
  const char* names;  // with blanks around each
  const char* pattern;
  bool ignore_merges = false, add_bos = false;
};
constexpr SplitRule kSplitRules[] = {
    {" llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 ", kLlama3, true, true},
    {" dbrx smaug-bpe glm4 chatglm-bpe ", kLlama3},
    {" qwen2 ", kQwen2},
    {" deepseek-r1-qwen megrez stablelm2 hunyuan solar-open grok-2 kormo ", kQwen2},
    {" qwen35 ", kQwen35},
    {" gpt-2 phi-2 gigachat a.x-4.0 mellum mpt olmo jais trillion granite-docling exaone4 ", kWords},
    {" smollm starcoder refact command-r codeshell exaone minerva-7b mellum2 ", kDigitsAndWords},
    {" tekken ", kTekken, true, true},
    {" gpt-4o llama4 kanana2 ", kGpt4o},
};

Json byte_level_step(bool words) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", words}};
}

Json in_sequence(Json first, Json second) {
  return {{"type", "Sequence"}, {"pretokenizers", {std::move(first), std::move(second)}}};
}

}  // namespace

GgufPreTokenizer gguf_pre_tokenizer(const std::string& name, const std::string& where) {
  const bool plain = name.find(' ') == std::string::npos && !name.empty();
  for (const auto& rule : kSplitRules) {
    if (!plain || std::string(rule.names).find(" " + name + " ") == std::string::npos) continue;
    GgufPreTokenizer t{.ignore_merges = rule.ignore_merges, .add_bos = rule.add_bos};
    if (rule.pattern == kWords) {
      t.pre_tokenizer = byte_level_step(true);
    } else if (rule.pattern == kDigitsAndWords) {
      t.pre_tokenizer = in_sequence({{"type", "Digits"}, {"individual_digits", true}}, byte_level_step(true));
    } else {
      const Json split{
          {"type", "Split"}, {"pattern", {{"Regex", rule.pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
      t.pre_tokenizer = in_sequence(split, byte_level_step(false));
    }
    return t;
  }
  std::string known;
  for (const auto& rule : kSplitRules) known += rule.names + 1;
  known.pop_back();
  fail("{}: tokenizer.ggml.pre is '{}', a way to split text that is not known here (known: {})", where,
       name.substr(0, 100), known);
}

}  // namespace jet
