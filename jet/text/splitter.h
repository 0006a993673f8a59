// What becomes of a text's parts where some of them are matches (delimiters), by behavior; | ends a piece:
//
//   parts                 the  -  fi  -  -  nal          (the hyphens are matches)
//   Isolated              the |-| fi |-|-| nal
//   Removed               the | fi | nal
//   Contiguous            the |-| fi |--| nal
//   MergedWithPrevious    the- | fi- |-| nal
//   MergedWithNext        the |-fi |-|-nal
//
// Inverted, the matches are what lies between. Pieces that are empty are dropped.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "jet/text/function_ref.h"

namespace jet {

/// Takes a piece of text; `first`: it begins where the whole text began.
using PieceSink = FunctionRef<void(std::string_view, bool first)>;

enum class SplitBehavior { isolated, removed, contiguous, merged_with_previous, merged_with_next };
/// `name` as tokenizer.json writes it; throws naming `where`.
SplitBehavior split_behavior(const std::string& name, const std::string& where);

/// Takes the matches of a text from the left, cuts it and hands the pieces on.
class Splitter {
 public:
  struct Rule {
    SplitBehavior behavior = SplitBehavior::isolated;
    bool invert = false;
  };
  Splitter(std::string_view text, bool first, Rule rule, PieceSink sink)
      : text_(text), first_(first), rule_(rule), sink_(sink) {}
  /// A match; it may be empty. begin <= end, and begin is not before the end of the match before it.
  void match(size_t begin, size_t end);
  void finish();

 private:
  void part(size_t begin, size_t end, bool is_match);
  void hold(size_t begin, size_t end);
  void emit();

  std::string_view text_;
  bool first_;
  Rule rule_;
  PieceSink sink_;
  size_t at_ = 0;
  // The piece that the next part may still join.
  size_t held_begin_ = 0, held_end_ = 0;
  bool holds_ = false, last_was_match_ = false;
};

}  // namespace jet
