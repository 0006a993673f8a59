#include "jet/text/piece_merges.h"

#include <algorithm>
#include <functional>

#include "jet/text/token_map.h"
#include "jet/text/unicode.h"

namespace jet {

std::vector<Merge> merges_by_score(const std::vector<std::string_view>& texts, const std::vector<double>& scores,
                                   const std::string& where) {
  TokenMap ids(texts.size());
  std::vector<double> ranks;  // scores, the highest first
  for (size_t id = 0; id < texts.size(); ++id) {
    if (texts[id].empty()) continue;
    ids.add(texts[id], static_cast<int32_t>(id));
    ranks.push_back(scores[id]);
  }
  std::sort(ranks.begin(), ranks.end(), std::greater<>());
  ranks.erase(std::unique(ranks.begin(), ranks.end()), ranks.end());
  std::vector<Merge> merges;
  for (size_t id = 0; id < texts.size(); ++id) {
    const std::string_view text = texts[id];
    if (text.empty() || static_cast<size_t>(utf8_length(text, 0)) == text.size()) continue;
    const auto rank = std::lower_bound(ranks.begin(), ranks.end(), scores[id], std::greater<>()) - ranks.begin();
    for_each_code_point(text, [&](char32_t, size_t at, size_t length) {
      require(ids.find(text.substr(at, length)) >= 0, "{}: the piece {} has a character that is no piece", where,
              shown(text));
      if (at == 0) return;
      const int32_t left = ids.find(text.substr(0, at)), right = ids.find(text.substr(at));
      if (left >= 0 && right >= 0)
        merges.push_back({left, right, static_cast<int32_t>(id), static_cast<int32_t>(rank)});
    });
  }
  return merges;
}

}  // namespace jet
