#include "jet/data/needles.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

#include "jet/base/error.h"
#include "jet/base/rng.h"

namespace jet {

namespace {

constexpr int64_t kAnswer = 128;  // tokens left for the answer

enum class Haystack { repeat, text, facts };
struct Kind {
  const char* name;
  Haystack haystack;
  int keys = 1, values = 1, asked = 1;  // values: of each key
  bool uuid_keys = false, uuid_values = false;
};
constexpr Kind kKinds[] = {
    {"single_1", Haystack::repeat},
    {"single_2", Haystack::text},
    {"single_3", Haystack::text, 1, 1, 1, false, true},
    {"multikey_1", Haystack::text, 4},
    {"multikey_2", Haystack::facts},
    {"multikey_3", Haystack::facts, 1, 1, 1, true, true},
    {"multivalue", Haystack::text, 1, 4},
    {"multiquery", Haystack::text, 4, 1, 4},
};

constexpr const char* kRepeated =
    "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.";
constexpr const char* kAdjectives[] = {
    "able",   "amber",  "ancient", "bitter", "blunt", "brave", "bright", "calm",    "clever",  "crisp",  "curly",
    "damp",   "daring", "dry",     "eager",  "early", "empty", "faint",  "fair",    "fierce",  "flat",   "fresh",
    "gentle", "giant",  "glad",    "grand",  "grim",  "hasty", "hollow", "honest",  "humble",  "icy",    "idle",
    "jolly",  "keen",   "kind",    "late",   "lazy",  "light", "lively", "lonely",  "loud",    "lucky",  "mellow",
    "mild",   "modest", "narrow",  "neat",   "noble", "odd",   "pale",   "patient", "plain",   "polite", "proud",
    "quick",  "quiet",  "rapid",   "rare",   "rough", "round", "rusty",  "salty",   "shallow", "sharp",  "shy",
    "silent", "slim",   "smooth",  "solid",  "sour",  "spare", "steep",  "stern",   "strange", "sturdy", "sudden",
    "swift",  "tall",   "tender",  "thin",   "tidy",  "vast",  "warm"};
constexpr const char* kNouns[] = {
    "acorn",  "anchor", "apple",   "arrow",   "barn",   "basket", "beacon", "bell",   "bridge", "broom",   "bucket",
    "button", "cabin",  "candle",  "canoe",   "carpet", "castle", "chapel", "cherry", "cliff",  "clock",   "cloud",
    "coin",   "comet",  "crane",   "desert",  "dragon", "drum",   "eagle",  "engine", "falcon", "feather", "ferry",
    "fiddle", "forest", "garden",  "glacier", "glove",  "hammer", "harbor", "hazel",  "helmet", "island",  "jacket",
    "kettle", "ladder", "lantern", "lemon",   "lizard", "magnet", "maple",  "market", "meadow", "mirror",  "needle",
    "oak",    "ocean",  "orchard", "otter",   "paddle", "pebble", "pepper", "pillow", "pocket", "quarry",  "rabbit",
    "raven",  "river",  "saddle",  "sailor",  "shovel", "spoon",  "stable", "teapot", "temple", "thimble", "thunder",
    "tunnel", "valley", "violin",  "wagon",   "walnut", "window", "yarn"};

const Kind& kind_named(const std::string& name) {
  const auto* at = std::ranges::find(kKinds, name, [](const Kind& k) { return std::string(k.name); });
  require(at != std::end(kKinds), "no kind of needles is called '{}' (known: {})", name,
          fmt::join(needle_kinds(true), ", "));
  return *at;
}

template <size_t N>
const char* one_of(const char* const (&words)[N], Rng& rng) {
  return words[rng.below(N)];
}

std::string uuid(Rng& rng) {
  const uint64_t a = rng.next(), b = rng.next();
  return fmt::format("{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}", a >> 32, (a >> 16) & 0xffff, a & 0xfff,
                     ((b >> 48) & 0x3fff) | 0x8000, b & 0xffffffffffff);
}

std::string key_of(const Kind& k, Rng& rng) {
  if (k.uuid_keys) return uuid(rng);
  const char* first = one_of(kAdjectives, rng);
  return fmt::format("{}-{}", first, one_of(kNouns, rng));
}
std::string value_of(const Kind& k, Rng& rng) {
  return k.uuid_values ? uuid(rng) : std::to_string(1'000'000 + rng.below(9'000'000));
}

// n different numbers below `below`, in order.
std::vector<size_t> places(size_t n, size_t below, Rng& rng) {
  std::vector<size_t> all(below);
  std::iota(all.begin(), all.end(), 0);
  for (size_t i = 0; i < n; ++i) std::swap(all[i], all[i + rng.below(below - i)]);
  all.resize(n);
  std::ranges::sort(all);
  return all;
}

// A sentence ends with its mark and what closes it; spaces between are dropped.
std::vector<std::string> sentences_of(const std::string& text) {
  std::vector<std::string> out(1);
  for (size_t i = 0; i < text.size(); ++i) {
    const bool space = std::isspace(static_cast<unsigned char>(text[i])) != 0;
    std::string& last = out.back();
    const size_t end = last.find_last_not_of("\"')]");
    const bool ended = end != last.npos && std::string_view(".!?").find(last[end]) != std::string_view::npos;
    if (!space) {
      last += text[i];
    } else if (ended) {
      out.emplace_back();
    } else if (!last.empty() && last.back() != ' ') {
      last += ' ';
    }
  }
  if (out.back().empty()) out.pop_back();
  return out;
}

class Maker {
 public:
  Maker(const NeedleOptions& o, const Tokenizer& tokenizer) : o_(o), kind_(kind_named(o.kind)), tokenizer_(tokenizer) {
    if (kind_.haystack != Haystack::text) return;
    require(!o.text.empty(), "needles of kind {} stand in a text: give one with --text FILE", o.kind);
    sentences_ = sentences_of(o.text);
  }

