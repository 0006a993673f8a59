// What the bricks include, read before the instruction set is raised: otherwise the linker could take an inline
// function of the standard library compiled for AVX-512 and run it where there is none.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#ifdef __x86_64__
#include <immintrin.h>
#endif

#include "jet/kernels/isa.h"
