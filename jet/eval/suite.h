// Public benchmarks as data, with the protocols of lm-evaluation-harness to the letter. A definition has that harness's
// keys; what is Python there (process_docs, !function) is an expression here. data/suites.json has ours; a file of the
// same form may be named instead.
//
//   {"piqa": {
//      "about", "published", "licence"   texts of `jet eval --list`
//      "files": [{"path": "piqa/valid.jsonl", "doc": {...}}, ...]     in the folder of data, the first that is there
//          path    * stands for the name of a part (a subject), which is a task of its own: NAME_PART; what ends in /
//                  is a folder of .json files, a document each
//          rows    of a JSON file: keys that lead to the documents; lists on the way are walked, and what stands beside
//                  them belongs to each document ("data.paragraphs.qas")
//          columns names of a CSV file's columns; without them its first line has them
//          starts  of a text: an expression that the first line of each document matches; otherwise it is one
//          where   value: documents for which it is false are left out
//          doc     name -> value: fields to add, made of those that the file has
//      "part_by"            field whose values part the documents into tasks; otherwise the path's *
//      "output_type"        multiple_choice, loglikelihood, loglikelihood_rolling, generate_until
//      "options"            fields that hold the options which doc_to_text shows, in order; or one that lists them
//      "description", "doc_to_text", "doc_to_choice", "doc_to_target", "gen_prefix": values;   "target_delimiter": " "
//      "num_fewshot", "fewshot": {"files", "samples", "doc_to_text", "doc_to_target"}, "fewshot_delimiter": "\n\n"
//      "generation_kwargs": {"until": [...], "max_gen_toks": 256, "temperature": 0, "top_p": 1}
//      "repeats"            texts that are drawn for a document, of which pass@k counts
//      "measure"            rolling: the text whose words and bytes count; left out: the target
//      "filter_list", "metric_list", "program": value, of `text` and the document's fields: see suite_metrics.h
//      "weight_by_size"     whether the mean over parts weighs their items
//   }}
//
// A value is a text with {{ expressions }} of Jinja (jet/text/jinja), or a field's name alone; one expression alone
// keeps its type. Beside the document's fields they know `part`, and re_sub(pattern, by, text), re_find(pattern,
// text), which is "" or the first group, and boxed(solution), the answer in the last \boxed{}.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "jet/base/json.h"

