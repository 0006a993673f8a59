// jet template MODEL_OR_FILE --input FILE: what a conversation is for a model, as text.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <memory>

#include "jet/base/file.h"
#include "jet/cli/commands.h"
#include "jet/cli/console.h"
#include "jet/text/chat_template.h"

namespace jet {
namespace {

struct TemplateOptions {
  std::string source, input;
  bool add_generation_prompt = false, json = false;
};

void print_template(const TemplateOptions& o) {
  const auto chat = ChatTemplate::load(o.source);
  const std::string where = o.input == "-" ? "stdin" : o.input;
  ChatInput input = chat_input_from(parse_json(o.input == "-" ? read_stdin() : read_file(o.input), where), where);
  input.add_generation_prompt |= o.add_generation_prompt;
  const auto made = chat.render(input);
  if (!o.json) return fmt::print("{}", made.text);
  Json j{{"text", made.text}, {"foreign", made.foreign}};
  if (is_folder(o.source)) j["ids"] = encode_chat(Tokenizer::load(o.source), made);
  fmt::print("{}\n", json_text(j, 2));
}

}  // namespace

void add_template_command(CLI::App& c, int&) {
  auto o = std::make_shared<TemplateOptions>();
  c.add_option("model", o->source, "model folder, or a file of a chat template")->required();
  c.add_option("--input", o->input,
               "JSON: a list of messages, or {\"messages\", \"tools\", \"documents\", \"add_generation_prompt\", "
               "variables of the template}; -: from standard input")
      ->required();
  c.add_flag("--add-generation-prompt", o->add_generation_prompt, "end where the model's answer begins");
  c.add_flag("--json", o->json,
             "print text, the ranges of bytes that came from the input, and of a model folder the token ids");
  c.callback([o] { print_template(*o); });
}

}  // namespace jet
