// Which of L allowed layers are full in a step's path while a supernet is trained; the others are linear. A function
// of the seed and the step alone, so a training goes on after a kill as if there had been none.
//
//   half      their number uniform in 0..L/2, layers drawn one by one, one perhaps twice: sparse paths are common
//   uniform   their number uniform in 0..L - 1, and in every fourth step one of the extremes, by turns: none, and all
//             but one (the sandwich rule of once-for-all networks): what a search from either end begins with
//   budget    their number uniform within half of k around k, the number that the search is to end with
#pragma once

#include <string>
#include <vector>

#include "jet/search/placement.h"

namespace jet {

const std::vector<std::string>& path_samplings();
LayerSet sampled_layers(const std::string& sampling, const std::vector<int>& allowed, int k, uint64_t seed,
                        int64_t step);

}  // namespace jet
