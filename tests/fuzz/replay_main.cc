// Runs a fuzz target without a fuzzer: on every file of its corpus, and on some thousands of seeded mutations of each.
// usage: fuzz_<what> CORPUS [FILE]        FILE: of a crash; it is run as it is
#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "jet/base/rng.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using jet::Rng;

constexpr uint64_t kSeed = 1;
constexpr int kMutations = 30000;  // shared by the files of the corpus
constexpr size_t kLongest = 8192;

std::string read(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// A byte changed, a number made extreme, a tail cut off, a part erased or doubled, a part of another input put in.
std::string mutated(std::string text, const std::vector<std::string>& others, Rng& rng) {
  const size_t at = rng.below(text.size() + 1), part = rng.below(std::min<size_t>(text.size() - at, 64) + 1);
  switch (rng.below(6)) {
    case 0:
      if (at < text.size()) text[at] = static_cast<char>(rng.below(256));
      break;
    case 1: {
      static constexpr const char* kNumbers[] = {"0", "-1", "2147483648", "18446744073709551615", "1e999", "null"};
      const size_t begin = std::min(text.find_first_of("0123456789", at), text.size());
      const size_t end = std::min(text.find_first_not_of("0123456789", begin), text.size());
      text.replace(begin, end - begin, kNumbers[rng.below(std::size(kNumbers))]);
      break;
    }
    case 2: text.resize(at); break;
    case 3: text.erase(at, part); break;
    case 4: text.insert(at, text.substr(at, part)); break;
    case 5: {
      const std::string& other = others[rng.below(others.size())];
      text.replace(at, part, other.substr(rng.below(other.size() + 1), rng.below(64)));
      break;
    }
  }
  text.resize(std::min(text.size(), kLongest));
  return text;
}

/// False where anything was thrown.
bool holds(const std::string& input, const std::string& what) {
  const std::vector<uint8_t> exact(input.begin(), input.end());  // no byte to spare: a sanitizer sees the one after
  try {
    LLVMFuzzerTestOneInput(exact.data(), exact.size());
    return true;
  } catch (const std::exception& e) { fmt::print("{}: {}; the input is in failed-input\n", what, e.what()); }
  std::ofstream("failed-input", std::ios::binary) << input;
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 && argc != 3) return fmt::print("usage: {} CORPUS [FILE]\n", argv[0]), 2;
  if (argc == 3) return holds(read(argv[2]), argv[2]) ? 0 : 1;
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1])) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::vector<std::string> inputs;
  for (const auto& f : files) inputs.push_back(read(f));
  if (inputs.empty()) return fmt::print("{}: no corpus\n", argv[1]), 2;

  bool good = true;
  const auto rounds = static_cast<int>(kMutations / inputs.size());
  for (size_t i = 0; i < inputs.size() && good; ++i) {
    fmt::print("{}\n", files[i].string());  // a crash is of the file named last
    std::fflush(stdout);
    good = holds(inputs[i], files[i].string());
    Rng rng(kSeed, files[i].filename().string());
    for (int k = 0; k < rounds && good; ++k) {
      std::string input = inputs[i];
      for (uint64_t n = 1 + rng.below(4); n > 0; --n) input = mutated(std::move(input), inputs, rng);
      good = holds(input, fmt::format("{}, mutation {}", files[i].string(), k));
    }
  }
  fmt::print("{} files, {} mutations of each: {}\n", files.size(), rounds, good ? "ok" : "FAILED");
  return good ? 0 : 1;
}
