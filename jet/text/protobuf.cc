#include "jet/text/protobuf.h"

#include <bit>

#include "jet/base/error.h"

namespace jet {

uint64_t ProtobufFields::varint() {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    require(!rest_.empty(), "{}: is cut off within a number", where_);
    const auto byte = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  fail("{}: a number of more than 64 bits; this is no SentencePiece model", where_);
}

bool ProtobufFields::next() {
  if (rest_.empty()) return false;
  const uint64_t key = varint();
  number_ = static_cast<int64_t>(key >> 3), kind_ = key & 7;
  require(number_ > 0 && (kind_ == 0 || kind_ == 1 || kind_ == 2 || kind_ == 5),
          "{}: a field of kind {}; this is no SentencePiece model", where_, kind_);
  if (kind_ == 0) {
    value_ = varint();
    return true;
  }
  const uint64_t size = kind_ == 1 ? 8 : kind_ == 5 ? 4 : varint();
  require(size <= rest_.size(), "{}: a field of {} bytes where {} are left; the file is cut off or damaged", where_,
          size, rest_.size());
  bytes_ = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return true;
}

void ProtobufFields::require_kind(unsigned kind) const {
  require(kind_ == kind, "{}: field {} has kind {}, not {}; this is no SentencePiece model", where_, number_, kind_,
          kind);
}

int64_t ProtobufFields::integer() const {
  require_kind(0);
  return static_cast<int64_t>(value_);
}

float ProtobufFields::real() const {
  require_kind(5);
  uint32_t bits = 0;
  for (int i = 3; i >= 0; --i) bits = bits << 8 | static_cast<unsigned char>(bytes_[i]);
  return std::bit_cast<float>(bits);
}

std::string_view ProtobufFields::bytes() const {
  require_kind(2);
  return bytes_;
}

}  // namespace jet
