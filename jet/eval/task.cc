#include "jet/eval/task.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "jet/base/error.h"
#include "jet/base/file.h"
#include "jet/text/utf8.h"

namespace jet {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kDefinition = ".task.json", kItems = ".jsonl";

/// What goes together; the first line of a request has its defaults.
struct Protocol {
  const char *request, *metric;
  std::vector<const char*> normalisations;
};
const Protocol kProtocols[] = {{"", "accuracy", {"none", "bytes"}},
                               {"choices", "accuracy", {"none", "bytes"}},
                               {"text", "accuracy", {"none"}},
                               {"text", "perplexity", {"none", "bytes", "words"}},
                               {"generate", "exact_match", {"none", "squad"}},
                               {"generate", "f1", {"none", "squad"}}};

void settle(TaskFormat& f, const std::string& where) {
  std::string known;
  for (const auto& p : kProtocols) {
    if (f.request == p.request) {
      if (f.metric.empty()) f.metric = p.metric;
      const bool takes =
          std::find(p.normalisations.begin(), p.normalisations.end(), f.normalisation) != p.normalisations.end();
      if (f.metric == p.metric && takes) return;
    }
    known += fmt::format("{}{} {} ({})", known.empty() ? "" : ", ", *p.request ? p.request : "none", p.metric,
                         fmt::join(p.normalisations, ", "));
  }
  fail("{}: request '{}', metric '{}' and normalisation '{}' do not go together (known: {})", where, f.request,
       f.metric, f.normalisation, known);
}

TaskFormat read_format(const std::string& path) {
  const Json json = read_json(path);
  auto f = from_json_fields<TaskFormat>(json, path);
  if (!json.contains("metric")) f.metric.clear();
  settle(f, path);
  require(f.most > 0 && f.shots.count >= 0, "{}: most is {}, shots.count {}; expected 1 and 0 or more", path, f.most,
          f.shots.count);
  require(f.shots.count == 0 || !f.shots.items.empty(), "{}: shots: items names no file", path);
  require(std::find(f.until.begin(), f.until.end(), "") == f.until.end(), "{}: until: a stop is empty", path);
  return f;
}

/// The task's name where `path` ends with `suffix`, else empty.
std::string name_of(const std::string& path, std::string_view suffix) {
  const std::string file = fs::path(path).filename().string();
  return file.ends_with(suffix) ? file.substr(0, file.size() - suffix.size()) : "";
}

std::string beside(const std::string& path, const std::string& file) {
  return (fs::path(path).parent_path() / file).string();
}

/// A task's files and format, before any item is read.
struct Source {
  std::string name, items, shots, definition;  // no shots, no definition: empty
  TaskFormat format{};
};

Source defined_source(const std::string& definition, const std::string& name) {
  const TaskFormat f = read_format(definition);
  const std::string items = f.items.empty() ? name + std::string(kItems) : f.items;
  const std::string shots = f.shots.count > 0 ? beside(definition, f.shots.items) : "";
  return {name, beside(definition, items), shots, definition, f};
}

Source source_of(const std::string& path) {
  if (const std::string name = name_of(path, kDefinition); !name.empty()) return defined_source(path, name);
  const std::string name = fs::path(path).stem().string();
  if (const std::string definition = beside(path, name + std::string(kDefinition)); file_exists(definition)) {
    Source s = defined_source(definition, name);
    if (fs::path(s.items).lexically_normal() == fs::path(path).lexically_normal()) return s;
  }
  return {name, path, "", "", {}};
}

/// A line of a file without templates of its own.
struct ItemLine {
  std::string prompt, answer;
  std::vector<std::string> choices;
  int n = 0;
  template <class V>
  static void fields(ItemLine& l, V&& v) {
    v("prompt", l.prompt), v("answer", l.answer), v("choices", l.choices), v("n", l.n);
  }
};

const Json& field_of(const Json& item, const std::string& name, const std::string& where) {
  std::vector<std::string> known;
  for (const auto& [key, value] : item.items()) known.push_back(key);
  require(item.contains(name), "{}: has no field '{}', which the task's definition names (fields: {})", where, name,
          fmt::join(known, ", "));
  return item.at(name);
}

std::string text_of(const Json& value, const std::string& name, const std::string& where) {
  if (value.is_string()) return value.get<std::string>();
  require(value.is_number_integer(), "{}: field '{}' is neither text nor a whole number: {}", where, name,
          json_text(value).substr(0, 80));
  return json_text(value);
}

/// The name in a template that is one field and nothing else, else empty.
std::string only_field(const std::string& form) {
  const bool one = form.size() > 2 && form.front() == '{' && form.back() == '}' && form.find('{', 1) == form.npos &&
                   form.find('}') == form.size() - 1;
  return one ? form.substr(1, form.size() - 2) : "";
}

std::string render(const std::string& form, const Json& item, const std::string& where) {
  std::string out;
  for (size_t at = 0; at < form.size(); ++at) {
    const char c = form[at];
    if (c != '{' && c != '}') {
      out += c;
    } else if (at + 1 < form.size() && form[at + 1] == c) {
      out += c, ++at;
    } else {
      const size_t end = form.find('}', at);
      require(c == '{' && end != form.npos,
              "{}: template '{}': a brace without its other one; {{{{ and }}}} stand for "
              "braces",
              where, form);
      const std::string name = form.substr(at + 1, end - at - 1);
      out += text_of(field_of(item, name, where), name, where);
      at = end;
    }
  }
  return out;
}

struct Written {
  ItemText text;
  int n = 0;
};

std::vector<std::string> choices_of(const TaskFormat& f, const Json& item, const std::string& where) {
  std::vector<std::string> choices;
  if (f.choices.is_string()) {
    const auto name = f.choices.get<std::string>();
    if (f.request.empty() && !item.contains(name)) return {};
    const Json& list = field_of(item, name, where);
    require(list.is_array(), "{}: field '{}' is no list of choices", where, name);
    for (const Json& c : list) choices.push_back(text_of(c, name, where));
  } else {
    require(f.choices.is_array(), "{}: the definition's choices are neither a field nor a list of templates", where);
    for (const Json& c : f.choices) choices.push_back(render(text_of(c, "choices", where), item, where));
  }
  return choices;
}

/// A field that lists answers gives all of them; a number is the place among the choices, from 0.
std::vector<std::string> answers_of(const TaskFormat& f, const Json& item, const std::vector<std::string>& choices,
                                    const std::string& where) {
  const std::string name = only_field(f.answer);
  if (name.empty()) return {render(f.answer, item, where)};
  const Json& value = field_of(item, name, where);
  if (value.is_array()) {
    std::vector<std::string> answers;
    for (const Json& a : value) answers.push_back(text_of(a, name, where));
    return answers;
  }
  if (choices.empty() || !value.is_number_integer()) return {text_of(value, name, where)};
  const auto at = value.get<int64_t>();
  require(at >= 0 && at < std::ssize(choices), "{}: the answer is choice {} of {}, counted from 0", where, at,
          choices.size());
  return {choices[at]};
}

Written plain_item(const Json& item, const std::string& where) {
  const auto line = from_json_fields<ItemLine>(item, where);
  return {{line.prompt, {line.answer}, line.choices}, line.n};
}

Written defined_item(const TaskFormat& f, const Json& item, const std::string& where) {
  Written w;
  w.text.prompt = render(f.prompt, item, where);
  if (f.request.empty() || f.request == "choices") w.text.choices = choices_of(f, item, where);
  w.text.answers = answers_of(f, item, w.text.choices, where);
  w.n = get_or(item, "n", 0, where);
  return w;
}

void check(const Written& w, const TaskFormat& f, const std::string& where) {
  const auto& [prompt, answers, choices] = w.text;
  require(!prompt.empty() || f.metric == "perplexity",
          "{}: the prompt is empty; the first answer token would follow "
          "nothing",
          where);
  require(!answers.empty(), "{}: the list of answers is empty", where);
  for (const auto& a : answers) require(!a.empty(), "{}: the answer is empty", where);
  for (const auto& c : choices) require(!c.empty(), "{}: a choice is empty", where);
  require(f.request != "choices" || !choices.empty(), "{}: no choices, where the task asks for them", where);
  require(choices.empty() || std::find(choices.begin(), choices.end(), answers[0]) != choices.end(),
          "{}: the answer '{}' is not among the {} choices", where, answers[0], choices.size());
}

/// Items [skip, skip + limit) of a file; `has_definition`: lines may have other fields than those of a plain file.
std::vector<Written> read_items(const std::string& path, const TaskFormat& f, bool has_definition, int limit,
                                int skip) {
  const std::string text = read_file(path);
  std::vector<Written> all;
  int number = 0, items = 0;
  for (size_t begin = 0; begin < text.size() && (limit == 0 || items < skip + limit);) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string::npos || items++ < skip) continue;
    const std::string where = fmt::format("{}:{}", path, number);
    const Json json = parse_json(line, where);
    require(json.is_object(), "{}: expected an object with prompt and answer, got {}", where, line.substr(0, 40));
    all.push_back(has_definition ? defined_item(f, json, where) : plain_item(json, where));
    check(all.back(), f, where);
  }
  require(!all.empty(), "{}: no items after the first {}; the file holds {}", path, skip, items);
  return all;
}

