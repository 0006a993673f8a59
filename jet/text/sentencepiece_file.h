// tokenizer.model of SentencePiece, a protocol buffer: fields one after another, each a key (number * 8 + kind) and a
// value. Kinds: 0 a varint (7 bits a byte, the lowest first), 1 eight bytes, 2 a length and as many bytes, 5 four.
//
//   ModelProto        1 pieces (SentencePiece, once for each id)   2 trainer_spec   3 normalizer_spec
//   SentencePiece     1 piece (text)   2 score (float)   3 type: 1 normal (default), 2 unknown, 3 control,
//                     4 user-defined, 5 unused (of BPE: on the way only, bpe.h), 6 byte
//   TrainerSpec       3 model_type: 1 unigram (default), 2 BPE, 3 word, 4 char   24 treat_whitespace_as_suffix
//                     35 byte_fallback   40 unk_id   41 bos_id   42 eos_id   43 pad_id
//   NormalizerSpec    2 precompiled_charsmap (charsmap.h)   3 add_dummy_prefix   4 remove_extra_whitespaces
//                     5 escape_whitespaces      all three true where they are absent
//
// Fields with other numbers are for training, and skipped.
//
// Control pieces are found in the text as tokenizer.json's special tokens are, and each text between them is encoded as
// a text of its own. User-defined pieces are found first, the longest at each place; BPE merges, of all neighbours that
// make a piece, those with the highest score, leftmost among equals.
//
// Ids and texts are those of SentencePiece 0.2.0 and 0.2.1. Later ones break ties between ways of equal score
// otherwise, and take an unused piece of one character for an unknown one.
#pragma once

#include <string>

#include "jet/text/tokenizer_parts.h"

namespace jet {

/// Reads `path`, and `config_path` where that is present: tokens that it adds, and whether texts begin with bos
/// (add_bos_token; they do where nothing is said and there is one). Throws on what is damaged or unknown, naming it.
TokenizerParts read_sentencepiece_file(const std::string& path, const std::string& config_path);

}  // namespace jet