  Json item(int index) {
    // What does not fit loses as many sentences as are too many at their mean length.
    for (size_t n = units_ > 0 ? units_ : first_guess();;) {
      const Rng rng(o_.seed, fmt::format("{} {} {}", o_.kind, o_.max_length, index));
      Json made = with(n, rng);
      const int64_t length = tokens(made.at("input").get<std::string>()) + kAnswer;
      if (length <= o_.max_length) {
        require(kind_.haystack != Haystack::text || n < sentences_.size() || length > o_.max_length / 8 * 7,
                "needles of kind {} in {} tokens: the text ends after {}; give a longer one with --text", o_.kind,
                o_.max_length, length - kAnswer);
        if (units_ == 0) units_ = n;
        made["index"] = index, made["length"] = length, made["max_length"] = o_.max_length;
        return made;
      }
      const auto too_many = static_cast<double>(length - o_.max_length) * static_cast<double>(n);
      const auto fewer = static_cast<size_t>(std::max(1.0, too_many / static_cast<double>(length)));
      require(n > least() && fewer < n, "needles of kind {} do not fit in {} tokens", o_.kind, o_.max_length);
      n = std::max(least(), n - fewer);
    }
  }

 private:
  int64_t tokens(const std::string& text) const { return std::ssize(tokenizer_.encode(text)); }
  size_t least() const { return static_cast<size_t>(kind_.keys) * kind_.values + 1; }

  // More sentences than fit, by the length of some.
  size_t first_guess() const {
    Rng rng(o_.seed);
    const size_t some = kind_.haystack == Haystack::text ? std::min<size_t>(200, sentences_.size()) : 8;
    const auto its = static_cast<double>(tokens(fmt::format("{}", fmt::join(haystack(some, rng), "\n"))));
    const auto n = static_cast<size_t>(1.5 * static_cast<double>(o_.max_length) * static_cast<double>(some) / its);
    return std::max(least(), kind_.haystack == Haystack::text ? std::min(n, sentences_.size()) : n);
  }

