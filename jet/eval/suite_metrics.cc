#include "jet/eval/suite_metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "jet/base/error.h"
#include "jet/eval/longbench_metrics.h"
#include "jet/eval/math_answer.h"
#include "jet/eval/suite_value.h"
#include "jet/eval/text_metrics.h"
#include "jet/text/jinja/text.h"
#include "jet/text/regex.h"
#include "jet/text/utf8.h"

namespace jet {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

const std::map<std::string, std::vector<std::string>>& known_metrics() {
  static const std::map<std::string, std::vector<std::string>> kKnown = {
      {"multiple_choice", {"acc", "acc_norm", "acc_bytes", "mc2"}},
      {"loglikelihood", {"acc", "perplexity"}},
      {"loglikelihood_rolling", {"word_perplexity", "byte_perplexity", "bits_per_byte"}},
      {"generate_until",
       {"exact_match", "exact", "f1", "contains", "match_all", "pass@k", "rouge_score", "code_sim_score", "count_score",
        "retrieval_score", "classification_score"}}};
  return kKnown;
}

std::string lowered(const std::string& text) { return jinja::utf8_from(jinja::lower(jinja::text_from(text))); }
std::string stripped_text(const std::string& text) {
  return jinja::utf8_from(jinja::stripped(jinja::text_from(text), jinja::Side::both));
}

/// Whether the likeliest choice is a true one, in one order of the options: choice j is option j + shift.
bool is_right(const SuiteMetric& metric, const SuiteItem& item, std::vector<double> logs, size_t shift) {
  for (size_t i = 0; i < logs.size(); ++i) {
    if (metric.metric == "acc_norm") logs[i] /= static_cast<double>(jinja::text_from(item.choices[i]).size());
    if (metric.metric == "acc_bytes") logs[i] /= static_cast<double>(item.choices[i].size());
  }
  const auto best = static_cast<size_t>(std::max_element(logs.begin(), logs.end()) - logs.begin());
  const Json option = (best + shift) % logs.size();
  if (!item.target.is_array()) return item.target == option;
  return std::any_of(item.target.begin(), item.target.end(), [&](const Json& t) { return t == option; });
}

double mc2(const SuiteItem& item, const std::vector<double>& logs) {
  const Json& labels = item.doc.at("labels");
  require(labels.size() == logs.size(), "mc2: {} labels for {} choices", labels.size(), logs.size());
  double right = 0, all = 0;
  for (size_t i = 0; i < logs.size(); ++i) all += std::exp(logs[i]), right += labels[i] == 1 ? std::exp(logs[i]) : 0;
  return right / all;
}

/// Of each order of the options that was asked.
std::vector<double> choice_marks(const SuiteMetric& metric, const SuiteItem& item, const Json& answers) {
  const size_t choices = item.choices.size();
  std::vector<double> marks;
  for (size_t first = 0; first < answers.size(); first += choices) {
    std::vector<double> logs;
    for (size_t i = first; i < first + choices; ++i) logs.push_back(answers.at(i).at(0).get<double>());
    marks.push_back(metric.metric == "mc2" ? mc2(item, logs) : is_right(metric, item, logs, first / choices));
  }
  return marks;
}

SuiteMark rolling_mark(const Suite& suite, const SuiteMetric& metric, const SuiteItem& item, double log) {
  const std::string text =
      suite.measure.is_null() ? item.requests[0].continuation : SuiteValue(suite.measure, suite.name).text_of(item.doc);
  if (metric.metric != "word_perplexity") return {log, static_cast<double>(text.size())};
  double words = 1;
  bool space = false;
  for (const char32_t c : jinja::text_from(text)) {  // as re.split(r"\s+", text) has parts
    words += jinja::is_space(c) && !space;
    space = jinja::is_space(c);
  }
  return {log, words};
}

/// The match that is asked for; "[invalid]" where there is none, as the harness says.
std::string regex_filtered(const SuiteFilterStep& step, const std::string& text) {
  const Regex regex(step.regex_pattern, "filter_list: regex_pattern");
  std::vector<std::string> found;
  for (Regex::Search s(regex, text); s.next();) {
    int group = regex.groups() > 0 ? 1 : 0;
    while (group < regex.groups() && (s.begin(group) == text.npos || s.begin(group) == s.end(group))) ++group;
    found.push_back(s.begin(group) == text.npos ? "" : text.substr(s.begin(group), s.end(group) - s.begin(group)));
  }
  const auto size = static_cast<int>(found.size());
  const int at = step.group_select < 0 ? size + step.group_select : step.group_select;
  return at < 0 || at >= size ? "[invalid]" : stripped_text(found[static_cast<size_t>(at)]);
}

std::string filtered_text(const Suite& suite, const SuiteFilter& filter, const SuiteItem& item, std::string text) {
  for (const auto& step : filter.filter) {
    if (step.function == "remove_whitespace") {
      text = stripped_text(text);
    } else if (step.function == "regex") {
      text = regex_filtered(step, text);
    } else if (step.function == "value") {
      Json doc = item.doc;
      doc["text"] = text;
      text = SuiteValue(step.value, suite.name + ": filter_list").text_of(doc);
    } else {
      require(step.function == "take_first",
              "{}: filter_list: function '{}' is unknown (known: regex, "
              "remove_whitespace, value, take_first)",
              suite.name, step.function);
    }
  }
  return text;
}

std::string plain_form(const SuiteMetric& metric, std::string text) {
  for (const auto& pattern : metric.regexes_to_ignore) text = replace_all(pattern, "", text);
  if (metric.ignore_case) text = lowered(text);
  if (metric.ignore_punctuation) std::erase_if(text, [](char c) { return c > 32 && c < 127 && !std::isalnum(c); });
  return text;
}

std::vector<std::string> targets_of(const SuiteItem& item) {
  std::vector<std::string> targets;
  for (const Json& t : item.target.is_array() ? item.target : Json::array({item.target}))
    targets.push_back(t.is_string() ? t.get<std::string>() : json_text(t));
  return targets;
}

/// k of pass@k; 0: another metric, negative: no number.
int passes_of(const std::string& metric) {
  if (!metric.starts_with("pass@")) return 0;
  const std::string k = metric.substr(5);
  const bool number = !k.empty() && k.size() < 7 && k.find_first_not_of("0123456789") == k.npos && k[0] != '0';
  return number ? std::stoi(k) : -1;
}

/// Whether each of the programs made of the texts ends well.
std::vector<bool> programs_end_well(const Suite& suite, const SuiteItem& item, const std::vector<std::string>& texts,
                                    const RunProgram& run) {
  const SuiteValue program(suite.program, suite.name + ": program");
  std::vector<bool> well;
  Json doc = item.doc;
  for (const auto& text : texts) {
    doc["text"] = text;
    well.push_back(run(program.text_of(doc)));
  }
  return well;
}

double chance_of_one(int k, const std::vector<bool>& well) {
  const auto n = static_cast<int>(well.size()), wrong = static_cast<int>(std::count(well.begin(), well.end(), false));
  double none = 1;
  for (int i = 0; i < k; ++i) none *= std::max(0.0, static_cast<double>(wrong - i)) / (n - i);
  return 1 - none;
}

/// LongBench's metrics of one target; none: another metric.
std::function<double(const std::string& target)> longbench_mark(const std::string& metric, const SuiteItem& item,
                                                                const std::string& raw) {
  if (metric == "code_sim_score") return [&](const std::string& t) { return code_similarity(raw, t); };
  const std::string text = stripped_text(raw);
  if (metric == "rouge_score") return [=](const std::string& t) { return rouge_l(text, t); };
  if (metric == "count_score") return [=](const std::string& t) { return share_of_numbers(text, t); };
  if (metric == "retrieval_score") return [=](const std::string& t) { return paragraph_found(text, t); };
  if (metric != "classification_score") return {};
  const auto classes = get<std::vector<std::string>>(item.doc, "all_classes", "classification_score");
  return [=](const std::string& t) { return class_named(text, t, classes); };
}

double text_mark(const SuiteMetric& metric, const SuiteItem& item, const std::string& text) {
  const auto targets = targets_of(item);
  if (const auto mark = longbench_mark(metric.metric, item, text)) {
    double best = 0;
    for (const auto& t : targets) best = std::max(best, mark(t));
    return best;
  }
  if (metric.metric == "f1") return f1(text, targets, "squad");
  if (metric.metric == "exact") return exact_match(text, targets, "squad");
  const auto stands = [&](const std::string& t) { return lowered(text).find(lowered(t)) != std::string::npos; };
  if (metric.metric == "contains") return std::any_of(targets.begin(), targets.end(), stands);
  if (metric.metric == "match_all")
    return static_cast<double>(std::count_if(targets.begin(), targets.end(), stands)) /
           static_cast<double>(std::max<size_t>(1, targets.size()));
  if (metric.math)
    return std::any_of(targets.begin(), targets.end(), [&](const auto& t) { return same_math(text, t); });
  const std::string given = plain_form(metric, text);
  return std::any_of(targets.begin(), targets.end(), [&](const auto& t) { return plain_form(metric, t) == given; });
}

}  // namespace

