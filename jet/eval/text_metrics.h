// Generated text against the answers that are right.
//
//   squad   lower case, without ASCII punctuation, without the words a, an, the, words apart by one space
//           (the evaluation script of Rajpurkar et al. 2016); none: white space at both ends does not count
#pragma once

#include <string>
#include <vector>

namespace jet {

/// 1 where the text is one of the answers, else 0.
double exact_match(const std::string& text, const std::vector<std::string>& answers, const std::string& normalisation);
/// 2 P R / (P + R) of the words that both have, each as often as both have it; of the best answer.
double f1(const std::string& text, const std::vector<std::string>& answers, const std::string& normalisation);

}  // namespace jet
