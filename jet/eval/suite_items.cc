// Documents to requests, as lm-evaluation-harness's ConfigurableTask makes them:
//
//   | description | text delimiter target between | ... | text [delimiter prefix] |      context
//                   a worked example                                                     continuation: delimiter choice
//
// Where doc_to_text is a number, each choice is a context of its own and the target follows all of them.
#include <algorithm>
#include <map>

#include "jet/base/error.h"
#include "jet/eval/suite.h"
#include "jet/eval/suite_rows.h"
#include "jet/eval/suite_value.h"
#include "jet/text/jinja/text.h"

namespace jet {
namespace {

struct Forms {
  SuiteValue description, text, choice, target, prefix, shot_text, shot_target;

  Forms(const Suite& s, const std::string& where)
      : description(s.description, where + ": description"), text(s.doc_to_text, where + ": doc_to_text"),
        choice(s.doc_to_choice, where + ": doc_to_choice"), target(s.doc_to_target, where + ": doc_to_target"),
        prefix(s.gen_prefix, where + ": gen_prefix"),
        shot_text(s.fewshot.doc_to_text.is_null() ? s.doc_to_text : s.fewshot.doc_to_text, where + ": fewshot"),
        shot_target(s.fewshot.doc_to_target.is_null() ? s.doc_to_target : s.fewshot.doc_to_target,
                    where + ": fewshot") {}
};

std::string written(const Json& value) { return value.is_string() ? value.get<std::string>() : json_text(value); }

std::vector<std::string> choices_in(const SuiteValue& form, const Json& doc, const std::string& where) {
  const Json list = form.of(doc);
  std::vector<std::string> choices;
  if (list.is_null()) return choices;
  require(list.is_array() && !list.empty(), "{}: doc_to_choice gives no list of choices: {}", where,
          json_text(list).substr(0, 80));
  for (const Json& c : list) choices.push_back(written(c));
  return choices;
}

/// A whole number, or a text that is one.
std::optional<int64_t> as_index(const Json& value) {
  if (value.is_number_integer()) return value.get<int64_t>();
  if (!value.is_string()) return {};
  const auto text = value.get<std::string>();
  const bool digits = !text.empty() && text.size() < 10 && text.find_first_not_of("0123456789") == text.npos;
  return digits ? std::optional<int64_t>(std::stoll(text)) : std::nullopt;
}

bool ends_in_space(const std::string& s) {
  const auto text = jinja::text_from(s);
  return !text.empty() && jinja::is_space(text.back());
}
bool begins_with_space(const std::string& s) {
  const auto text = jinja::text_from(s);
  return !text.empty() && jinja::is_space(text.front());
}

std::string with_prefix(const std::string& text, const std::string& prefix, const std::string& delimiter) {
  if (prefix.empty()) return text;
  const bool apart = text.empty() || ends_in_space(text) || begins_with_space(prefix);
  return text + (apart ? "" : delimiter) + prefix;
}

class Maker {
 public:
  Maker(const Suite& suite, int shots, std::vector<Json> pool, bool own)
      : suite_(suite), forms_(suite, suite.name), shots_(shots), pool_(std::move(pool)), own_(own) {}

  SuiteItem item(const Json& doc) const { return asked(doc, doc); }

  /// With the requests of every rotation of the options.
  SuiteItem in_every_order(const Json& doc) const {
    SuiteItem item = asked(doc, doc);
    Json turned = doc;
    for (size_t r = 1; r < item.choices.size(); ++r) {
      turn_options(turned, item.choices.size());
      for (auto& request : asked(turned, doc).requests) item.requests.push_back(std::move(request));
    }
    return item;
  }

 private:
  /// Each option one place towards the first, which goes last.
  void turn_options(Json& doc, size_t choices) const {
    std::vector<Json*> places;
    for (const auto& name : suite_.options) {
      require(doc.contains(name), "{}: options: '{}' is no field of a document", suite_.name, name);
      if (suite_.options.size() > 1 || !doc[name].is_array())
        places.push_back(&doc[name]);
      else
        for (Json& option : doc[name]) places.push_back(&option);
    }
    require(places.size() == choices, "{}: {} options for {} choices", suite_.name, places.size(), choices);
    for (size_t j = 0; j + 1 < places.size(); ++j) std::swap(*places[j], *places[j + 1]);
  }

  /// `original`: what worked examples must not show.
  SuiteItem asked(const Json& doc, const Json& original) const {
    SuiteItem item{doc, {}, choices_in(forms_.choice, doc, suite_.name), forms_.target.of(doc)};
    if (suite_.output_type == "loglikelihood_rolling") {
      item.requests.push_back({{}, forms_.target.text_of(doc)});
      return item;
    }
    const std::string before = forms_.description.text_of(doc) + examples(original);
    const Json text = forms_.text.of(doc);
    const std::string prefix = forms_.prefix.text_of(doc), &delimiter = suite_.target_delimiter;
    const bool choices = suite_.output_type == "multiple_choice";
    if (choices && as_index(text)) {
      for (const auto& c : item.choices)
        item.requests.push_back({before + with_prefix(c, prefix, ""), delimiter + written(item.target)});
      item.target = *as_index(text);
      return item;
    }
    const std::string context = before + with_prefix(written(text), prefix, delimiter);
    if (!choices) {
      for (int repeat = 0; repeat < suite_.repeats; ++repeat)
        item.requests.push_back({context, suite_.output_type == "loglikelihood" ? written(item.target) : "", repeat});
      return item;
    }
    for (const auto& c : item.choices) item.requests.push_back({context, delimiter + c});
    item.target = index_of(item);
    return item;
  }

