# jet_floor(NAME [LINK targets...]): library jet_NAME from jet/NAME/**.cc, linked to the floors that FLOORS allows it,
# and the test program test_NAME from jet/NAME/**_test.cc where there is one.
# jet_embed(FILE NAME): writes FILE as a C++ raw string to embedded/NAME in the build folder.
# jet_program(NAME SOURCES files... LINK targets...): an executable in the build folder.

file(STRINGS ${PROJECT_SOURCE_DIR}/FLOORS JET_FLOOR_LINES REGEX "^[a-z]")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/FLOORS)

add_library(jet_options INTERFACE)
target_include_directories(jet_options INTERFACE ${PROJECT_SOURCE_DIR})
# The PyTorch wheel carries headers of another fmt: a folder that holds the system's alone comes before it.
get_target_property(fmt_include fmt::fmt INTERFACE_INCLUDE_DIRECTORIES)
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/fmt-first)
file(CREATE_LINK ${fmt_include}/fmt ${CMAKE_BINARY_DIR}/fmt-first/fmt SYMBOLIC)
target_include_directories(jet_options SYSTEM INTERFACE ${CMAKE_BINARY_DIR}/fmt-first)
# gcc 12 reports an overflow inside fmt 9 that is not there.
target_compile_options(jet_options INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Werror
                       $<$<CXX_COMPILER_ID:GNU>:-Wno-stringop-overflow> -fopenmp-simd)

function(jet_floor NAME)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
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
  else()
    add_library(jet_${NAME} INTERFACE)
    target_link_libraries(jet_${NAME} INTERFACE jet_options ${below} ${ARG_LINK})
  endif()
  if(tests)
    add_executable(test_${NAME} ${tests})
    target_link_libraries(test_${NAME} PRIVATE jet_${NAME} GTest::gtest_main)
    add_test(NAME ${NAME} COMMAND test_${NAME} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  endif()
endfunction()

function(jet_program NAME)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${NAME} ${ARG_SOURCES})
  target_link_libraries(${NAME} PRIVATE jet_options ${ARG_LINK})
endfunction()

function(jet_embed FILE NAME)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${FILE})
  file(READ ${PROJECT_SOURCE_DIR}/${FILE} text)
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/embedded/${NAME} CONTENT "R\"EMBEDDED(@text@)EMBEDDED\"\n" @ONLY)
endfunction()
