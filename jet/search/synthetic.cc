#include "jet/search/synthetic.h"

#include <numeric>

namespace jet {

namespace {

struct Kind {
  const char *name, *unit;
};
constexpr Kind kKinds[] = {
    {"mqar", "pairs"}, {"noisy_recall", "pairs"}, {"needle", "tokens"}, {"copy", "symbols"}, {"parity", "bits"}};

bool is_recall(const SyntheticTask& t) { return t.kind != "copy" && t.kind != "parity"; }

int pairs_of(const SyntheticTask& t, int load) { return t.kind == "needle" ? t.pairs : load; }

int context_of(const SyntheticTask& t, int load) {
  if (t.kind == "needle") return load;
  return t.kind == "mqar" ? 2 * load : static_cast<int>(std::lround(2 * load / (1 - t.noise)));
}

template <class T>
void shuffle(std::vector<T>& v, Rng& rng) {
  for (size_t i = v.size(); i > 1; --i) {
    const size_t j = rng.below(i);
    const T kept = v[i - 1];
    v[i - 1] = v[j], v[j] = kept;
  }
}

std::vector<int64_t> order(int n, Rng& rng) {
  std::vector<int64_t> v(n);
  std::iota(v.begin(), v.end(), int64_t{0});
  shuffle(v, rng);
  return v;
}

SyntheticRow recall_row(const SyntheticTask& t, int load, Rng& rng) {
  const int pairs = pairs_of(t, load);
  std::vector<int64_t> keys = order(t.vocabulary, rng), values(pairs);
  for (auto& v : values) v = t.vocabulary + static_cast<int64_t>(rng.below(t.vocabulary));
  std::vector<int> is_pair(context_of(t, load) - pairs, 0);  // a pair or one token of noise
  std::fill(is_pair.begin(), is_pair.begin() + pairs, 1);
  shuffle(is_pair, rng);

  SyntheticRow row;
  int next = 0;
  for (int pair : is_pair) {
    if (pair) {
      row.ids.insert(row.ids.end(), {keys[next], values[next]});
      ++next;
    } else {
      row.ids.push_back(2 * t.vocabulary + static_cast<int64_t>(rng.below(t.noise_tokens)));
    }
  }
  row.targets.assign(row.ids.size(), -1);
  for (int64_t i : order(pairs, rng)) row.ids.push_back(keys[i]), row.targets.push_back(values[i]);
  return row;
}

SyntheticRow copy_row(const SyntheticTask& t, int load, Rng& rng) {
  std::vector<int64_t> symbols(load);
  for (auto& s : symbols) s = static_cast<int64_t>(rng.below(t.vocabulary));
  SyntheticRow row{symbols, std::vector<int64_t>(load, -1)};
  row.ids.push_back(t.vocabulary);
  row.ids.insert(row.ids.end(), symbols.begin(), symbols.end() - 1);
  row.targets.insert(row.targets.end(), symbols.begin(), symbols.end());
  return row;
}

SyntheticRow parity_row(int load, bool test, Rng& rng) {
  SyntheticRow row;
  int64_t parity = 0;
  for (int i = 0; i < load; ++i) {
    row.ids.push_back(static_cast<int64_t>(rng.below(2)));
    parity ^= row.ids.back();
    row.targets.push_back(test && i < load / 2 ? -1 : parity);
  }
  return row;
}

}  // namespace

void SyntheticTask::check(const std::string& where) const {
  std::string known;
  bool found = false;
  for (const Kind& k : kKinds) {
    known += std::string(known.empty() ? "" : ", ") + k.name;
    found = found || kind == k.name;
  }
  require(found, "{}: unknown task '{}' (known: {})", where, kind, known);
  require(!train.empty(), "{}: {}: train names no load", where, kind);
  if (!is_recall(*this)) return;
  for (const auto* loads : {&train, &test}) {
    for (int n : *loads) {
      const int asked = pairs_of(*this, n), context = context_of(*this, n);
      require(asked <= vocabulary, "{}: {}: {} pairs need as many keys; vocabulary is {}", where, kind, asked,
              vocabulary);
      require(2 * int64_t{asked} <= context, "{}: {}: {} pairs do not fit a context of {} tokens", where, kind, asked,
              context);
    }
  }
}

const char* load_unit(const SyntheticTask& t) {
  for (const Kind& k : kKinds) {
    if (t.kind == k.name) return k.unit;
  }
  fail("unknown task '{}'", t.kind);
}

int vocabulary_size(const SyntheticTask& t) {
  if (t.kind == "parity") return 2;
  return t.kind == "copy" ? t.vocabulary + 1 : 2 * t.vocabulary + t.noise_tokens;
}

SyntheticRow synthetic_row(const SyntheticTask& t, int load, uint64_t seed, const std::string& label, int64_t step,
                           int64_t row) {
  Rng rng(seed, fmt::format("{}/{}/{}/{}/{}", t.kind, load, label, step, row));
  if (t.kind == "copy") return copy_row(t, load, rng);
  if (t.kind == "parity") return parity_row(load, label != "train", rng);
  return recall_row(t, load, rng);
}

}  // namespace jet
