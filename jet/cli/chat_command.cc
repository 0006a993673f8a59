// jet chat MODEL: a conversation on a terminal; with -p, one answer.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <functional>
#include <memory>

#include "jet/base/file.h"
#include "jet/cli/commands.h"
#include "jet/cli/console.h"
#include "jet/cli/options.h"
#include "jet/cli/sampling_options.h"
#include "jet/engine/chat.h"
#include "jet/text/utf8.h"

namespace jet {
namespace {

struct ChatOptions {
  std::string model, prompt, prompt_file, system, load, thinking = "show";
  std::vector<std::string> variables;  // NAME=JSON
  SamplingArguments sampling;
  EngineArguments engine;
  int64_t cache = int64_t{1} << 30;
  bool stats = false, json = false;
};

constexpr const char* kHelp =
    "  /system [TEXT]     what the model is told first; without a text: nothing\n"
    "  /set [NAME VALUE]  a sampling setting, or all of them as they stand\n"
    "  /var NAME JSON     a variable of the template, for example: /var enable_thinking false\n"
    "  /think show|fold   thinking in full, or as one line; /think: the last one\n"
    "  /regenerate        another reply to the last message\n"
    "  /undo              takes the last message and its reply back\n"
    "  /new               a new conversation, the system message stays\n"
    "  /save FILE, /load FILE   the conversation as JSON\n"
    "  /stats             tokens per second, context used\n"
    "  /help, /quit\n"
    "A \\ at the end of a line, or \"\"\" around several, makes one message of them. Ctrl-C ends a reply and keeps "
    "it.\n";

/// Shows a reply as it comes: thinking dimmed or folded on a terminal, left out in a pipe.
class ReplyPrinter {
 public:
  ReplyPrinter(bool terminal, bool folded) : terminal_(terminal), folded_(folded) {}

  void show(const ThinkingStream::Part& part) {
    if (!part.thinking.empty() && terminal_) think(part.thinking);
    if (!part.answer.empty()) {
      close();
      fmt::print("{}", terminal_ ? printable(part.answer) : part.answer);
    }
    std::fflush(stdout);
  }
  void end() {
    close();
    fmt::print("\n");
    std::fflush(stdout);
  }

 private:
  void think(const std::string& text) {
    if (folded_) {
      fmt::print("\r\033[2m[thinking: {} characters]\033[0m", characters_ += text.size());
    } else {
      fmt::print("{}{}", open_ ? "" : "\033[2m", printable(text));
    }
    open_ = true;
  }
  void close() {
    if (open_) fmt::print("{}", folded_ ? "\n" : "\033[0m\n\n");
    open_ = false;
  }

  bool terminal_, folded_, open_ = false;
  size_t characters_ = 0;
};

class Chat {
 public:
  Chat(const ChatOptions& o, Engine& engine, const Tokenizer& tokenizer, ChatTemplate chat)
      : o_(o), sampling_(o.sampling), engine_(engine), tokenizer_(tokenizer),
        session_(engine, tokenizer, std::move(chat), o.cache), terminal_(stdout_is_terminal()),
        folded_(o.thinking == "fold") {
    if (!o.load.empty()) load(o.load);
    if (!o.system.empty()) session_.set_system(o.system);
    for (const auto& v : o.variables) set_variable(v, '=');
  }

  /// One message and its reply.
  void answer(const std::string& text) {
    session_.add_user(text);
    reply();
    if (o_.json) return print_json();
    if (o_.stats) fmt::print(stderr, "{}\n", stats());
  }

  void converse() {
    if (stdin_is_terminal()) fmt::print(stderr, "{}: /help lists what there is beside messages\n", o_.model);
    const Interrupts interrupts;
    while (true) {
      Interrupts::clear();
      const auto text = read_message(terminal_ ? "\033[1m> \033[0m" : "> ");
      if (Interrupts::taken()) fmt::print(stderr, "\n/quit or Ctrl-D ends\n");
      if (!text) break;
      if (text->empty() || Interrupts::taken()) continue;
      try {
        if (text->starts_with('/')) {
          if (!command(*text)) break;
        } else {
          session_.add_user(*text);
          try_reply();
        }
      } catch (const Error& e) { fmt::print(stderr, "{}\n", one_line(e.what())); }
    }
    if (stdin_is_terminal()) fmt::print("\n");
  }

 private:
  /// A message that cannot be answered is taken back.
  void try_reply() {
    try {
      reply();
    } catch (const Error&) {
      session_.undo();
      throw;
    }
  }

  void reply() {
    GenerateOptions options = sampling_.settled(engine_, tokenizer_);
    options.sampler.seed += replies_++;  // another try is another text
    ReplyPrinter printer(terminal_, folded_);
    last_ = session_.reply(options, [&](const ThinkingStream::Part& part) {
      if (!o_.json) printer.show(part);
      return !Interrupts::taken();
    });
    if (!o_.json) printer.end();
    const char* why = last_.finish == Finish::length    ? "[ended by --max-new-tokens]"
                      : last_.finish == Finish::context ? "[the context is full]"
                      : last_.finish == Finish::stopped ? "[stopped]"
                                                        : nullptr;
    if (why && terminal_) fmt::print(stderr, "\033[2m{}\033[0m\n", why);
  }

  std::string stats() const {
    const auto made = static_cast<double>(last_.ids.size());
    return fmt::format(
        "read {} of {} tokens in {:.2f} s ({:.1f} tok/s); made {} tokens, {:.1f} tok/s; context {} of {} tokens",
        last_.read_tokens, last_.prompt_tokens, last_.read_seconds,
        static_cast<double>(last_.read_tokens) / last_.read_seconds, last_.ids.size(),
        last_.decode_seconds > 0 ? made / last_.decode_seconds : 0, session_.context_used(),
        engine_.spec().max_position_embeddings);
  }

