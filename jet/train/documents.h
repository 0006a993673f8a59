// Rows that hold several documents, none of which sees another: positions count from a document's first token, and
// whatever reaches back in time (convolutions, shifts, attention, recurrences) starts from nothing there.
//
//   rows [B, T]:    | a a a | b b b b b | c c |        Such an operator is causal, so it may be given
//                   | d d d d d d | e e e e |          each document as a row of its own, padded at the end:
//   by length:      | c c . |     | e e e e . . |
//                   | a a a |     | b b b b b . |      a few batches, of one class of lengths each;
//                                 | d d d d d d |      what it makes of the padding is never read.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <span>
#include <vector>

namespace jet {

class Documents {
 public:
  /// starts [rows, length]: not zero where a document begins; a row's first token begins one in any case. `device`:
  /// where the rows' tensors lie.
  Documents(std::span<const uint8_t> starts, int64_t rows, int64_t length, at::Device device = at::kCPU);

  /// [B, T] int64, of every token within its document.
  const at::Tensor& positions() const { return positions_; }

  /// f(x, ...) [B, T, ..] of each document apart. x are [B, T, ..]; what is undefined or has no tokens (fewer than
  /// three dimensions) is handed to f as it is.
  template <class F, class... Xs>
  at::Tensor apart(const F& f, const Xs&... xs) const {
    std::vector<at::Tensor> out;
    for (const auto& g : groups_) out.push_back(f(gather(g, xs)...).flatten(0, 1));
    return at::cat(out).index_select(0, back_).unflatten(0, {rows_, length_});
  }

 private:
  struct Group {
    at::Tensor from;  // [documents * longest]: the flat row of every token; padding repeats a document's last one
    int64_t longest = 0;
  };
  at::Tensor gather(const Group& g, const at::Tensor& x) const;

  int64_t rows_, length_;
  std::vector<Group> groups_;
  at::Tensor positions_;
  at::Tensor back_;  // [rows * length]: where the groups, one after the other, have each token
};

}  // namespace jet
