// jet tokenize MODEL [-p TEXT | --file F | --decode IDS]: what a text is to a model, id by id; or the text of ids.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <cstdio>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>

#include "jet/base/file.h"
#include "jet/base/json.h"
#include "jet/cli/commands.h"
#include "jet/cli/options.h"
#include "jet/text/tokenizer.h"
#include "jet/text/utf8.h"

namespace jet {
namespace {

struct TokenizeAsked {
  std::string model;
  std::optional<std::string> text, file;
  std::vector<int32_t> decode;
  bool special = false, skip_special = false, json = false;
};

std::string given_text(const TokenizeAsked& o) {
  require(!o.text || !o.file, "give -p or --file, not both");
  if (o.text) return *o.text;
  if (o.file) return read_file(*o.file);
  return {std::istreambuf_iterator<char>(std::cin), {}};
}

void print_text(const TokenizeAsked& o, const Tokenizer& tokenizer) {
  require(!o.text && !o.file, "--decode takes ids, and no text beside them");
  for (const int32_t id : o.decode)
    require(id < tokenizer.vocab_size(), "--decode: {} is no id; there are {}", id, tokenizer.vocab_size());
  const std::string text = tokenizer.decode(o.decode, o.skip_special);
  if (o.json) {
    fmt::print("{}\n", json_text(Json{{"ids", o.decode}, {"text", text}}));
  } else {
    fmt::print("{}\n", text);
  }
}

void print_ids(const TokenizeAsked& o, const Tokenizer& tokenizer) {
  const auto ids = tokenizer.encode(given_text(o), o.special);
  if (!o.json) {
    for (const int32_t id : ids)
      fmt::print("{:>7}  {}{}\n", id, json_text(Json(tokenizer.bytes_of(id))),
                 tokenizer.is_special(id) ? "  special" : "");
    return;
  }
  std::vector<std::string> tokens;
  for (const int32_t id : ids) tokens.push_back(tokenizer.bytes_of(id));
  fmt::print("{}\n", json_text(Json{{"ids", ids}, {"tokens", tokens}}));
}

}  // namespace

void add_tokenize_command(CLI::App& c, int&) {
  auto o = std::make_shared<TokenizeAsked>();
  c.add_option("model", o->model, "folder with tokenizer.json or tokenizer.model")->required();
  c.add_option("-p,--prompt", o->text, "the text; without it and --file standard input");
  c.add_option("--file", o->file, "a file with the text");
  auto* decode = add_number(c, "--decode", o->decode, "ids to turn into text", 0);
  c.add_flag("--special", o->special, "with what the model puts around a text, as <s>");
  c.add_flag("--skip-special", o->skip_special, "with --decode: leave special tokens out");
  c.add_flag("--json", o->json, "one object: ids and their tokens or text");
  c.callback([o, decode] {
    const auto tokenizer = Tokenizer::load(o->model);
    decode->count() > 0 ? print_text(*o, tokenizer) : print_ids(*o, tokenizer);
  });
}

}  // namespace jet
