#include "jet/storage/safetensors.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <cstring>
#include <filesystem>

#include "jet/base/error.h"

namespace jet {
namespace {

namespace fs = std::filesystem;

/// A folder of its own for each test.
class SafeTensorsTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "jet_safetensors_" + testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string path(const std::string& name = "model.safetensors") const { return folder_ + "/" + name; }

  /// A file of this header and `data` zero bytes.
  std::string raw(const std::string& header, size_t data, uint64_t length_shift = 0) const {
    const uint64_t n = header.size() + length_shift;
    std::string text(reinterpret_cast<const char*>(&n), 8);
    write_file(path(), text + header + std::string(data, '\0'));
    return path();
  }

  std::string folder_;
};

/// The message that opening `p` fails with; it is one line that names the file.
template <class F>
std::string error_of(const F& f) {
  try {
    f();
  } catch (const Error& e) { return e.what(); }
  return "no error";
}
std::string open_error(const std::string& p) {
  const std::string what = error_of([&] { SafeTensors::open(p); });
  if (what == "no error") return what;
  EXPECT_EQ(what.find('\n'), std::string::npos) << what;
  EXPECT_EQ(what.rfind(p.substr(0, p.find(".safetensors")), 0), 0u) << what;
  return what;
}

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST_F(SafeTensorsTest, ReadsBackWhatWasWritten) {
  const std::vector<float> f = {1.5f, -2.0f, 0.0f, 3.25f, 1e-30f, 7.0f};
  const std::vector<uint16_t> h = {0x3f80, 0xc000, 0x7fc0};
  const std::vector<int64_t> i = {-5, int64_t{1} << 40};
  const std::vector<int32_t> k = {-7};
  const std::vector<uint8_t> u = {1, 2, 3};
  write_safetensors(path(),
                    {{"bytes", DType::u8, {3}, u.data()},
                     {"f", DType::f32, {2, 3}, f.data()},
                     {"b", DType::bf16, {3}, h.data()},
                     {"h", DType::f16, {3}, h.data()},
                     {"i", DType::i64, {2}, i.data()},
                     {"k", DType::i32, {}, k.data()},
                     {"empty", DType::f32, {0, 4}, nullptr}},
                    {{"format", "pt"}, {"note", "\"quoted\"\n"}});
  const auto st = SafeTensors::open(folder_);
  EXPECT_EQ(st.all().size(), 7u);
  EXPECT_EQ(st.metadata().at("note"), "\"quoted\"\n");
  EXPECT_EQ(st.at("f").shape, (Shape{2, 3}));
  EXPECT_EQ(to_floats(st.at("f")), f);
  EXPECT_EQ(to_floats(st.at("b"))[1], -2.0f);
  EXPECT_EQ(to_floats(st.at("h"))[0], 1.875f);
  EXPECT_EQ(to_ints(st.at("i")), i);
  EXPECT_EQ(to_ints(st.at("k")), (std::vector<int64_t>{-7}));
  EXPECT_EQ(st.at("k").shape, Shape{});
  EXPECT_EQ(to_floats(st.at("empty")).size(), 0u);
  EXPECT_EQ(std::memcmp(st.at("bytes").bytes.data(), u.data(), 3), 0);
  EXPECT_THROW(to_floats(st.at("i")), Error);
  EXPECT_THROW(to_ints(st.at("f")), Error);
}

TEST_F(SafeTensorsTest, DataIsAligned) {
  const std::vector<uint8_t> u(5, 1);
  const std::vector<float> f(3, 2.0f);
  write_safetensors(path(), {{"a", DType::u8, {5}, u.data()}, {"b", DType::f32, {3}, f.data()}});
  const std::string text = read_file(path());
  uint64_t n = 0;
  std::memcpy(&n, text.data(), 8);
  EXPECT_EQ((8 + n) % 64, 0u);
  const auto st = SafeTensors::open(path());
  for (const auto& [name, t] : st.all())
    EXPECT_EQ(reinterpret_cast<uintptr_t>(t.bytes.data()) % size_of(t.dtype), 0u) << name;
}

TEST_F(SafeTensorsTest, RejectsWhatIsNoSafetensorsFile) {
  EXPECT_HAS(open_error(path("absent.safetensors")), "cannot open");
  write_file(path(), "");
  EXPECT_HAS(open_error(path()), "has 0 bytes");
  write_file(path(), "1234567");
  EXPECT_HAS(open_error(path()), "has 7 bytes");
  EXPECT_HAS(open_error(raw("{}", 0, 1)), "said to take 3 bytes but the file has 10");
  EXPECT_HAS(open_error(raw("{}", 0, ~uint64_t{0} - 2)), "said to take");
  EXPECT_HAS(open_error(raw("{\"a\":", 0)), "not valid JSON");
  EXPECT_HAS(open_error(raw("\xff\xfe", 0)), "not valid JSON");
  EXPECT_HAS(open_error(raw("[]", 0)), "not a JSON object");
  EXPECT_HAS(open_error(raw(std::string(200000, '['), 0)), "not valid JSON");
}

struct BadHeader {
  const char *header, *error;
  size_t data;
};

TEST_F(SafeTensorsTest, RejectsEveryBadEntry) {
  const BadHeader cases[] = {
      {R"({"w": 3})", "'dtype' is missing", 0},
      {R"({"w": {"dtype":"F32","shape":[1]}})", "'data_offsets' is missing", 4},
      {R"({"w": {"dtype":7,"shape":[1],"data_offsets":[0,4]}})", "'dtype' is not a string", 4},
      {R"({"w": {"dtype":"F64","shape":[1],"data_offsets":[0,16]}})", "is truncated: tensor 'w' ends at byte", 8},
      {R"({"w": {"dtype":"F32","shape":3,"data_offsets":[0,4]}})", "'shape' is not a list", 4},
      {R"({"w": {"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", "non-negative", 4},
      {R"({"w": {"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}})", "non-negative", 4},
      {R"({"w": {"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,4]}})", "too large", 4},
      {R"({"w": {"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}})", "overflows", 0},
      {R"({"w": {"dtype":"U8","shape":[4611686018427387904,2,0],"data_offsets":[0,0]}})", "overflows", 0},
      {R"({"w": {"dtype":"F32","shape":[1e999],"data_offsets":[0,4]}})", "not valid JSON", 4},
      {R"({"w": {"dtype":"F32","shape":[1],"data_offsets":[0]}})", "not a pair", 4},
      {R"({"w": {"dtype":"F32","shape":[1],"data_offsets":[0,-4]}})", "non-negative", 4},
      {R"({"w": {"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", "takes 4 bytes but its offsets are [4, 0)", 4},
      {R"({"w": {"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", "takes 8 bytes but its offsets are [0, 4)", 4},
      {R"({"w": {"dtype":"F32","shape":[4],"data_offsets":[0,16]}})", "is truncated: tensor 'w' ends at byte", 12},
      {R"({"w": {"dtype":"U8","shape":[0],"data_offsets":[18446744073709551615,18446744073709551615]}})",
       "is truncated", 0},
      {R"({"a": {"dtype":"F32","shape":[1],"data_offsets":[0,4]},
          "b": {"dtype":"F32","shape":[1],"data_offsets":[2,6]}})",
       "'b' overlaps", 6},
      {R"({"a": {"dtype":"F32","shape":[1],"data_offsets":[0,4]},
          "b": {"dtype":"F32","shape":[1],"data_offsets":[8,12]}})",
       "data bytes 4 to 8 before tensor 'b' belong to no tensor", 12},
      {R"({"w": {"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "2 bytes after the last tensor", 6},
      {R"({"__metadata__": 3})", "'__metadata__' is not an object", 0},
      {R"({"__metadata__": {"a": 3}})", "'a' is not a string", 0},
      {R"({"new\nline": 3})", "'new?line'", 0},
  };
  for (const auto& c : cases) EXPECT_HAS(open_error(raw(c.header, c.data)), c.error);
}

