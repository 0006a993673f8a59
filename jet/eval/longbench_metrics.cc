#include "jet/eval/longbench_metrics.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <sstream>

#include "jet/base/error.h"
#include "jet/text/jinja/text.h"

namespace jet {

namespace {

using Words = std::vector<std::string>;

// Sentences end with full stops; one of white space alone is one empty word.
std::vector<Words> sentences_of(const std::string& text) {
  std::vector<Words> out;
  for (size_t from = 0; from <= text.size();) {
    const size_t to = std::min(text.find('.', from), text.size());
    if (to > from) {
      std::istringstream in(text.substr(from, to - from));
      out.emplace_back();
      for (std::string w; in >> w;) out.back().push_back(w);
      if (out.back().empty()) out.back().emplace_back();
    }
    from = to + 1;
  }
  return out;
}

// Adds the words of a longest common subsequence, the one that the package finds.
void add_common(const Words& a, const Words& b, std::set<std::string>& common) {
  const size_t n = a.size(), m = b.size();
  std::vector<std::vector<int>> length(n + 1, std::vector<int>(m + 1, 0));
  for (size_t i = 1; i <= n; ++i)
    for (size_t j = 1; j <= m; ++j)
      length[i][j] = a[i - 1] == b[j - 1] ? length[i - 1][j - 1] + 1 : std::max(length[i - 1][j], length[i][j - 1]);
  for (size_t i = n, j = m; i > 0 && j > 0;) {
    if (a[i - 1] == b[j - 1]) {
      common.insert(a[i - 1]), --i, --j;
    } else if (length[i - 1][j] > length[i][j - 1]) {
      --i;
    } else {
      --j;
    }
  }
}

size_t different_words(const std::vector<Words>& sentences) {
  std::set<std::string> all;
  for (const auto& s : sentences) all.insert(s.begin(), s.end());
  return all.size();
}

// Python's difflib.SequenceMatcher: characters that make up more than a hundredth of 200 or more begin no match.
class Matcher {
 public:
  Matcher(const std::u32string& a, const std::u32string& b) : a_(a), b_(b) {
    for (size_t j = 0; j < b.size(); ++j) places_[b[j]].push_back(j);
    if (b.size() >= 200) std::erase_if(places_, [&](const auto& p) { return p.second.size() > b.size() / 100 + 1; });
  }
  size_t matched() const {
    size_t sum = 0;
    std::vector<std::array<size_t, 4>> open = {{0, a_.size(), 0, b_.size()}};
    while (!open.empty()) {
      const auto [alo, ahi, blo, bhi] = open.back();
      open.pop_back();
      const auto [i, j, size] = longest(alo, ahi, blo, bhi);
      if (size == 0) continue;
      sum += size;
      if (alo < i && blo < j) open.push_back({alo, i, blo, j});
      if (i + size < ahi && j + size < bhi) open.push_back({i + size, ahi, j + size, bhi});
    }
    return sum;
  }

 private:
  // The longest match in a[alo, ahi) and b[blo, bhi); of equals the first in a, then in b.
  std::array<size_t, 3> longest(size_t alo, size_t ahi, size_t blo, size_t bhi) const {
    size_t at_a = alo, at_b = blo, best = 0;
    std::map<size_t, size_t> ends;  // length of the match that ends at a[i - 1], b[j]
    for (size_t i = alo; i < ahi; ++i) {
      std::map<size_t, size_t> next;
      if (const auto at = places_.find(a_[i]); at != places_.end()) {
        for (const size_t j : at->second) {
          if (j < blo || j >= bhi) continue;
          const auto before = j > 0 ? ends.find(j - 1) : ends.end();
          const size_t size = next[j] = (before == ends.end() ? 0 : before->second) + 1;
          if (size > best) at_a = i + 1 - size, at_b = j + 1 - size, best = size;
        }
      }
      ends = std::move(next);
    }
    while (at_a > alo && at_b > blo && a_[at_a - 1] == b_[at_b - 1]) --at_a, --at_b, ++best;
    while (at_a + best < ahi && at_b + best < bhi && a_[at_a + best] == b_[at_b + best]) ++best;
    return {at_a, at_b, best};
  }

  const std::u32string &a_, &b_;
  std::map<char32_t, std::vector<size_t>> places_;
};

std::u32string code_points(const std::string& text) {
  const auto t = jinja::text_from(text);
  return {t.begin(), t.end()};
}

// Runs of digits.
std::vector<std::string> numbers_of(const std::string& text) {
  std::vector<std::string> out;
  for (size_t at = 0; (at = text.find_first_of("0123456789", at)) != text.npos;) {
    const size_t end = std::min(text.find_first_not_of("0123456789", at), text.size());
    out.push_back(text.substr(at, end - at));
    at = end;
  }
  return out;
}

// The first line that is neither empty nor a remark.
std::string first_code(const std::string& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const bool blank = line.find_first_not_of(" \t\r\v\f") == line.npos;
    if (!blank && line.find_first_of("`#") == line.npos && line.find("//") == line.npos) return line;
  }
  return "";
}

}  // namespace

double rouge_l(const std::string& text, const std::string& answer) {
  const auto ours = sentences_of(text), theirs = sentences_of(answer);
  if (ours.empty() || theirs.empty()) return 0;
  std::set<std::string> common;
  for (const auto& t : theirs)
    for (const auto& o : ours) add_common(t, o, common);
  const auto shared = static_cast<double>(common.size());
  const double p = shared / static_cast<double>(different_words(ours));
  const double r = shared / static_cast<double>(different_words(theirs));
  return 2 * (p * r / (p + r + 1e-8));
}

double code_similarity(const std::string& text, const std::string& answer) {
  const std::u32string a = code_points(first_code(text)), b = code_points(answer);
  if (a == b) return 1;
  if (a.empty() || b.empty()) return 0;
  const double ratio = 2.0 * static_cast<double>(Matcher(a, b).matched()) / static_cast<double>(a.size() + b.size());
  return std::nearbyint(100 * ratio) / 100;  // halves to even, as Python rounds
}

double share_of_numbers(const std::string& text, const std::string& answer) {
  const auto numbers = numbers_of(text);
  if (numbers.empty()) return 0;
  return static_cast<double>(std::ranges::count(numbers, answer)) / static_cast<double>(numbers.size());
}

double paragraph_found(const std::string& text, const std::string& answer) {
  const size_t at = answer.find("Paragraph ");
  const auto named = numbers_of(at == answer.npos ? "" : answer.substr(at));
  require(!named.empty(), "retrieval_score: the answer '{}' names no paragraph", answer);
  return share_of_numbers(text, named[0]);
}

double class_named(const std::string& text, const std::string& answer, const std::vector<std::string>& classes) {
  std::vector<std::string> named;
  for (const auto& c : classes)
    if (text.find(c) != text.npos) named.push_back(c);
  // Classes that are a part of the answer's name do not count; LongBench passes over the one after such.
  for (size_t i = 0; i < named.size(); ++i)
    if (answer != named[i] && answer.find(named[i]) != answer.npos)
      named.erase(named.begin() + static_cast<std::ptrdiff_t>(i));
  return std::ranges::count(named, answer) > 0 ? 1.0 / static_cast<double>(named.size()) : 0;
}

}  // namespace jet
