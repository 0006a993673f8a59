// The project's other programs, which stand beside the one that runs where they were built.
#pragma once

#include <string>

namespace jet {

/// Path of the program `name`, or "" where it is not there.
std::string program_beside(const std::string& name);

}  // namespace jet