TEST_F(SafeTensorsTest, NamesTheBytesOfATruncatedFile) {
  const std::vector<float> f(100, 1.0f);
  write_safetensors(path(), {{"weight", DType::f32, {100}, f.data()}});
  const auto size = fs::file_size(path());
  for (const size_t cut : {size_t{1}, size_t{200}, size_t{400}}) {
    fs::resize_file(path(), size - cut);
    EXPECT_HAS(open_error(path()),
               fmt::format("is truncated: tensor 'weight' ends at byte {} of {}", size, size - cut));
    fs::resize_file(path(), size);
  }
}

TEST_F(SafeTensorsTest, EveryTruncationIsAnError) {
  const std::vector<float> f(4, 1.0f);
  write_safetensors(path(), {{"w", DType::f32, {4}, f.data()}});
  const std::string whole = read_file(path());
  for (size_t n = 0; n < whole.size(); ++n) {
    write_file(path(), whole.substr(0, n));
    EXPECT_NE(open_error(path()), "no error") << n;
  }
}

TEST_F(SafeTensorsTest, OtherTypesMayLieBeside) {
  const auto st = SafeTensors::open(raw(R"({"w": {"dtype":"F64","shape":[1],"data_offsets":[0,8]},
                                           "b": {"dtype":"U8","shape":[2],"data_offsets":[8,10]}})",
                                        10));
  EXPECT_TRUE(st.contains("b"));
  EXPECT_FALSE(st.contains("w"));
  EXPECT_EQ(st.unread().size(), 1u);
  EXPECT_HAS(error_of([&] { st.at("w"); }), "tensor 'w' is of type 'F64', which cannot be read");
}

