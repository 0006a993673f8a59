// The tokens of single bytes in SentencePiece's vocabularies, <0x00> to <0xFF>.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include <fmt/format.h>

namespace jet {

/// The byte that a token <0xHH> stands for.
std::optional<unsigned char> byte_of_token(std::string_view token);

/// The 256 ids of the tokens of bytes by find(text), which gives -1 where there is none.
template <class Find>
std::vector<int32_t> byte_tokens(Find&& find) {
  std::vector<int32_t> ids(256);
  for (int byte = 0; byte < 256; ++byte) ids[byte] = find(fmt::format("<0x{:02X}>", byte));
  return ids;
}

}  // namespace jet