namespace jet {

struct SuiteFile {
  std::string path, rows, starts;
  std::vector<std::string> columns;
  Json where, doc = Json::object();
  template <class V>
  static void fields(SuiteFile& f, V&& v) {
    v("path", f.path), v("rows", f.rows), v("starts", f.starts), v("columns", f.columns), v("where", f.where);
    v("doc", f.doc);
  }
};

/// Worked examples: the first of `samples`, or of the first file that is there, or of the task's own file without the
/// document that is asked.
struct SuiteFewshot {
  std::vector<SuiteFile> files;
  Json samples = Json::array(), doc_to_text, doc_to_target;  // samples: a list, or lists by part
  template <class V>
  static void fields(SuiteFewshot& f, V&& v) {
    v("files", f.files), v("samples", f.samples), v("doc_to_text", f.doc_to_text), v("doc_to_target", f.doc_to_target);
  }
};

struct SuiteGeneration {
  std::vector<std::string> until;
  int max_gen_toks = 256;
  float temperature = 0, top_p = 1;
  template <class V>
  static void fields(SuiteGeneration& g, V&& v) {
    v("until", g.until), v("max_gen_toks", g.max_gen_toks), v("temperature", g.temperature, at_least(0));
    v("top_p", g.top_p, share());
  }
};

struct SuiteMetric {
  std::string metric;
  bool ignore_case = false, ignore_punctuation = false;
  bool math = false;  // exact_match of answers of MATH (math_answer.h)
  std::vector<std::string> regexes_to_ignore;
  template <class V>
  static void fields(SuiteMetric& m, V&& v) {
    v("metric", m.metric), v("ignore_case", m.ignore_case), v("ignore_punctuation", m.ignore_punctuation);
    v("regexes_to_ignore", m.regexes_to_ignore), v("math", m.math);
  }
};

/// One step of a filter: "regex" (pattern, group: which match, from the end where negative; the first group that took
/// part), "remove_whitespace", "value" (of `text` and the document's fields).
struct SuiteFilterStep {
  std::string function, regex_pattern;
  int group_select = 0;
  Json value;
  template <class V>
  static void fields(SuiteFilterStep& f, V&& v) {
    v("function", f.function), v("regex_pattern", f.regex_pattern), v("group_select", f.group_select);
    v("value", f.value);
  }
};
struct SuiteFilter {
  std::string name = "none";
  std::vector<SuiteFilterStep> filter;
  template <class V>
  static void fields(SuiteFilter& f, V&& v) {
    v("name", f.name), v("filter", f.filter);
  }
};

struct Suite {
  std::string name;  // the key that it stands under
  std::string about, published, licence, part_by, output_type;
  std::vector<SuiteFile> files;
  std::vector<std::string> options;
  Json description = "", doc_to_text = "", doc_to_choice, doc_to_target, gen_prefix = "", measure, program;
  std::string target_delimiter = " ", fewshot_delimiter = "\n\n";
  int num_fewshot = 0, repeats = 1;
  SuiteFewshot fewshot{};
  SuiteGeneration generation_kwargs{};
  std::vector<SuiteFilter> filter_list{{}};
  std::vector<SuiteMetric> metric_list;
  bool weight_by_size = true;
  template <class V>
  static void fields(Suite& s, V&& v) {
    v("about", s.about), v("published", s.published), v("licence", s.licence), v("part_by", s.part_by);
    v("output_type", s.output_type), v("files", s.files), v("options", s.options), v("description", s.description);
    v("doc_to_text", s.doc_to_text), v("doc_to_choice", s.doc_to_choice), v("doc_to_target", s.doc_to_target);
    v("gen_prefix", s.gen_prefix), v("measure", s.measure), v("program", s.program),
        v("target_delimiter", s.target_delimiter);
    v("fewshot_delimiter", s.fewshot_delimiter), v("num_fewshot", s.num_fewshot), v("fewshot", s.fewshot);
    v("generation_kwargs", s.generation_kwargs), v("repeats", s.repeats, at_least(1, 1e4)),
        v("filter_list", s.filter_list), v("metric_list", s.metric_list);
    v("weight_by_size", s.weight_by_size);
  }
  void check(const std::string& where) const;
  bool runs_code() const { return !program.is_null(); }
};

/// Those that come with the program, in the order of data/suites.json; or those of a file.
std::vector<Suite> built_in_suites();
std::vector<Suite> read_suites(const std::string& path);
/// By names, or files of definitions, parted by commas. Throws Error naming those that are known.
std::vector<Suite> suites_named(const std::string& names);

/// What is asked of a model: the continuation's log p after the context; of the whole text where `context` is absent
/// (rolling); or a text that goes on from the context.
struct SuiteRequest {
  std::optional<std::string> context;
  std::string continuation;
  int repeat = 0;  // which of the texts that are drawn
};

struct SuiteItem {
  Json doc;
  std::vector<SuiteRequest> requests;  // with permute_choices: those of one rotation of the options after the other's
  std::vector<std::string> choices;
  Json target;
};

/// One part of a suite, ready to be asked.
struct SuiteTask {
  std::string name;
  const Suite* suite = nullptr;
  int shots = 0;
  std::vector<SuiteItem> items;
};

struct SuiteOptions {
  std::string data;
  int limit = 0;         // items of each task; 0: all
  int num_fewshot = -1;  // negative: the suite's
  /// Asks each question of a suite with `options` once for every rotation of them: rotation r shows option j + r in
  /// place j (MMBench's CircularEval, arXiv:2307.06281 section 4.3).
  bool permute_choices = false;
};

/// Documents made into requests. The suite must outlive them. Throws Error with file and line, and where no file is
/// there, with what the suite needs and where it is published.
std::vector<SuiteTask> load_suite(const Suite& suite, const SuiteOptions& options);

}  // namespace jet