/// What stands before every prompt.
std::string preamble(const Source& s) {
  std::string text = s.format.description;
  if (s.shots.empty()) return text;
  const auto shots = read_items(s.shots, s.format, true, s.format.shots.count, 0);
  require(std::ssize(shots) == s.format.shots.count, "{}: {} shots asked for, the file holds {}", s.shots,
          s.format.shots.count, shots.size());
  for (const auto& shot : shots)
    text += shot.text.prompt + s.format.delimiter + shot.text.answers[0] + s.format.shots.between;
  return text;
}

/// Begins as the tokenizer begins texts. The first token of a text that follows nothing is predicted from the token
/// that begins texts, or that ends the one before.
std::vector<int32_t> encode_prompt(const std::string& prompt, const Tokenizer& tokenizer, const std::string& where) {
  std::vector<int32_t> ids = tokenizer.beginning();
  const auto text = tokenizer.encode(prompt);
  ids.insert(ids.end(), text.begin(), text.end());
  if (!ids.empty()) return ids;
  const int32_t first = tokenizer.bos_id() >= 0 ? tokenizer.bos_id() : tokenizer.eos_id();
  require(first >= 0, "{}: a text without a prompt needs a token to begin with; the tokenizer names no bos and no eos",
          where);
  return {first};
}

