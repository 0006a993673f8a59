#include "jet/text/sentencepiece_file.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "jet/base/file.h"
#include "jet/base/hash.h"
#include "jet/text/bpe.h"
#include "jet/text/byte_token.h"
#include "jet/text/piece_merges.h"
#include "jet/text/protobuf.h"
#include "jet/text/sentencepiece_normalizer.h"
#include "jet/text/unigram.h"
#include "jet/text/utf8.h"

namespace jet {
namespace {

enum class PieceType { normal = 1, unknown, control, user_defined, unused, byte };

// SentencePiece means to add the highest score of a piece for each byte, which its first value makes nothing of.
constexpr double kUserDefinedScore = -0.1;

struct Piece {
  std::string text;
  float score = 0;
  PieceType type = PieceType::normal;
};

class Reader {
 public:
  Reader(const std::string& path, std::string_view bytes) : path_(path) {
    parts_.hash = content_hash(bytes);
    for (ProtobufFields f(bytes, path_); f.next();) {
      if (f.number() == 1) read_piece(f.bytes());
      if (f.number() == 2) read_trainer(f.bytes());
      if (f.number() == 3) read_normalizer(f.bytes());
      if (f.number() == 5) read_denormalizer(f.bytes());
    }
    require(!pieces_.empty(), "{}: has no pieces; this is no SentencePiece model", path_);
    check_pieces();
  }

  TokenizerParts read(const std::string& config_path) {
    for (size_t id = 0; id < pieces_.size(); ++id) {
      const Piece& p = pieces_[id];
      parts_.tokens.place(static_cast<int64_t>(id), p.text, true, path_);
      if (p.type == PieceType::user_defined) normalizer_.user_defined.push_back(p.text);
    }
    make_model();
    const TokenizerConfig config = read_tokenizer_config(config_path);
    add_tokens(config);
    parts_.decoder = sentencepiece_decoder(normalizer_.add_dummy_prefix, normalizer_.remove_extra_whitespaces);
    parts_.normalizers.push_back(std::make_unique<SentencePieceNormalizer>(std::move(normalizer_)));
    set_ends(config, config_path);
    return std::move(parts_);
  }

 private:
  void read_piece(std::string_view bytes);
  void read_trainer(std::string_view bytes);
  void read_normalizer(std::string_view bytes);
  void read_denormalizer(std::string_view bytes);
  void check_pieces();
  void make_model();
  void make_bpe();
  void make_unigram();
  void add_tokens(const TokenizerConfig& config);
  void set_ends(const TokenizerConfig& config, const std::string& config_path);
  std::vector<int32_t> bytes_as_tokens() const {
    return byte_tokens([&](const auto& text) {
      const int32_t id = ids_.find(text);
      return id >= 0 && pieces_[id].type == PieceType::byte ? id : -1;
    });
  }

