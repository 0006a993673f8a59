// Documents as tokens, each beginning with the separator's id: what a corpus draws from, in memory or mapped.
#pragma once

#include <cstdint>
#include <span>

namespace jet {

/// Its members may be called from several threads at once. Documents are numbered from 0 in the order of the sources.
class DocumentStore {
 public:
  virtual ~DocumentStore() = default;
  virtual int64_t size(int64_t document) const = 0;  // tokens
  /// Tokens from `from` on of a document, as many as `out` has room for; there must be so many.
  virtual void copy(int64_t document, int64_t from, std::span<int32_t> out) const = 0;

  virtual int64_t train_documents() const = 0;
  virtual int64_t train_tokens() const = 0;
  /// The n-th document to train on.
  virtual int64_t train_document(int64_t n) const = 0;
  virtual int64_t held_out_documents() const = 0;
  virtual int64_t held_out_tokens() const = 0;
  virtual int64_t held_out_document(int64_t n) const = 0;
};

}  // namespace jet