void check_metrics(const Suite& suite, const std::string& where) {
  const auto known = known_metrics().find(suite.output_type);
  require(known != known_metrics().end(),
          "{}: output_type '{}' is unknown (known: multiple_choice, loglikelihood, loglikelihood_rolling, "
          "generate_until)",
          where, suite.output_type);
  require(!suite.metric_list.empty(), "{}: metric_list is empty", where);
  for (const auto& m : suite.metric_list) {
    const auto& names = known->second;
    const int passes = passes_of(m.metric);
    require(passes > 0 || std::find(names.begin(), names.end(), m.metric) != names.end(),
            "{}: metric '{}' does not go with {} (known there: {})", where, m.metric, suite.output_type,
            fmt::join(names, ", "));
    require(passes >= 0 && (passes > 0) == suite.runs_code() && (passes == 0 || suite.output_type == "generate_until"),
            "{}: metric '{}': pass@1, pass@2, .. go with a program, and no other metric does", where, m.metric);
    require(passes <= suite.repeats && (suite.repeats == 1 || passes > 0),
            "{}: metric '{}' does not go with {} repeats: pass@k takes at least k, all else one", where, m.metric,
            suite.repeats);
  }
}

SuiteGrade grade(const Suite& suite, const SuiteItem& item, const Json& answers, const RunProgram& run) {
  SuiteGrade g;
  for (const auto& filter : suite.filter_list) {
    std::vector<std::string> texts;
    std::vector<bool> well;
    if (suite.output_type == "generate_until") {
      for (const Json& a : answers) texts.push_back(filtered_text(suite, filter, item, a.get<std::string>()));
      g.filtered[filter.name] = texts.at(0);
      if (suite.runs_code()) well = programs_end_well(suite, item, texts, run);
    }
    for (const auto& m : suite.metric_list) {
      SuiteMark& mark = g.marks[m.metric + "," + filter.name];
      if (suite.output_type == "multiple_choice") {
        const auto marks = choice_marks(m, item, answers);
        mark.value = std::accumulate(marks.begin(), marks.end(), 0.0) / static_cast<double>(marks.size());
        if (m.metric == "acc" && marks.size() > 1)
          g.marks["acc_circular," + filter.name].value = *std::min_element(marks.begin(), marks.end());
      } else if (suite.output_type == "loglikelihood_rolling") {
        mark = rolling_mark(suite, m, item, answers.at(0).get<double>());
      } else if (suite.output_type == "loglikelihood") {
        mark.value = m.metric == "acc" ? answers.at(0).at(1).get<bool>() : answers.at(0).at(0).get<double>();
      } else {
        const int k = passes_of(m.metric);
        mark.value = k > 0 ? chance_of_one(k, well) : text_mark(m, item, texts.at(0));
      }
    }
  }
  return g;
}

