// What answers are worth, as lm-evaluation-harness counts it. An answer is [log p, likeliest] of each request,
// log p of a whole text, or a text, which goes through each filter and is then held against the target.
//
//   multiple_choice        acc            the greatest log p is the target's
//                          acc_norm       per character of the choice
//                          acc_bytes      per byte of the choice
//                          mc2            the share of p on the true ones
//                          acc_circular   the greatest log p is the target's in every rotation of the options; acc is
//                                         then the mean over the rotations
//   loglikelihood          acc            every token is the likeliest              perplexity exp of the mean -log p
//   loglikelihood_rolling  word_perplexity, byte_perplexity, bits_per_byte
//   generate_until         exact_match    with ignore_case, ignore_punctuation, regexes_to_ignore; or
//                                         math (math_answer.h)
//                          exact, f1      after SQuAD's normalisation, of the best target
//                          contains       the target stands in the text, case aside
//                          match_all      the part of the targets that stand in the text, case aside (RULER)
//                          rouge_score, code_sim_score, count_score, retrieval_score, classification_score: LongBench's
//                                         (longbench_metrics.h), of the best target
//                          pass@k         the program made of the text ends well: the chance that one of k texts does,
//                                         1 - C(n - c, k) / C(n, k) where c of n do (Chen et al. 2021, arXiv
//                                         2107.03374, eq. 1)
//
// The standard error of a mean is the sample's deviation by sqrt(n); of exp(mean), that times the value (the harness
// draws samples there); of parts weighed by size the harness's pooled one.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "jet/eval/suite.h"

namespace jet {

/// Throws Error on an output type or a metric that is unknown, naming those that are known.
void check_metrics(const Suite& suite, const std::string& where);

/// Whether a program ends well.
using RunProgram = std::function<bool(const std::string& program)>;

/// One item's values.
struct SuiteMark {
  double value = 0, weight = 1;
};
struct SuiteGrade {
  std::map<std::string, std::string> filtered;  // by filter, of texts
  std::map<std::string, SuiteMark> marks;       // by "metric,filter"
};
SuiteGrade grade(const Suite& suite, const SuiteItem& item, const Json& answers, const RunProgram& run);

struct SuiteFigure {
  double value = 0, error = 0;  // NaN: there is none
};
/// "metric,filter" -> value and standard error.
std::map<std::string, SuiteFigure> figures_of(const std::vector<SuiteGrade>& grades);
/// Of tasks that are parts of one: value and error of each, and their sizes.
SuiteFigure pooled(const std::vector<SuiteFigure>& figures, const std::vector<int64_t>& sizes, bool weight_by_size);
bool higher_is_better(const std::string& metric);

}  // namespace jet