  void print_json() const {
    Json j{
        {"answer", last_.answer}, {"thinking", last_.thinking}, {"ids", last_.ids}, {"finish", name_of(last_.finish)}};
    j["prompt_tokens"] = last_.prompt_tokens, j["new_tokens"] = last_.ids.size();
    fmt::print("{}\n", json_text(j, 2));
  }

  /// "NAME JSON"; what is no JSON is a text.
  void set_variable(const std::string& text, char separator) {
    const size_t at = text.find(separator);
    require(at != std::string::npos && at > 0, "a variable is NAME{}JSON, not {}", separator, shown(text));
    const std::string value = text.substr(at + 1);
    Json json = value;
    try {
      json = parse_json(value, "variable");
    } catch (const Error&) {}  // a text without quotes
    session_.variables()[text.substr(0, at)] = std::move(json);
  }

  void load(const std::string& path) {
    ChatInput input = chat_input_from(read_json(path), path);
    session_.set_messages(std::move(input.messages));
    fmt::print(stderr, "{} messages\n", session_.messages().size());
  }

  void set(const std::string& rest) {
    const size_t blank = rest.find(' ');
    if (!rest.empty()) {
      require(blank != std::string::npos, "/set NAME VALUE, for example: /set temperature 0.7");
      set_sampling(sampling_, rest.substr(0, blank), rest.substr(blank + 1));
    }
    fmt::print("{}\n", sampling_text(sampling_.settled(engine_, tokenizer_)));
  }

  void think(const std::string& rest) {
    if (rest.empty()) return fmt::print("{}\n", terminal_ ? printable(last_.thinking) : last_.thinking);
    require(rest == "show" || rest == "fold", "/think show or /think fold");
    folded_ = rest == "fold";
  }

  void regenerate() {
    require(session_.drop_reply(), "there is no reply to make again");
    reply();
  }

  void undo() {
    const auto text = session_.undo();
    require(text.has_value(), "there is nothing to take back");
    fmt::print("taken back: {}\n", printable(*text));
  }

  void begin_anew() {
    const Json messages = session_.messages();
    const bool has_system = !messages.empty() && messages[0].value("role", "") == "system";
    session_.set_messages(has_system ? Json::array({messages[0]}) : Json::array());
  }

  /// False where it ends the conversation.
  bool command(const std::string& line) {
    const size_t blank = std::min(line.find(' '), line.size());
    const std::string name = line.substr(1, blank - 1);
    const std::string rest = line.substr(std::min(line.find_first_not_of(' ', blank), line.size()));
    if (name == "quit" || name == "exit") return false;
    if (name == "help")
      fmt::print("{}", kHelp);
    else if (name == "system")
      session_.set_system(rest);
    else if (name == "set")
      set(rest);
    else if (name == "var")
      set_variable(rest, ' ');
    else if (name == "think")
      think(rest);
    else if (name == "regenerate")
      regenerate();
    else if (name == "undo")
      undo();
    else if (name == "new")
      begin_anew();
    else if (name == "save")
      write_file(rest, json_text(Json{{"messages", session_.messages()}}, 2) + "\n");
    else if (name == "load")
      load(rest);
    else if (name == "stats")
      fmt::print("{}\n", last_.prompt_tokens > 0 ? stats() : "no reply yet");
    else
      fail("unknown command /{}: /help lists them; a message that begins with / has a blank in front", name);
    return true;
  }

  const ChatOptions& o_;
  SamplingArguments sampling_;
  Engine& engine_;
  const Tokenizer& tokenizer_;
  ChatSession session_;
  ChatReply last_;
  uint64_t replies_ = 0;
  bool terminal_, folded_;
};

void run_chat(ChatOptions& o, bool has_prompt) {
  o.sampling.check();
  require(o.thinking == "show" || o.thinking == "fold", "--thinking is {}, expected show or fold", shown(o.thinking));
  ChatTemplate chat = ChatTemplate::load(o.model);
  const auto tokenizer = Tokenizer::load(o.model);
  const auto engine = o.engine.load(o.model);
  Chat talk(o, *engine, tokenizer, std::move(chat));
  if (!has_prompt) return talk.converse();
  talk.answer(o.prompt == "-" ? read_stdin() : o.prompt);
}

}  // namespace

void add_chat_command(CLI::App& c, int&) {
  auto o = std::make_shared<ChatOptions>();
  o->sampling.generate.max_new_tokens = 4096;
  c.add_option("model", o->model, "model folder with a chat template")->required();
  auto* prompt = c.add_option("-p,--prompt", o->prompt, "answer this and end (-: what stands on standard input)");
  c.add_option("--system", o->system, "what the model is told first");
  c.add_option("--load", o->load, "go on with a conversation saved as JSON");
  c.add_option("--var", o->variables, "NAME=JSON, a variable of the template (enable_thinking=false); several times")
      ->allow_extra_args(false);
  c.add_option("--thinking", o->thinking, "on a terminal: show it or fold it; a pipe gets the answer alone")
      ->capture_default_str();
  add_sampling_options(c, o->sampling);
  add_size(c, "--cache", o->cache, "memory for what was read before: turns that come again are not read again");
  add_engine_options(c, o->engine);
  c.add_flag("--stats", o->stats, "with -p: speeds and the context used, on standard error");
  c.add_flag("--json", o->json, "with -p: print one JSON object at the end");
  c.footer(std::string("What sampling options leave open is taken from the model's generation_config.json.\n\n") +
           kHelp);
  c.callback([o, prompt] { run_chat(*o, prompt->count() > 0); });
}

}  // namespace jet
