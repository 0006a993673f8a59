#include "jet/text/splitter.h"

#include <utility>

#include "jet/base/error.h"
#include "jet/text/utf8.h"

namespace jet {

SplitBehavior split_behavior(const std::string& name, const std::string& where) {
  static constexpr std::pair<const char*, SplitBehavior> kNames[] = {
      {"Isolated", SplitBehavior::isolated},
      {"Removed", SplitBehavior::removed},
      {"Contiguous", SplitBehavior::contiguous},
      {"MergedWithPrevious", SplitBehavior::merged_with_previous},
      {"MergedWithNext", SplitBehavior::merged_with_next},
  };
  for (const auto& [known, behavior] : kNames)
    if (name == known) return behavior;
  fail("{}: behavior {} is none of Isolated, Removed, Contiguous, MergedWithPrevious, MergedWithNext", where,
       shown(name));
}

void Splitter::match(size_t begin, size_t end) {
  if (begin > at_) part(at_, begin, false);
  part(begin, end, true);
  at_ = end;
}

void Splitter::finish() {
  if (at_ < text_.size()) part(at_, text_.size(), false);
  emit();
}

void Splitter::part(size_t begin, size_t end, bool is_match) {
  is_match ^= rule_.invert;
  const bool after_match = std::exchange(last_was_match_, is_match);
  bool joins = false;
  switch (rule_.behavior) {
    case SplitBehavior::isolated: break;
    case SplitBehavior::removed:
      if (is_match) return;
      break;
    case SplitBehavior::contiguous: joins = is_match == after_match; break;
    case SplitBehavior::merged_with_previous: joins = is_match && !after_match; break;
    case SplitBehavior::merged_with_next: joins = !is_match && after_match; break;
  }
  if (joins && holds_) {
    held_end_ = end;
  } else {
    hold(begin, end);
  }
}

void Splitter::hold(size_t begin, size_t end) {
  emit();
  held_begin_ = begin, held_end_ = end, holds_ = true;
}

void Splitter::emit() {
  if (holds_ && held_end_ > held_begin_)
    sink_(text_.substr(held_begin_, held_end_ - held_begin_), first_ && held_begin_ == 0);
  holds_ = false;
}

}  // namespace jet
