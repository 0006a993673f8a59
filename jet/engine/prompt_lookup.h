// Speculative decoding without a second model: where the last tokens of the text have stood before, what followed them
// then is taken as a draft, and one pass checks all of it.
//
//   text:  ... the old mill on the hill ... near the old mill          draft: "on the hill"
//   pass:  [mill | on the hill]  ->  what comes after mill, on, the, hill; the part that agrees is kept
//
// The Decoding takes the tokens one by one in order, as it does without drafts, so the output is that of generate(),
// seeded sampling included. What a rejected draft did to the sequence is rolled back (recurrent states cannot be cut);
// the tokens to keep are run again together with the next draft, so that a rejection costs rows of a pass, never a
// pass.
#pragma once

#include "jet/engine/generate.h"

namespace jet {

struct LookupOptions {
  int draft = 8;  // tokens a draft has at most
  int ngram = 3;  // tokens at the text's end that must have stood before
};

struct LookupResult : Generated {
  int64_t passes = 0, drafted = 0, accepted = 0;  // passes after the prompt; tokens
};

/// What followed the latest earlier place of the last `ngram` tokens: `most` tokens, going round where the place
/// overlaps the end; none where there is no such place.
std::vector<int32_t> lookup_draft(std::span<const int32_t> text, int ngram, int64_t most);

/// generate(), in fewer passes where the text repeats itself. Leaves the sequence as generate() does.
LookupResult generate_with_lookup(Engine& engine, Sequence& sequence, std::span<const int32_t> prompt,
                                  const GenerateOptions& options, const LookupOptions& lookup,
                                  const OnToken& on_token = {});

}  // namespace jet
