// Protocol buffers, read field by field; sentencepiece_file.h draws the format.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace jet {

class ProtobufFields {
 public:
  /// `where` names the file in errors.
  ProtobufFields(std::string_view bytes, const std::string& where) : rest_(bytes), where_(where) {}
  /// The next field; false where there is none. Throws on what is damaged.
  bool next();
  int64_t number() const { return number_; }
  /// As the field is meant to be; throws where it is of another kind.
  int64_t integer() const;
  bool boolean() const { return integer() != 0; }
  float real() const;
  std::string_view bytes() const;

 private:
  uint64_t varint();
  void require_kind(unsigned kind) const;

  std::string_view rest_;
  const std::string& where_;
  int64_t number_ = 0;
  unsigned kind_ = 0;
  uint64_t value_ = 0;
  std::string_view bytes_;
};

}  // namespace jet