  std::string path_;
  std::vector<Piece> pieces_;
  TokenMap ids_;
  int64_t model_type_ = 1;
  bool byte_fallback_ = false;
  int32_t unknown_ = -1;
  std::string bos_ = "<s>", eos_ = "</s>";
  SentencePieceNormalizer::Spec normalizer_;
  TokenizerParts parts_;
};

void Reader::read_piece(std::string_view bytes) {
  Piece p;
  for (ProtobufFields f(bytes, path_); f.next();) {
    if (f.number() == 1) p.text = f.bytes();
    if (f.number() == 2) p.score = f.real();
    if (f.number() == 3) {
      require(f.integer() >= 1 && f.integer() <= 6, "{}: piece {} has the unknown type {}", path_, pieces_.size(),
              f.integer());
      p.type = static_cast<PieceType>(f.integer());
    }
  }
  require(!p.text.empty() && is_valid_utf8(p.text), "{}: the text of piece {} is empty or no UTF-8", path_,
          pieces_.size());
  require(std::isfinite(p.score), "{}: the score of piece {} is not finite", path_, pieces_.size());
  pieces_.push_back(std::move(p));
}

void Reader::read_trainer(std::string_view bytes) {
  for (ProtobufFields f(bytes, path_); f.next();) {
    if (f.number() == 3) model_type_ = f.integer();
    if (f.number() == 24) require(!f.boolean(), "{}: treat_whitespace_as_suffix cannot be read", path_);
    if (f.number() == 35) byte_fallback_ = f.boolean();
    if (f.number() == 46) bos_ = f.bytes();
    if (f.number() == 47) eos_ = f.bytes();
  }
  require(model_type_ == 1 || model_type_ == 2, "{}: model type {} cannot be read, only unigram (1) and BPE (2)", path_,
          model_type_);
}

void Reader::read_normalizer(std::string_view bytes) {
  for (ProtobufFields f(bytes, path_); f.next();) {
    if (f.number() == 2 && !f.bytes().empty()) normalizer_.map.emplace(f.bytes(), path_);
    if (f.number() == 3) normalizer_.add_dummy_prefix = f.boolean();
    if (f.number() == 4) normalizer_.remove_extra_whitespaces = f.boolean();
    if (f.number() == 5) normalizer_.escape_whitespaces = f.boolean();
  }
}

void Reader::read_denormalizer(std::string_view bytes) {
  for (ProtobufFields f(bytes, path_); f.next();)
    require(f.number() != 2 || f.bytes().empty(), "{}: a denormalizer cannot be read", path_);
}

void Reader::check_pieces() {
  ids_.reserve(pieces_.size());
  for (size_t i = 0; i < pieces_.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    const Piece& p = pieces_[i];
    if (ids_.add(p.text, id) != id) fail("{}: the piece {} stands twice", path_, shown(p.text));
    if (p.type == PieceType::byte)
      require(byte_fallback_ && byte_of_token(p.text), "{}: the piece {} is no byte of a byte fallback", path_,
              shown(p.text));
    if (p.type != PieceType::unknown) continue;
    require(unknown_ < 0, "{}: has two unknown pieces", path_);
    unknown_ = id;
  }
  require(unknown_ >= 0, "{}: has no unknown piece", path_);
}

void Reader::make_model() { model_type_ == 2 ? make_bpe() : make_unigram(); }

void Reader::make_bpe() {
  Bpe::Symbols s;
  s.texts.resize(pieces_.size());
  std::vector<double> scores(pieces_.size());
  for (size_t id = 0; id < pieces_.size(); ++id) {
    const Piece& p = pieces_[id];
    scores[id] = p.score;
    if (p.type == PieceType::normal || p.type == PieceType::unused) s.texts[id] = p.text;
    if (p.type == PieceType::unused) {
      s.unused.resize(pieces_.size());
      s.unused[id] = true;
    }
    if (p.type == PieceType::user_defined)
      parts_.normalized_tokens.add({.id = static_cast<int32_t>(id), .content = p.text});
  }
  if (byte_fallback_) s.byte_tokens = bytes_as_tokens();
  s.unknown = unknown_;
  s.fuse_unknown = true;
  s.where = path_;
  const std::vector<Merge> merges = merges_by_score(s.texts, scores, path_);
  parts_.model = std::make_unique<Bpe>(std::move(s), merges);
}

void Reader::make_unigram() {
  Unigram::Pieces p;
  const size_t n = pieces_.size();
  p.texts.resize(n), p.scores.resize(n), p.usable.resize(n);
  float lowest = std::numeric_limits<float>::max();
  for (size_t id = 0; id < n; ++id) {
    const Piece& piece = pieces_[id];
    const bool user_defined = piece.type == PieceType::user_defined;
    if (piece.type == PieceType::normal) lowest = std::min(lowest, piece.score);
    p.texts[id] = piece.text;
    p.usable[id] = piece.type == PieceType::normal || user_defined;
    p.scores[id] = user_defined ? kUserDefinedScore : piece.score;
  }
  p.lowest_score = lowest;
  p.unknown = unknown_;
  if (byte_fallback_) p.byte_tokens = bytes_as_tokens();
  p.float_sums = true;
  p.where = path_;
  parts_.model = std::make_unique<Unigram>(std::move(p));
}

/// Special pieces, and what tokenizer_config.json adds.
void Reader::add_tokens(const TokenizerConfig& config) {
  const auto add = [&](AddedToken t) {
    parts_.tokens.special[t.id] = parts_.tokens.special[t.id] || t.special;
    parts_.raw_tokens.add(std::move(t));
  };
  for (AddedToken t : config.added) {
    parts_.tokens.place(t.id, t.content, false, path_);
    const int32_t known = ids_.find(t.content);
    require(known < 0 || known == t.id, "{}: token {} has the id {} there and {} in tokenizer_config.json", path_,
            shown(t.content), known, t.id);
    if (known < 0 || t.special) add(std::move(t));
  }
  for (size_t id = 0; id < pieces_.size(); ++id) {
    const Piece& p = pieces_[id];
    if (p.type != PieceType::control && p.type != PieceType::unknown) continue;
    add({.id = static_cast<int32_t>(id), .content = p.text, .special = true});
  }
}

void Reader::set_ends(const TokenizerConfig& config, const std::string& config_path) {
  const auto find = [&](std::string_view text) {
    const auto& texts = parts_.tokens.texts;
    const auto at = std::find(texts.begin(), texts.end(), text);
    return at == texts.end() ? -1 : static_cast<int32_t>(at - texts.begin());
  };
  const auto control = [&](const std::string& text) {
    const int32_t id = ids_.find(text);
    return id >= 0 && pieces_[id].type == PieceType::control ? id : -1;
  };
  parts_.bos = config.bos.empty() ? control(bos_) : named_token(config.bos, "bos_token", config_path, find);
  parts_.eos = config.eos.empty() ? control(eos_) : named_token(config.eos, "eos_token", config_path, find);
  if (config.add_bos != 0 && parts_.bos >= 0) parts_.before = {parts_.bos};
  if (config.add_eos == 1 && parts_.eos >= 0) parts_.after = {parts_.eos};
}

}  // namespace

TokenizerParts read_sentencepiece_file(const std::string& path, const std::string& config_path) {
  const std::string bytes = read_file(path);
  return Reader(path, bytes).read(config_path);
}

}  // namespace jet
