#include "jet/data/build.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "jet/base/error.h"
#include "jet/base/rng.h"
#include "jet/data/corpus.h"
#include "jet/data/test_folder.h"

namespace jet {
namespace {

namespace fs = std::filesystem;

const Tokenizer& tokenizer() {
  static const Tokenizer t = Tokenizer::load("models/base");
  return t;
}

/// Names and bytes of a folder's files.
std::map<std::string, std::string> contents(const std::string& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(folder))
    files[entry.path().filename()] = read_file(entry.path().string());
  return files;
}

class BuildTest : public FolderTest {
 protected:
  /// Stories of random words, none like another.
  static std::vector<std::string> stories(int n, uint64_t seed = 1) {
    std::vector<std::string> texts;
    Rng rng(seed);
    for (int i = 0; i < n; ++i) {
      std::string text = "Story " + std::to_string(i) + ".";
      for (uint64_t w = 5 + rng.below(60); w > 0; --w) text += " word" + std::to_string(rng.below(1000));
      texts.push_back(text);
    }
    return texts;
  }
  static std::string joined(const std::vector<std::string>& texts) {
    std::string all;
    for (const auto& t : texts) all += t + "\n<|endoftext|>\n";
    return all;
  }

  BuildOptions options(std::vector<std::string> inputs, const std::string& out = "out") const {
    BuildOptions o;
    o.inputs = std::move(inputs);
    o.tokenizer = "models/base";
    o.out = folder_ + out;
    o.shard_tokens = 5000;
    o.threads = 2;
    return o;
  }

  static SourceConfig source(const std::string& name, const std::string& path) {
    SourceConfig c;
    c.name = name, c.path = path;
    return c;
  }

  static std::vector<std::string> texts_of(const TokenStore& store, bool held_out) {
    std::vector<std::string> texts;
    const int64_t n = held_out ? store.held_out_documents() : store.train_documents();
    for (int64_t i = 0; i < n; ++i) {
      const int64_t d = held_out ? store.held_out_document(i) : store.train_document(i);
      std::vector<int32_t> ids(store.size(d));
      store.copy(d, 0, ids);
      texts.push_back(tokenizer().decode({ids.begin() + 1, ids.end()}));
    }
    return texts;
  }

