// What LongBench (Bai et al. 2024, arXiv 2308.14508) counts beside F1, as its code and lm-evaluation-harness
// (tasks/longbench/metrics.py) do; each of one text against one answer, in [0, 1].
//
//   rouge_score            ROUGE-L of summaries, by the package `rouge`: words are counted once, L of them in the
//                          answer, T in the text; S of these stand in a longest common subsequence of any two
//                          sentences: P = S / T, R = S / L, 2 P R / (P + R + 1e-8)
//   code_sim_score         of the first line of code: difflib's ratio, 2 M / (|a| + |b|) with M matched characters, in
//                          hundredths
//   count_score            the share of the text's numbers that are the answer
//   retrieval_score        the same with the number in "Paragraph 7"
//   classification_score   1 / (classes that the text names) if the answer is one of them
#pragma once

#include <string>
#include <vector>

namespace jet {

double rouge_l(const std::string& text, const std::string& answer);
double code_similarity(const std::string& text, const std::string& answer);
double share_of_numbers(const std::string& text, const std::string& answer);
/// Throws Error where the answer names no paragraph.
double paragraph_found(const std::string& text, const std::string& answer);
double class_named(const std::string& text, const std::string& answer, const std::vector<std::string>& classes);

}  // namespace jet
