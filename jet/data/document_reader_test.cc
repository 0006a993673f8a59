#include "jet/data/document_reader.h"

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <filesystem>
#include <vector>

#include "jet/base/error.h"
#include "jet/base/file.h"
#include "jet/base/json.h"
#include "jet/data/test_folder.h"

namespace jet {
namespace {

namespace fs = std::filesystem;

class DocumentReaderTest : public FolderTest {
 protected:
  static std::vector<std::string> read(const std::string& path, const std::string& field = "text") {
    const TextFormat format = format_of(path);
    DocumentReader reader(path, format, field);
    std::vector<std::string> texts;
    for (RawDocument d; reader.next(d);) {
      const std::string text = text_of(d, format, field, path);
      if (!text.empty()) texts.push_back(text);
    }
    return texts;
  }

  static std::string error_of(const std::string& path, const std::string& field = "text") {
    try {
      read(path, field);
    } catch (const Error& e) { return e.what(); }
    return "no error";
  }
};

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

using Texts = std::vector<std::string>;

std::string gzip(const std::string& text) {
  z_stream z{};
  EXPECT_EQ(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&z, text.size()), '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data())), z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data()), z.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

std::string zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

/// `n` documents of several lines, some MB in all, so that buffers are filled and moved.
Texts many(int n) {
  Texts texts;
  for (int i = 0; i < n; ++i)
    texts.push_back("document " + std::to_string(i) + "\n\n" + std::string(i * 37 % 3000, 'a' + i % 26) + "\nend");
  return texts;
}

std::string as_text(const Texts& texts) {
  std::string all;
  for (const auto& t : texts) all += t + "\n<|endoftext|>\n";
  return all;
}

std::string as_jsonl(const Texts& texts) {
  std::string all;
  for (const auto& t : texts) all += Json{{"id", 1}, {"text", t}}.dump() + "\n";
  return all;
}

TEST_F(DocumentReaderTest, TextIsCutAtSeparatorLines) {
  EXPECT_EQ(read(file("a.txt", "\none\n\ntwo\n\n<|endoftext|>\n \t\n<|endoftext|>\nx <|endoftext|> y")),
            (Texts{"one\n\ntwo", "x <|endoftext|> y"}));
  EXPECT_EQ(read(file("b.txt", "x\r\n<|endoftext|>\r\ny\r\n")), (Texts{"x", "y"}));
  EXPECT_EQ(read(file("c.txt", "<|endoftext|>\nx\n<|endoftext|>")), (Texts{"x"}));
  EXPECT_EQ(read(file("d.txt", "")), Texts{});
}

TEST_F(DocumentReaderTest, AllFormsGiveTheSameDocuments) {
  const Texts texts = many(4000);
  const std::string text = as_text(texts), jsonl = as_jsonl(texts);
  ASSERT_GT(text.size(), size_t{5} << 20);
  EXPECT_EQ(read(file("a.txt", text)), texts);
  EXPECT_EQ(read(file("a.jsonl", jsonl)), texts);
  for (const auto& [name, plain] : {std::pair{"b.txt", &text}, std::pair{"b.jsonl", &jsonl}}) {
    EXPECT_EQ(read(file(std::string(name) + ".gz", gzip(*plain))), texts) << name;
    EXPECT_EQ(read(file(std::string(name) + ".zst", zstd(*plain))), texts) << name;
    const size_t half = plain->size() / 2;  // two members, two frames
    EXPECT_EQ(read(file(std::string("2") + name + ".gz", gzip(plain->substr(0, half)) + gzip(plain->substr(half)))),
              texts);
    EXPECT_EQ(read(file(std::string("2") + name + ".zst", zstd(plain->substr(0, half)) + zstd(plain->substr(half)))),
              texts);
  }
}

TEST_F(DocumentReaderTest, APieceKnowsItsLine) {
  const std::string path = file("a.txt", "one\n<|endoftext|>\n\ntwo\nthree\n<|endoftext|>\nfour");
  DocumentReader reader(path, TextFormat::text, {});
  std::vector<int64_t> lines;
  for (RawDocument d; reader.next(d);) lines.push_back(d.line);
  EXPECT_EQ(lines, (std::vector<int64_t>{1, 3, 7}));
  EXPECT_EQ(reader.position(), static_cast<int64_t>(fs::file_size(path)));
}

TEST_F(DocumentReaderTest, NamesWhatIsWrong) {
  EXPECT_HAS(error_of(file("a.csv", "x")), "a.csv: unknown kind of file '.csv'");
  EXPECT_HAS(error_of(folder_ + "absent.txt"), "absent.txt: no such file");
  EXPECT_HAS(error_of(file("a.jsonl", "{\"text\": \"x\"}\n\n{\"text\": \n")), "a.jsonl:3: not valid JSON");
  EXPECT_HAS(error_of(file("b.jsonl", "{\"text\": \"x\"}\n{\"content\": \"x\"}\n")),
             "b.jsonl:2: key 'text' is missing");
  EXPECT_HAS(error_of(file("c.jsonl", "{\"text\": 3}")), "c.jsonl:1: key 'text' is no text but number");
  EXPECT_HAS(error_of(file("d.jsonl", "[1]")), "d.jsonl:1: expected an object with the key 'text', found array");
  EXPECT_EQ(read(file("e.jsonl", "{\"content\": \"x\"}\r\n"), "content"), (Texts{"x"}));

  const std::string text = as_text(many(500));
  const std::string packed_gz = gzip(text), packed_zst = zstd(text);
  EXPECT_HAS(error_of(file("cut.txt.gz", packed_gz.substr(0, packed_gz.size() / 2))), "cut.txt.gz: ends in the midst");
  EXPECT_HAS(error_of(file("cut.txt.zst", packed_zst.substr(0, packed_zst.size() / 2))), "cut.txt.zst: ends in the");
  EXPECT_HAS(error_of(file("plain.txt.gz", text)), "plain.txt.gz: not gzip");
  EXPECT_HAS(error_of(file("plain.txt.zst", text)), "plain.txt.zst: damaged zstd");
  std::string bad = packed_gz;
  bad[bad.size() / 2] = static_cast<char>(bad[bad.size() / 2] ^ 0x55);
  EXPECT_HAS(error_of(file("bad.txt.gz", bad)), "bad.txt.gz: not gzip, or damaged");
}

TEST_F(DocumentReaderTest, AByteOrderMarkIsTakenOff) {
  const std::string mark = "\xEF\xBB\xBF", text = mark + "<|endoftext|>\r\nOne day.";
  EXPECT_EQ(read(file("a.txt", text)), (Texts{"One day."}));
  EXPECT_EQ(read(file("a.txt.gz", gzip(text))), (Texts{"One day."}));
  EXPECT_EQ(read(file("a.jsonl", mark + "{\"text\": \"x\"}\n")), (Texts{"x"}));
  EXPECT_EQ(read(file("b.txt", "x" + mark)), (Texts{"x" + mark}));  // elsewhere it is a character
  EXPECT_EQ(read(file("c.txt", mark)), Texts{});
  EXPECT_EQ(read_text(file("d.txt", mark + "x\n")), "x\n");
}

TEST_F(DocumentReaderTest, WhatIsNoUtf8IsAnErrorWithItsLine) {
  const std::string latin1 = "caf\xE9\n";
  EXPECT_HAS(error_of(file("a.txt", "one\n<|endoftext|>\ntwo\n" + latin1)), "a.txt:4: byte 0xE9 is no UTF-8; convert");
  EXPECT_HAS(error_of(file("a.txt.zst", zstd(latin1))), "a.txt.zst:1: byte 0xE9 is no UTF-8");
  EXPECT_HAS(error_of(file("a.jsonl", "{\"text\": \"x\"}\n{\"text\": \"" + latin1.substr(0, 4) + "\"}\n")),
             "a.jsonl:2: ");
  EXPECT_HAS(error_of(file("b.txt", std::string("\xFF\xFEo\0n\0", 6))),
             "b.txt:1: byte 0xFF is no UTF-8 but the mark of UTF-16");
  EXPECT_THROW(read_text(file("c.txt", latin1)), Error);
}

TEST_F(DocumentReaderTest, NothingBehindAGzipMemberIsLost) {
  const std::string one = gzip("one\n"), two = gzip("<|endoftext|>\ntwo");
  EXPECT_EQ(read(file("a.txt.gz", one + std::string(700, '\0') + two + std::string(3, '\0'))), (Texts{"one", "two"}));
  EXPECT_HAS(error_of(file("b.txt.gz", one + "\x1e" + two.substr(1))), "b.txt.gz: not gzip, or damaged near byte");
  EXPECT_HAS(error_of(file("c.txt.gz", one + two.substr(0, two.size() - 9))), "c.txt.gz: ends in the midst");
  EXPECT_HAS(error_of(file("d.txt.gz", "")), "d.txt.gz: is empty");
  EXPECT_EQ(read(file("e.txt.gz", gzip(""))), Texts{});
}

}  // namespace
}  // namespace jet