  std::string fact(const std::string& key, const std::string& value) const {
    return fmt::format("One of the special magic {} for {} is: {}.", what(true), key, value);
  }
  const char* what(bool many) const {
    return kind_.uuid_values ? (many ? "uuids" : "uuid") : (many ? "numbers" : "number");
  }

  std::vector<std::string> haystack(size_t n, Rng& rng) const {
    if (kind_.haystack == Haystack::text)
      return {sentences_.begin(), sentences_.begin() + static_cast<int64_t>(std::min(n, sentences_.size()))};
    std::vector<std::string> out(n, kRepeated);
    if (kind_.haystack == Haystack::facts) {
      for (auto& s : out) {
        const std::string key = key_of(kind_, rng);
        s = fact(key, value_of(kind_, rng));
      }
    }
    return out;
  }

  // An item whose haystack has n sentences.
  Json with(size_t n, Rng rng) const {
    std::vector<std::string> keys, facts;
    std::vector<std::vector<std::string>> values;
    for (int k = 0; k < kind_.keys; ++k) {
      std::string key = key_of(kind_, rng);
      while (std::ranges::find(keys, key) != keys.end()) key = key_of(kind_, rng);
      keys.push_back(key), values.emplace_back();
      for (int v = 0; v < kind_.values; ++v) {
        values.back().push_back(value_of(kind_, rng));
        facts.push_back(fact(key, values.back().back()));
      }
    }
    for (size_t i = facts.size(); i > 1; --i) std::swap(facts[i - 1], facts[rng.below(i)]);
    std::vector<std::string> text = haystack(n, rng);
    // Another fact of a key that is asked would be an answer, too.
    std::erase_if(text, [&](const std::string& s) {
      return kind_.haystack == Haystack::facts && s.find(" " + keys[0] + " ") != s.npos;
    });
    require(text.size() > facts.size(), "needles of kind {}: {} sentences of text for {} facts: give a longer text",
            o_.kind, text.size(), facts.size());
    const auto at = places(facts.size(), text.size(), rng);
    for (size_t i = facts.size(); i-- > 0;) text.insert(text.begin() + static_cast<int64_t>(at[i]), facts[i]);

    std::vector<std::string> asked, answers;
    for (const size_t i : places(kind_.asked, keys.size(), rng)) {
      asked.push_back(keys[i]);
      answers.insert(answers.end(), values[i].begin(), values[i].end());
    }
    std::string query = asked.back();
    if (asked.size() > 1) {
      asked.pop_back();
      query = fmt::format("{}, and {}", fmt::join(asked, ", "), query);
    }
    const bool many = kind_.asked * kind_.values > 1;
    const char* its = what(many);
    return {{"input", fmt::format("{} special magic {} {} hidden within the following text. Make sure to memorize it. "
                                  "I will quiz you about the {} afterwards.\n{}\nWhat {} special magic {} for {} "
                                  "mentioned in the provided text?",
                                  many ? "Some" : "A", its, many ? "are" : "is", its,
                                  fmt::join(text, kind_.haystack == Haystack::text ? " " : "\n"),
                                  many ? "are all the" : "is the", its, query)},
            {"outputs", answers},
            {"gen_prefix", fmt::format("The special magic {} for {} mentioned in the provided text {}", its, query,
                                       many ? "are" : "is")}};
  }

  const NeedleOptions& o_;
  const Kind& kind_;
  const Tokenizer& tokenizer_;
  std::vector<std::string> sentences_;
  size_t units_ = 0;  // sentences of the first item
};

}  // namespace

std::vector<std::string> needle_kinds(bool with_text) {
  std::vector<std::string> names;
  for (const Kind& k : kKinds)
    if (with_text || k.haystack != Haystack::text) names.emplace_back(k.name);
  return names;
}

std::vector<Json> needles(const NeedleOptions& o, const Tokenizer& tokenizer) {
  Maker maker(o, tokenizer);
  std::vector<Json> items;
  for (int i = 0; i < o.items; ++i) items.push_back(maker.item(i));
  return items;
}

}  // namespace jet