std::map<std::string, SuiteFigure> figures_of(const std::vector<SuiteGrade>& grades) {
  std::map<std::string, std::vector<SuiteMark>> columns;
  for (const auto& g : grades)
    for (const auto& [key, mark] : g.marks) columns[key].push_back(mark);
  std::map<std::string, SuiteFigure> figures;
  for (const auto& [key, marks] : columns) {
    const auto n = static_cast<double>(marks.size());
    double sum = 0, weights = 0, squares = 0;
    for (const auto& m : marks) sum += m.value, weights += m.weight;
    const std::string metric = key.substr(0, key.find(','));
    if (metric == "word_perplexity" || metric == "byte_perplexity") {
      figures[key] = {std::exp(-sum / weights), kNone};
      continue;
    }
    if (metric == "bits_per_byte") {
      figures[key] = {-sum / weights / std::log(2.0), kNone};
      continue;
    }
    const double mean = sum / n;
    for (const auto& m : marks) squares += (m.value - mean) * (m.value - mean);
    const double error = n > 1 ? std::sqrt(squares / (n - 1) / n) : kNone;
    figures[key] =
        metric == "perplexity" ? SuiteFigure{std::exp(-mean), std::exp(-mean) * error} : SuiteFigure{mean, error};
  }
  return figures;
}

SuiteFigure pooled(const std::vector<SuiteFigure>& figures, const std::vector<int64_t>& sizes, bool weight_by_size) {
  double value = 0, variance = 0;
  const auto parts = static_cast<double>(figures.size());
  const auto all = static_cast<double>(std::accumulate(sizes.begin(), sizes.end(), int64_t{0}));
  for (size_t i = 0; i < figures.size(); ++i) {
    const auto n = static_cast<double>(sizes[i]);
    const double square = figures[i].error * figures[i].error;
    value += figures[i].value * (weight_by_size ? n / all : 1 / parts);
    variance += weight_by_size ? (n - 1) * square * n / (all - parts) / all : square / parts / parts;
  }
  return {value, std::sqrt(variance)};
}

bool higher_is_better(const std::string& metric) {
  return metric.find("perplexity") == metric.npos && metric != "bits_per_byte";
}

}  // namespace jet