TEST_F(SafeTensorsTest, NamesAndRowsCanBeOthers) {
  const std::vector<float> w = {1, 2, 3, 4, 5, 6}, v = {7};
  write_safetensors(path(), {{"w", DType::f32, {3, 2}, w.data()}, {"v", DType::f32, {1}, v.data()}});
  auto st = SafeTensors::open(path());
  st.rename("v", "u"), st.rename("absent", "x"), st.split("absent", {{"y", 1}});
  EXPECT_EQ(to_floats(st.at("u")), v);
  EXPECT_FALSE(st.contains("v"));
  EXPECT_HAS(error_of([&] { st.rename("u", "w"); }), "tensors 'u' and 'w' are both there");
  EXPECT_HAS(error_of([&] {
               auto s = st;
               s.split("w", {{"a", 1}, {"b", 1}});
             }),
             "shape [3,2], config.json asks for 2 rows");
  st.split("w", {{"a", 1}, {"b", 2}});
  EXPECT_EQ(to_floats(st.at("a")), (std::vector<float>{1, 2}));
  EXPECT_EQ(to_floats(st.at("b")), (std::vector<float>{3, 4, 5, 6}));
  EXPECT_EQ(st.at("b").shape, (Shape{2, 2}));
  EXPECT_FALSE(st.contains("w"));
}

