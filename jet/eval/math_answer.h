// Answers of MATH (Hendrycks et al. 2021, arXiv 2103.03874) as strings, compared as its authors' code and
// lm-evaluation-harness (tasks/hendrycks_math/utils.py) do: what differs in spelling alone is brought into one form.
//
//   \dfrac12, \tfrac{1}{2}, 1/2, 0.5   \frac{1}{2}         \sqrt3            \sqrt{3}
//   x = 5                              5                   5 \text{ cm}      5
//   90^\circ, 50\%, \$5                90, 50, 5           \left(1, 2\right) (1,2)
#pragma once

#include <optional>
#include <string>

namespace jet {

/// What the last \boxed{...} (or \fbox) of a solution holds; none where there is no such box.
std::optional<std::string> boxed_answer(const std::string& solution);

/// The one form; none where the authors' code fails (a \sqrt of nothing), and texts are then compared as they are.
std::optional<std::string> math_form(const std::string& answer);
bool same_math(const std::string& a, const std::string& b);

}  // namespace jet
