// tokenizer.json of the `tokenizers` library:
//
//   {"model": {"type": "BPE", "vocab": {token: id}, "merges": ["l o" or ["l", "o"], ...], "unk_token", "fuse_unk",
//              "byte_fallback", "ignore_merges"}
//          or {"type": "Unigram", "vocab": [[token, score], ...], "unk_id", "byte_fallback"}
//          or {"type": "WordLevel", "vocab": {token: id}, "unk_token"},
//    "added_tokens": [{"id", "content", "special", "normalized", "lstrip", "rstrip", "single_word"}],
//    "normalizer": (normalizer.h), "pre_tokenizer": (pre_tokenizer.h), "decoder": (decoder.h)    null or a component
//    "post_processor": TemplateProcessing {"single": [before ..., Sequence, after ...]}, ByteLevel, or a Sequence
//    "truncation", "padding", "version"}             of batches, and set anew by whoever makes them: not read
//
// What the library would do that cannot be done here is refused, naming it.
#pragma once

#include <string>

#include "jet/text/tokenizer_parts.h"

namespace jet {

/// Reads `path`, and `config_path` where that is present. Throws on whatever is damaged or unknown, naming it.
TokenizerParts read_tokenizer_file(const std::string& path, const std::string& config_path);

}  // namespace jet
