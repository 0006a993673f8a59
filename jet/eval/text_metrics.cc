#include "jet/eval/text_metrics.h"

#include <algorithm>
#include <map>
#include <sstream>

#include "jet/text/utf8.h"

namespace jet {
namespace {

bool is_punctuation(char c) { return c > 32 && c < 127 && !std::isalnum(static_cast<unsigned char>(c)); }

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> words;
  for (std::string w; in >> w;) words.push_back(w);
  return words;
}

std::string lower(const std::string& text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const int length = utf8_length(text, at);
    if (length == 0) {
      out += text[at++];
      continue;
    }
    append_utf8(out, to_lower(utf8_code_point(text, at, length)));
    at += length;
  }
  return out;
}

std::vector<std::string> squad_words(const std::string& text) {
  std::string plain = lower(text);
  std::erase_if(plain, is_punctuation);
  auto words = words_of(plain);
  std::erase_if(words, [](const std::string& w) { return w == "a" || w == "an" || w == "the"; });
  return words;
}

std::vector<std::string> words_of(const std::string& text, const std::string& normalisation) {
  return normalisation == "squad" ? squad_words(text) : words_of(text);
}

std::string stripped(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t\r\n"), end = text.find_last_not_of(" \t\r\n");
  return begin == text.npos ? "" : text.substr(begin, end + 1 - begin);
}

double overlap(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  if (a.empty() || b.empty()) return a.empty() && b.empty() ? 1 : 0;
  std::map<std::string, int> left;
  for (const auto& w : b) ++left[w];
  const auto shared =
      static_cast<double>(std::count_if(a.begin(), a.end(), [&](const auto& w) { return left[w]-- > 0; }));
  return 2 * shared / static_cast<double>(a.size() + b.size());
}

}  // namespace

double exact_match(const std::string& text, const std::vector<std::string>& answers, const std::string& normalisation) {
  return std::any_of(answers.begin(), answers.end(), [&](const std::string& a) {
    return normalisation == "squad" ? squad_words(text) == squad_words(a) : stripped(text) == stripped(a);
  });
}

double f1(const std::string& text, const std::vector<std::string>& answers, const std::string& normalisation) {
  double best = 0;
  for (const auto& a : answers)
    best = std::max(best, overlap(words_of(text, normalisation), words_of(a, normalisation)));
  return best;
}

}  // namespace jet
