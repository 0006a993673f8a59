// Text as its tokens come. What is certain leaves at once; what may still become something else waits:
//
//   stop strings: "done", "\n\n"
//
//   tokens    "I am "   "d"   "oing"    " ok\n"   "\xc3"   "\xa9 do"      "ne!"
//   leaves    "I am "   ""    "doing"   " ok"     "\n"     "\xc3\xa9 "    ""        stopped; finish() is ""
//   held      ""        "d"   ""        "\n"      "\xc3"   "do"           ""
//
// The beginning of a character waits for the rest of it, the beginning of a stop string until it is one or is not. The
// text ends before the stop string that is whole first (of two that end at one byte, the longer), so that it is the
// same however tokens cut it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace jet {

class TextStream {
 public:
  /// Throws Error on a stop string that is empty or not UTF-8.
  explicit TextStream(std::vector<std::string> stop_strings = {});

  /// What becomes certain with the bytes of one more token, as valid UTF-8: damage becomes U+FFFD.
  std::string add(std::string_view bytes);
  /// The rest, where no stop string came. The stream is then empty again.
  std::string finish();
  /// Whether a stop string has come. All that is added later is dropped.
  bool stopped() const { return stopped_; }

 private:
  std::string release(size_t bytes);
  std::string stop();
  size_t undecided() const;

  std::vector<std::string> stop_strings_;
  std::string held_;
  bool stopped_ = false;
};

/// Bytes at the end of `text` that may begin `tag`, which is not empty.
size_t unfinished(std::string_view text, std::string_view tag);

}  // namespace jet
