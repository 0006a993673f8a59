#include "jet/cli/generate_batch.h"

#include <fmt/core.h>

#include <sstream>

#include "jet/base/file.h"
#include "jet/cli/console.h"
#include "jet/engine/chat.h"
#include "jet/engine/sampling_json.h"
#include "jet/engine/scheduler.h"

namespace jet {
namespace {

class BatchReader {
 public:
  BatchReader(const BatchArguments& arguments, const Engine& engine, const Tokenizer& tokenizer)
      : arguments_(arguments), engine_(engine), tokenizer_(tokenizer) {}

  Request request(Json line, const std::string& where) {
    if (line.is_string()) line = Json{{"prompt", line}};
    require(line.is_object() && (line.contains("prompt") != line.contains("messages")),
            "{}: expected a string, or an object with either 'prompt' or 'messages'", where);
    SamplingArguments settings = arguments_.sampling;  // the line's own come over the command's
    read_sampling(line, where, settings.generate, settings.asked);
    Request made{.prompt = ids_of(line, where), .options = {}};
    try {
      made.options = settings.settled(engine_, tokenizer_);
    } catch (const Error& e) { fail("{}: {}", where, e.what()); }
    return made;
  }

 private:
  std::vector<int32_t> ids_of(Json& line, const std::string& where) {
    if (line.contains("prompt") && !arguments_.chat) {
      return tokenizer_.encode(get<std::string>(line, "prompt", where), /*add_special_tokens=*/true);
    }
    if (line.contains("prompt")) {
      Json messages = Json::array();
      if (!arguments_.system.empty()) messages.push_back({{"role", "system"}, {"content", arguments_.system}});
      messages.push_back({{"role", "user"}, {"content", get<std::string>(line, "prompt", where)}});
      line["messages"] = std::move(messages);
      line.erase("prompt");
    }
    for (const auto& setting : sampling_keys()) line.erase(setting);
    ChatInput input = chat_input_from(line, where);
    if (!line.contains("add_generation_prompt")) input.add_generation_prompt = true;
    if (!template_) template_ = ChatTemplate::load(arguments_.model);
    return encode_chat(tokenizer_, template_->render(input));
  }

  const BatchArguments& arguments_;
  const Engine& engine_;
  const Tokenizer& tokenizer_;
  std::optional<ChatTemplate> template_;
};

Json result_of(size_t index, const Generation& g, size_t prompt_tokens) {
  if (g.status != Generation::finished) return {{"index", index}, {"error", g.error}};
  return {{"index", index},
          {"text", g.text},
          {"ids", g.ids},
          {"finish", name_of(g.finish)},
          {"prompt_tokens", prompt_tokens}};
}

}  // namespace

void generate_batch(const BatchArguments& arguments) {
  const bool from_stdin = arguments.prompts == "-";
  std::istringstream in(from_stdin ? read_stdin() : read_file(arguments.prompts));
  const auto tokenizer = Tokenizer::load(arguments.model);
  const auto engine = arguments.engine.load(arguments.model);
  BatchReader reader(arguments, *engine, tokenizer);
  PrefixCache cache(*engine, arguments.batch_bytes / 4);
  Scheduler scheduler(*engine, {.cache_bytes = arguments.batch_bytes}, &cache);
  std::vector<std::shared_ptr<const Generation>> generations;
  std::vector<size_t> sizes;
  int64_t number = 0;
  for (std::string line; std::getline(in, line);) {
    const std::string where = fmt::format("{}:{}", from_stdin ? "stdin" : arguments.prompts, ++number);
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    Request request = reader.request(parse_json(line, where), where);
    sizes.push_back(request.prompt.size());
    try {
      generations.push_back(scheduler.submit(std::move(request)));
    } catch (const Error& e) { fail("{}: {}", where, e.what()); }
  }
  require(!generations.empty(), "{}: no prompts", arguments.prompts);
  size_t printed = 0;
  for (bool more = true; more;) {
    more = scheduler.step();
    for (; printed < generations.size() && generations[printed]->over(); ++printed) {
      fmt::print("{}\n", json_text(result_of(printed, *generations[printed], sizes[printed])));
      std::fflush(stdout);
    }
  }
}

}  // namespace jet