  /// The right choice, or a list of them, as numbers.
  Json index_of(const SuiteItem& item) const {
    if (item.target.is_array()) return item.target;
    auto at = as_index(item.target);
    if (!at) {
      const auto found = std::find(item.choices.begin(), item.choices.end(), written(item.target));
      if (found != item.choices.end()) at = found - item.choices.begin();
    }
    require(at && *at < std::ssize(item.choices), "{}: the target {} is none of the {} choices of {}", suite_.name,
            json_text(item.target), item.choices.size(), json_text(item.doc).substr(0, 120));
    return *at;
  }

  std::string example(const Json& doc) const {
    Json text = forms_.shot_text.of(doc), target = forms_.shot_target.of(doc);
    const auto choices = choices_in(forms_.choice, doc, suite_.name);
    if (const auto at = as_index(text); at && !choices.empty()) {
      text = choices.at(static_cast<size_t>(*at));
    } else if (const auto right = as_index(target); right && !choices.empty()) {
      target = choices.at(static_cast<size_t>(*right));
    }
    if (target.is_array()) target = target.empty() ? Json("") : target.front();
    const std::string prefix = forms_.prefix.text_of(doc), answer = written(target);
    return prefix.empty()
               ? written(text) + suite_.target_delimiter + answer + suite_.fewshot_delimiter
               : with_prefix(written(text), prefix, suite_.target_delimiter) + ' ' + answer + suite_.fewshot_delimiter;
  }

  /// The first of the pool; of the task's own documents without the one that is asked.
  std::string examples(const Json& doc) const {
    std::string text;
    int made = 0;
    for (size_t i = 0; i < pool_.size() && made < shots_; ++i) {
      if (own_ && pool_[i] == doc) continue;
      text += example(pool_[i]), ++made;
    }
    require(made == shots_, "{}: {} worked examples are asked for, {} are there; lower --num-fewshot", suite_.name,
            shots_, made);
    return text;
  }

  const Suite& suite_;
  Forms forms_;
  int shots_;
  std::vector<Json> pool_;
  bool own_;
};

struct Part {
  std::string name;
  std::vector<Json> docs;
};

std::string paths_of(const std::vector<SuiteFile>& files) {
  std::vector<std::string> paths;
  for (const auto& f : files) paths.push_back(f.path);
  return fmt::format("{}", fmt::join(paths, " or "));
}

void part_rows(const Suite& suite, std::vector<Json> rows, std::vector<Part>& parts) {
  for (Json& row : rows) {
    const std::string name = row.contains(suite.part_by) ? written(row.at(suite.part_by)) : "other";
    row["part"] = name;
    auto at = std::find_if(parts.begin(), parts.end(), [&](const Part& p) { return p.name == name; });
    if (at == parts.end()) at = parts.insert(at, {name, {}});
    at->docs.push_back(std::move(row));
  }
}

std::vector<Part> parts_of(const Suite& suite, const std::string& data) {
  for (const auto& file : suite.files) {
    const auto matches = matching_files(data, file.path);
    std::vector<Part> parts;
    for (const auto& [part, path] : matches) {
      auto rows = read_rows(path, file, part);
      if (suite.part_by.empty()) {
        parts.push_back({part, std::move(rows)});
      } else {
        part_rows(suite, std::move(rows), parts);
      }
    }
    if (!parts.empty()) return parts;
  }
  fail("{}: suite '{}' needs {} there; published at {}", data, suite.name, paths_of(suite.files), suite.published);
}

/// Documents that worked examples are made of; empty where they are the task's own.
std::vector<Json> pool_of(const Suite& suite, const std::string& data, const std::string& part) {
  const Json& samples = suite.fewshot.samples;
  const Json mine = samples.is_object() && samples.contains(part) ? samples.at(part) : samples;
  if (mine.is_array() && !mine.empty()) return mine.get<std::vector<Json>>();
  for (const auto& file : suite.fewshot.files) {
    const auto matches = matching_files(data, file.path);
    const auto at = matches.size() == 1 ? matches.begin() : matches.find(part);
    if (at == matches.end()) continue;
    auto rows = read_rows(at->second, file, part);
    if (!suite.part_by.empty())
      std::erase_if(rows, [&](const Json& r) { return r.contains(suite.part_by) && r.at(suite.part_by) != part; });
    return rows;
  }
  require(suite.fewshot.files.empty(), "{}: worked examples of suite '{}' stand in {}; fetch it, or --num-fewshot 0",
          data, suite.name, paths_of(suite.fewshot.files));
  return {};
}

std::string task_name(const Suite& suite, std::string part) {
  std::replace(part.begin(), part.end(), ' ', '_');
  return part.empty() ? suite.name : suite.name + "_" + part;
}

}  // namespace

std::vector<SuiteTask> load_suite(const Suite& suite, const SuiteOptions& options) {
  const int shots = options.num_fewshot < 0 ? suite.num_fewshot : options.num_fewshot;
  std::vector<SuiteTask> tasks;
  for (Part& part : parts_of(suite, options.data)) {
    SuiteTask task{task_name(suite, part.name), &suite, shots, {}};
    auto pool = shots > 0 ? pool_of(suite, options.data, part.name) : std::vector<Json>{};
    for (Json& example : pool)
      if (!part.name.empty()) example["part"] = part.name;
    const bool own = pool.empty();
    const Maker maker(suite, shots, own && shots > 0 ? part.docs : std::move(pool), own);
    const auto count = options.limit > 0 ? std::min<size_t>(options.limit, part.docs.size()) : part.docs.size();
    const bool permuted = options.permute_choices && !suite.options.empty();
    for (size_t i = 0; i < count; ++i)
      task.items.push_back(permuted ? maker.in_every_order(part.docs[i]) : maker.item(part.docs[i]));
    tasks.push_back(std::move(task));
  }
  return tasks;
}

}  // namespace jet
