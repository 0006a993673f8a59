#include "jet/blocks/block.h"

namespace jet {

namespace {

constexpr int64_t kMostMixerSize = int64_t{1} << 20;

}  // namespace

void check_size(const char* key, int64_t value, const std::string& where) {
  require(value > 0 && value <= kMostMixerSize, "{}: '{}' is {}, expected a positive number up to {}", where, key,
          value, kMostMixerSize);
}

void check_optional(const char* key, int64_t value, const std::string& where) {
  require(value >= 0 && value <= kMostMixerSize, "{}: {} {} is negative or too wide", where, key, value);
}

void check_multiple(const char* key, int64_t many, const char* of, int64_t few, const std::string& where) {
  require(many % few == 0, "{}: {} {} are no multiple of {} {}", where, many, key, few, of);
}

void check_pairs(const char* key, int64_t value, const std::string& where) {
  require(value % 2 == 0, "{}: {} {} is odd, rotary embedding needs pairs", where, key, value);
}

void check_eps(float eps, const std::string& where) { require(eps >= 0, "{}: norm_eps {} is negative", where, eps); }

}  // namespace jet