TEST_F(SafeTensorsTest, ReadsShards) {
  const float a = 1, b = 2;
  write_safetensors(path("m-1.safetensors"), {{"a", DType::f32, {1}, &a}});
  write_safetensors(path("m-2.safetensors"), {{"b", DType::f32, {1}, &b}});
  const std::string index = path("model.safetensors.index.json");
  write_file(index, R"({"weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors"}})");
  const auto st = SafeTensors::open(folder_);
  EXPECT_EQ(to_floats(st.at("a")), std::vector<float>{1});
  EXPECT_EQ(to_floats(st.at("b")), std::vector<float>{2});
  EXPECT_THROW(st.at("c"), Error);

  write_file(index, R"({"weight_map": {"a": "m-1.safetensors", "b": "m-3.safetensors"}})");
  EXPECT_HAS(open_error(folder_), "shard 'm-3.safetensors' is missing");
  write_file(index, R"({"weight_map": {"a": "m-2.safetensors"}})");
  const auto less = SafeTensors::open(folder_);  // what no model needs may be missing
  EXPECT_FALSE(less.contains("a"));
  EXPECT_HAS(error_of([&] { less.at("a"); }), "tensor 'a' is not in shard 'm-2.safetensors'");
  write_file(index, R"({"weight_map": {"a": "../m-1.safetensors"}})");
  EXPECT_HAS(open_error(folder_), "no plain file name");
  write_file(index, R"({"weight_map": {"a": ")" + std::string(300, 'x') + R"("}})");
  EXPECT_HAS(open_error(folder_), "is missing");
  write_file(index, R"({"weight_map": {"a": 1}})");
  EXPECT_HAS(open_error(folder_), "names no shard");
  write_file(index, "{}");
  EXPECT_HAS(open_error(folder_), "has no 'weight_map'");
  write_safetensors(path("m-3.safetensors"), {{"a", DType::f32, {1}, &a}, {"b", DType::f32, {1}, &b}});
  write_file(index, R"({"weight_map": {"a": "m-1.safetensors", "b": "m-3.safetensors"}})");
  EXPECT_HAS(open_error(folder_), "'a' is in another shard too");
}

TEST_F(SafeTensorsTest, AFolderWithoutWeightsIsNamed) { EXPECT_HAS(open_error(folder_), "holds neither"); }

TEST_F(SafeTensorsTest, WriterRejectsBadTensors) {
  const float a = 1;
  EXPECT_THROW(write_safetensors(path(), {{"a", DType::f32, {1}, &a}, {"a", DType::f32, {1}, &a}}), Error);
  EXPECT_THROW(write_safetensors(path(), {{"a", DType::f32, {-1}, &a}}), Error);
  EXPECT_THROW(write_safetensors(path(), {{"\xff", DType::f32, {1}, &a}}), Error);
  EXPECT_TRUE(fs::is_empty(folder_));
}

/// Files may not grow beyond `bytes` while it lives: a write past that fails as it does on a full disk.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) {
    handler_ = ::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FullDisk() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int) = nullptr;
};

TEST_F(SafeTensorsTest, AFullDiskLeavesTheOldFile) {
  const std::vector<float> old_values(16, 1.0f), new_values(100000, 2.0f);
  write_safetensors(path(), {{"w", DType::f32, {16}, old_values.data()}});
  const std::string before = read_file(path());
  {
    const FullDisk full(65536);
    try {
      write_safetensors(path(), {{"w", DType::f32, {100000}, new_values.data()}});
      ADD_FAILURE() << "no error";
    } catch (const Error& e) { EXPECT_HAS(std::string(e.what()), "model.safetensors: cannot write"); }
  }
  EXPECT_EQ(read_file(path()), before);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator{}), 1);  // no temporary is left
}

TEST_F(SafeTensorsTest, WriterTakesTensorsOneByOne) {
  const float a[] = {1, 2, 3};
  const uint8_t b[] = {4, 5};
  const std::vector<TensorToWrite> tensors = {{"b", DType::u8, {2}}, {"a", DType::f32, {3}}};
  {
    SafeTensorsWriter file(path(), tensors);
    file.write(b);
    EXPECT_THROW(file.commit(), Error);
  }
  EXPECT_FALSE(file_exists(path()));
  SafeTensorsWriter file(path(), tensors, {{"format", "pt"}});
  file.write(b);
  file.write(a);
  EXPECT_THROW(file.write(a), Error);
  file.commit();
  const auto st = SafeTensors::open(path());
  EXPECT_EQ(to_floats(st.at("a")), (std::vector<float>{1, 2, 3}));
  EXPECT_EQ(std::memcmp(st.at("b").bytes.data(), b, 2), 0);
  EXPECT_EQ(st.metadata().at("format"), "pt");
}

}  // namespace
}  // namespace jet
