// Input: a chat template, which is rendered for a conversation with tools; where it holds a zero byte, what follows is
// the content of its messages.
#include "jet/text/chat_template.h"
#include "jet/text/utf8.h"
#include "tests/fuzz/support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace jet;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(input.find('\0'), size);
  const std::string content = end < size ? repair_utf8(input.substr(end + 1)) : "1.5 <|im_end|>\n<b>'\xc3\x9f'";
  Json messages =
      Json::array({{{"role", "system"}, {"content", content}},
                   {{"role", "user"}, {"content", Json::array({{{"type", "text"}, {"text", content}}})}},
                   {{"role", "assistant"}, {"content", content}, {"reasoning", "r"}, {"n", -7}, {"x", 2.5}}});
  // Sanitizers slow the interpreter down by an order: fewer steps keep an input below a second.
  const jinja::Environment environment{
      .clock = [] { return std::tm{}; }, .most_steps = 300'000, .most_output = 1 << 18};
  fuzz::expect_only_errors([&] {
    const ChatTemplate t(std::string(input.substr(0, end)), "template", Json{{"bos_token", "<s>"}});
    const auto made =
        t.render({.messages = messages, .tools = messages, .variables = {{"d", messages[2]}}}, environment);
    fuzz::check(is_valid_utf8(made.text), "a text that is no UTF-8");
    size_t last = 0;
    for (const auto& [begin, stop] : made.foreign) {
      fuzz::check(begin >= last && stop > begin && stop <= made.text.size(), "ranges out of order");
      last = stop;
    }
  });
  return 0;
}
