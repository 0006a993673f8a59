# jet_floor(NAME [HEADERS set] [QUICK] [LINK targets...]): library jet_NAME from jet/NAME/**.cc, linked to the floors that
# FLOORS allows it, and the test program test_NAME from jet/NAME/**_test.cc where there is one.
#   HEADERS: the set of precompiled headers of its sources, see jet_headers.
#   QUICK: nothing in it runs for long, so it is compiled for a short build (-O1).
# jet_headers(TARGET set): precompiled headers, made once a set.
# jet_embed(FILE NAME): writes FILE as a C++ raw string to embedded/NAME in the build folder.
# jet_program(NAME SOURCES files... LINK targets...): an executable in the build folder, part of the target `programs`.

# Sources are compiled some at a time where the presets turn CMAKE_UNITY_BUILD on: reading headers and making the same
# templates anew takes most of a short source's time. Names in anonymous namespaces are a floor's own for that.
# -DCMAKE_UNITY_BUILD=OFF: each by itself, for who changes one file at a time.
set(CMAKE_UNITY_BUILD_BATCH_SIZE 8)

file(STRINGS ${PROJECT_SOURCE_DIR}/FLOORS JET_FLOOR_LINES REGEX "^[a-z]")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/FLOORS)

add_library(jet_options INTERFACE)
target_include_directories(jet_options INTERFACE ${PROJECT_SOURCE_DIR})
# The PyTorch wheel carries headers of another fmt: a folder that holds the system's alone comes before it.
get_target_property(fmt_include fmt::fmt INTERFACE_INCLUDE_DIRECTORIES)
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/fmt-first)
file(CREATE_LINK ${fmt_include}/fmt ${CMAKE_BINARY_DIR}/fmt-first/fmt SYMBOLIC)
target_include_directories(jet_options SYSTEM INTERFACE ${CMAKE_BINARY_DIR}/fmt-first)
# gcc 12 reports an overflow inside fmt 9 that is not there, and takes each source but the first of a unity for a header.
target_compile_options(jet_options INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Werror
                       $<$<CXX_COMPILER_ID:GNU>:-Wno-stringop-overflow -Wno-subobject-linkage>
                       $<$<CXX_COMPILER_ID:Clang>:-Wno-pass-failed;-Wno-align-mismatch> -fopenmp-simd)
# gcc walks all that it holds again and again to free some of it, a tenth of its time, where 2 GB would do as well.
target_compile_options(jet_options INTERFACE "$<$<CXX_COMPILER_ID:GNU>:SHELL:--param ggc-min-heapsize=1048576>")

# What costs most to read, by set. A source has one precompiled header, and a set more costs more than gtest in all.
set(JET_HEADERS_plain <fmt/ranges.h> <nlohmann/json.hpp> <algorithm> <functional> <map> <memory> <string> <vector>
    <gtest/gtest.h>)
set(JET_HEADERS_cli ${JET_HEADERS_plain} <CLI/CLI.hpp>)
set(JET_HEADERS_torch ${JET_HEADERS_plain} <ATen/ATen.h> <torch/csrc/autograd/autograd.h>)

function(jet_headers TARGET SET)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    return()  # clang wants the same macros everywhere
  endif()
  if(NOT TARGET headers_${SET})
    string(REGEX MATCH "torch" torch ${SET})
    file(TOUCH ${CMAKE_BINARY_DIR}/headers.cc)
    add_library(headers_${SET} OBJECT ${CMAKE_BINARY_DIR}/headers.cc)
    target_precompile_headers(headers_${SET} PRIVATE ${JET_HEADERS_${SET}})
    target_link_libraries(headers_${SET} PRIVATE jet_options fmt::fmt GTest::gtest $<$<BOOL:${torch}>:jet_torch>)
  endif()
  target_precompile_headers(${TARGET} REUSE_FROM headers_${SET})
  target_compile_definitions(${TARGET} PRIVATE GTEST_HAS_PTHREAD=1)  # as GTest::gtest says to those that link it
endfunction()

function(jet_quick TARGET)
  target_compile_options(${TARGET} PRIVATE $<$<CONFIG:Release>:-O1>)
endfunction()

function(jet_floor NAME)
  cmake_parse_arguments(ARG "QUICK" "HEADERS" "LINK" ${ARGN})
  set(below)
  foreach(line ${JET_FLOOR_LINES})
    if(line MATCHES "^${NAME} *:(.*)$")
      string(REGEX MATCHALL "[a-z]+" below "${CMAKE_MATCH_1}")
    endif()
  endforeach()
  list(TRANSFORM below PREPEND jet_)

  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/jet/${NAME}/*.cc)
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")

  if(sources)
    add_library(jet_${NAME} STATIC ${sources})
    target_link_libraries(jet_${NAME} PUBLIC jet_options ${below} ${ARG_LINK})
    if(ARG_HEADERS)
      jet_headers(jet_${NAME} ${ARG_HEADERS})
    endif()
    if(ARG_QUICK)
      jet_quick(jet_${NAME})
    endif()
  else()
    add_library(jet_${NAME} INTERFACE)
    target_link_libraries(jet_${NAME} INTERFACE jet_options ${below} ${ARG_LINK})
  endif()
  if(tests)
    add_executable(test_${NAME} ${tests})
    target_link_libraries(test_${NAME} PRIVATE jet_${NAME} GTest::gtest_main)
    # -Og is compiled fastest of what the precompiled headers fit; it warns of what it has not looked into.
    target_compile_options(test_${NAME} PRIVATE $<$<CONFIG:Release>:-Og -Wno-maybe-uninitialized>)
    if(ARG_HEADERS)
      jet_headers(test_${NAME} ${ARG_HEADERS})
    endif()
    add_test(NAME ${NAME} COMMAND test_${NAME} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  endif()
endfunction()

add_custom_target(programs)
function(jet_program NAME)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${NAME} ${ARG_SOURCES})
  target_link_libraries(${NAME} PRIVATE jet_options ${ARG_LINK})
  add_dependencies(programs ${NAME})
endfunction()

function(jet_embed FILE NAME)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${FILE})
  file(READ ${PROJECT_SOURCE_DIR}/${FILE} text)
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/embedded/${NAME} CONTENT "R\"EMBEDDED(@text@)EMBEDDED\"\n" @ONLY)
endfunction()