Item encoded(Written w, const TaskFormat& f, const Tokenizer& tokenizer, const std::string& where) {
  Item item;
  item.prompt = encode_prompt(w.text.prompt, tokenizer, where);
  item.answer = tokenizer.encode(f.delimiter + w.text.answers[0]);
  for (const auto& c : w.text.choices) item.choices.push_back(tokenizer.encode(f.delimiter + c));
  item.n = w.n;
  item.text = std::move(w.text);
  return item;
}

}  // namespace

bool Task::has_choices() const {
  return std::any_of(items.begin(), items.end(), [](const Item& i) { return !i.choices.empty(); });
}

Task load_task(const std::string& path, const Tokenizer& tokenizer, int limit, int skip) {
  require(limit >= 0 && skip >= 0, "{}: limit {} and skip {} must be 0 or more", path, limit, skip);
  const Source source = source_of(path);
  const std::string before = preamble(source);
  Task task{repair_utf8(source.name), {}, source.format};  // a key of reports and ledgers
  for (Written& w : read_items(source.items, source.format, !source.definition.empty(), limit, skip)) {
    w.text.prompt.insert(0, before);
    task.items.push_back(encoded(std::move(w), source.format, tokenizer, source.items));
  }
  return task;
}

std::vector<std::string> task_files(const std::string& path) {
  if (fs::is_regular_file(path)) return {path};
  require(fs::is_directory(path), "{}: no such file or folder of tasks (*.jsonl)", path);
  std::map<std::string, std::string> tasks;  // name -> file
  std::set<std::string> parts;               // items and shots of definitions, as they are named
  for (const auto& entry : fs::directory_iterator(path)) {
    const std::string name = name_of(entry.path().string(), kDefinition);
    if (name.empty() || is_hidden(name)) continue;
    tasks[name] = entry.path().string();
    const Source s = source_of(entry.path().string());
    parts.insert(fs::path(s.items).lexically_normal().string());
    if (!s.shots.empty()) parts.insert(fs::path(s.shots).lexically_normal().string());
  }
  for (const auto& entry : fs::directory_iterator(path)) {
    const std::string name = name_of(entry.path().string(), kItems);
    if (name.empty() || is_hidden(name) || parts.contains(entry.path().lexically_normal().string())) continue;
    require(tasks.emplace(name, entry.path().string()).second,
            "{}: {}{} and {}{}, which names other items, are both called {}; rename one", path, name, kItems, name,
            kDefinition, name);
  }
  require(!tasks.empty(), "{}: holds no *.jsonl file and no *.task.json", path);
  std::vector<std::string> files;
  for (const auto& [name, file] : tasks) files.push_back(file);
  return files;
}

std::vector<std::string> files_of_task(const std::string& path) {
  const Source s = source_of(path);
  std::vector<std::string> files;
  for (const auto& file : {s.items, s.definition, s.shots})
    if (!file.empty()) files.push_back(file);
  return files;
}

}  // namespace jet