  template <class F>
  static std::string error_of(F&& f) {
    try {
      f();
    } catch (const Error& e) { return e.what(); }
    return "no error";
  }
};

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST_F(BuildTest, DocumentsComeBackInOrder) {
  const auto texts = stories(500);
  const auto o = options({file("a.txt", joined({texts.begin(), texts.begin() + 300})),
                          file("b.txt", joined({texts.begin() + 300, texts.end()}))});
  const Manifest m = build_tokens(o);
  const TokenStore store(o.out);
  EXPECT_EQ(texts_of(store, false), texts);
  EXPECT_EQ(m.documents, 500);
  EXPECT_GT(m.shards.size(), 3u);
  EXPECT_EQ(m.sources[0].documents, 300);
  EXPECT_EQ(store.source_of(299), 0u);
  EXPECT_EQ(store.source_of(300), 1u);
  for (size_t i = 0; i + 1 < m.shards.size(); ++i) EXPECT_GE(m.shards[i].tokens, o.shard_tokens);
  std::vector<int32_t> first(1);
  store.copy(7, 0, first);
  EXPECT_EQ(first[0], separator_id(tokenizer()));
  EXPECT_THROW(store.size(500), Error);
  store.verify(2);
  EXPECT_FALSE(file_exists(o.out + "/journal.json"));
}

TEST_F(BuildTest, FilesMayHaveNamesThatAreNoText) {
  const auto o = options({file("caf\xe9.txt", joined(stories(10)))}, "out\xff");
  const Manifest m = build_tokens(o);
  EXPECT_TRUE(m.sources[0].path.ends_with("caf\ufffd.txt")) << m.sources[0].path;
  EXPECT_EQ(TokenStore(o.out).documents(), 10);
  EXPECT_EQ(build_tokens(o).sources[0].path, m.sources[0].path) << "the same command again finds the folder done";
}

TEST_F(BuildTest, ThreadsDoNotShow) {
  const auto input = file("a.txt", joined(stories(400)));
  auto one = options({input}, "one"), three = options({input}, "three");
  one.threads = 1, three.threads = 3;
  one.held_out_tokens = three.held_out_tokens = 1000;
  build_tokens(one), build_tokens(three);
  EXPECT_EQ(contents(one.out), contents(three.out));
}

struct Interrupted : std::exception {};

TEST_F(BuildTest, ABuildThatWasStoppedAnywhereGoesOnToTheSameFolder) {
  // Large enough that the reader hands out several batches of an input.
  const auto a = file("a.txt", joined(stories(30000))), b = file("b.txt", joined(stories(3000, 2)));
  auto whole = options({a, b}, "whole");
  whole.shard_tokens = 400000, whole.held_out_tokens = 5000;
  int reports = 0;
  whole.progress = [&](const std::string&, const char*, int64_t, int64_t) { ++reports; };
  build_tokens(whole);
  const auto expected = contents(whole.out);

  auto stopped = whole;
  stopped.out = folder_ + "stopped";
  int stops = 0;
  std::set<size_t> shards_at_stop;
  for (int after = 1; after <= reports; ++after) {
    int seen = 0;
    stopped.progress = [&](const std::string&, const char*, int64_t, int64_t) {
      if (++seen == after) throw Interrupted();
    };
    try {
      build_tokens(stopped);
      break;
    } catch (const Interrupted&) { ++stops; }
    if (!file_exists(stopped.out)) continue;
    shards_at_stop.insert(contents(stopped.out).size());
    if (after % 2 == 0) write_file(stopped.out + "/shard-00001.bin.tmp-1", "what a kill leaves");
  }
  EXPECT_GE(stops, 5);
  EXPECT_GE(shards_at_stop.size(), 2u);  // some were stopped with shards done
  stopped.progress = {};
  build_tokens(stopped);
  EXPECT_EQ(contents(stopped.out), expected);
}

TEST_F(BuildTest, HeldOutDocumentsAreASampleAndTwinsStayTogether) {
  auto texts = stories(400);
  texts.resize(600);
  std::copy_n(texts.begin(), 200, texts.begin() + 400);  // the first 200 twice
  auto o = options({file("a.txt", joined(texts))});
  o.held_out_tokens = 6000;
  const Manifest m = build_tokens(o);
  EXPECT_GE(m.held_out.tokens, 6000);
  EXPECT_LT(m.held_out.tokens, 6000 + 2 * 300);
  const TokenStore store(o.out);
  const auto train = texts_of(store, false), held = texts_of(store, true);
  EXPECT_EQ(train.size() + held.size(), texts.size());
  const std::set<std::string> trained(train.begin(), train.end());
  for (const auto& t : held) EXPECT_EQ(trained.count(t), 0u) << t;
  const auto early =
      std::count_if(held.begin(), held.end(), [](const auto& t) { return std::stoi(t.substr(6)) < 200; });
  EXPECT_GT(early, 0);
  EXPECT_LT(early, static_cast<int64_t>(held.size()));
  EXPECT_EQ(store.train_tokens() + store.held_out_tokens(), m.tokens);
}

TEST_F(BuildTest, OtherSettingsAreNamed) {
  const auto input = file("a.txt", joined(stories(50)));
  auto o = options({input});
  const Manifest m = build_tokens(o);
  EXPECT_EQ(to_json_fields(build_tokens(o)), to_json_fields(m));  // built before: nothing to do
  auto other = o;
  other.shard_tokens = 700;
  EXPECT_HAS(error_of([&] { build_tokens(other); }), "shard_tokens was 5000, is 700");
  other = o;
  other.inputs.push_back(file("b.txt", "more"));
  EXPECT_HAS(error_of([&] { build_tokens(other); }), "list of inputs");
  other = o;
  other.tokenizer = folder_ + "tokenizer";
  write_file(other.tokenizer + "/tokenizer.json", read_file("models/base/tokenizer.json") + " ");
  write_file(other.tokenizer + "/tokenizer_config.json", read_file("models/base/tokenizer_config.json"));
  EXPECT_HAS(error_of([&] { build_tokens(other); }), "tokenizer was");
  EXPECT_HAS(error_of([&] { Corpus::load(Tokenizer::load(other.tokenizer), {source("a", o.out)}, 0, 1); }),
             "of another tokenizer (models/base");
  write_file(input, joined(stories(50, 9)));
  EXPECT_HAS(error_of([&] { build_tokens(o); }), "contents of " + input);
  other = options({input}, "");
  EXPECT_HAS(error_of([&] { build_tokens(other); }), "holds files that jet data build did not make");
  other = options({input, input}, "x");
  EXPECT_HAS(error_of([&] { build_tokens(other); }), "given twice");
  other = options({file("empty.txt", " \n")}, "y");
  EXPECT_HAS(error_of([&] { build_tokens(other); }), "hold no document");
  other = options({input}, "z");
  other.held_out_tokens = 1 << 20;
  EXPECT_HAS(error_of([&] { build_tokens(other); }), "lower --held-out");
  other = options({file("bad.jsonl", "{\"text\": \"a\"}\n{\"text\": \"b\"}\nnothing\nnot\n")}, "bad");
  EXPECT_HAS(error_of([&] { build_tokens(other); }), "bad.jsonl:3: not valid JSON");
  EXPECT_HAS(error_of([&] { TokenStore store(other.out); }), "not built to its end");
}

TEST_F(BuildTest, DamageIsFound) {
  auto o = options({file("a.txt", joined(stories(300)))});
  o.held_out_tokens = 500;
  build_tokens(o);
  const std::string shard = o.out + "/shard-00001.bin", index = o.out + "/shard-00001.idx";
  const auto damage = [&](const std::string& path, auto&& edit) {
    const std::string good = read_file(path);
    std::string bad = good;
    edit(bad);
    write_file(path, bad);
    const std::string error = error_of([&] {
      const TokenStore store(o.out);
      store.verify(1);
    });
    const std::string when_read = error_of([&] {
      const TokenStore store(o.out);
      texts_of(store, false);
    });
    write_file(path, good);
    return std::pair(error, when_read);
  };
  EXPECT_HAS(damage(shard, [](std::string& b) { b.pop_back(); }).first, "shard-00001.bin: ");
  EXPECT_HAS(damage(shard, [](std::string& b) { b[100] ^= 1; }).first, "shard-00001.bin: damaged");
  EXPECT_HAS(damage(shard, [](std::string& b) { b[101] = '\xff'; }).second,
             "holds the id 65");  // beyond the vocabulary
  EXPECT_HAS(damage(index, [](std::string& b) { b[8] ^= 1; }).first, "damaged");
  EXPECT_HAS(damage(index, [](std::string& b) { b[15] = '\x7f'; }).second, "index is damaged at document");
  EXPECT_HAS(damage(index, [](std::string& b) { b.resize(b.size() - 8); }).first, "shard-00001.idx: ");
  EXPECT_HAS(damage(o.out + "/held-out.idx", [](std::string& b) { b[0] ^= 1; }).first, "held-out.idx: not the");
  EXPECT_HAS(damage(o.out + "/manifest.json", [](std::string& b) { b[b.find("\"tokens\": ") + 10] = '9'; }).first,
             "manifest.json");
  EXPECT_EQ(error_of([&] { TokenStore(o.out).verify(1); }), "no error");
}

// What a corpus draws from a folder is what it draws from the text that the folder was built of.
TEST_F(BuildTest, ACorpusOverAFolderDrawsWhatTheTextGives) {
  auto texts = stories(200);
  for (auto& t : texts) t += "\nHow many? 42\nEnd.";
  const auto input = file("a.txt", joined(texts));
  const auto o = options({input});
  build_tokens(o);
  SourceConfig text = source("a", input);
  text.answers = "\\? (\\d+)$", text.answer_weight = 3;
  SourceConfig folder = text;
  folder.path = o.out;
  const auto from_text = Corpus::load(tokenizer(), {text}, 0, 1), mapped = Corpus::load(tokenizer(), {folder}, 0, 1);
  EXPECT_EQ(mapped.train_documents("a"), 200);
  EXPECT_EQ(mapped.train_tokens("a"), from_text.train_tokens("a"));
  int64_t answers = 0;
  for (int step = 0; step < 20; ++step) {
    const auto a = from_text.train_batch(3, step, 2, 64), b = mapped.train_batch(3, step, 2, 64);
    ASSERT_EQ(a.ids, b.ids);
    ASSERT_EQ(a.weights, b.weights);
    answers += std::count(b.weights.begin(), b.weights.end(), 3.0f);
  }
  EXPECT_GT(answers, 10);
  EXPECT_HAS(error_of([&] { Corpus::load(tokenizer(), {folder}, 100, 1); }), "build it with --held-out 100");
}

TEST_F(BuildTest, ACorpusNeverDrawsMarkedDocuments) {
  auto o = options({file("a.txt", joined(stories(120)))});
  o.held_out_tokens = 2000;
  const auto texts = stories(120);
  o.graded = {{"task", 1, texts[5]}, {"task", 2, texts[70]}};
  const Manifest m = build_tokens(o);
  EXPECT_EQ(m.dropped.documents, 2);
  const TokenStore store(o.out);
  const auto held = texts_of(store, true);
  std::set<std::string> wrong(held.begin(), held.end());
  wrong.insert({texts[5], texts[70]});
  const auto corpus = Corpus::load(tokenizer(), {source("a", o.out)}, 2000, 1);
  EXPECT_EQ(corpus.train_documents("a"), 118 - m.held_out.documents);
  std::set<std::string> drawn;
  for (int step = 0; step < 200; ++step) {
    const auto ids = corpus.train_batch(1, step, 1, 1024).ids;
    for (auto begin = ids.begin(); begin != ids.end();) {
      const auto end = std::find(begin + 1, ids.end(), separator_id(tokenizer()));
      if (end != ids.end()) drawn.insert(tokenizer().decode({begin + 1, end}));
      begin = end;
    }
  }
  EXPECT_EQ(static_cast<int64_t>(drawn.size()), store.train_documents());
  for (const auto& t : wrong) EXPECT_EQ(drawn.count(t), 0u) << t;
  const auto rows = corpus.held_out("a", 2, 1000);
  const auto end = std::find(rows.ids.begin() + 1, rows.ids.end(), separator_id(tokenizer()));
  EXPECT_EQ(tokenizer().decode({rows.ids.begin() + 1, end}), held[0]);
}

TEST_F(BuildTest, EpochsBoundHowOftenASourceIsSeen) {
  const auto o = options({file("a.txt", joined(stories(200)))});
  const int64_t tokens = build_tokens(o).tokens;
  SourceConfig c = source("a", o.out);
  c.epochs = 2;
  const auto corpus = Corpus::load(tokenizer(), {c}, 0, 1);
  corpus.require_epochs("stage", 2 * tokens, 512);
  EXPECT_HAS(error_of([&] { corpus.require_epochs("stage", 2 * tokens + tokens / 10, 512); }), "2.1 times");
  // Beside another source of the same weight each brings half of the documents.
  const SourceConfig other = source("b", file("b.txt", joined(stories(200))));
  const auto both = Corpus::load(tokenizer(), {c, other}, 0, 1);
  both.require_epochs("stage", 4 * tokens - 10, 512);
  EXPECT_HAS(error_of([&] { both.require_epochs("distill.stage1", 5 * tokens, 512); }), "distill.stage1: ");
}

}  // namespace
}  // namespace jet
