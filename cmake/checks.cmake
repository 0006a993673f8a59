# Checks of the sources themselves, as tests. They do not depend on how the code is compiled: once, in Release, is enough.
if(NOT CMAKE_BUILD_TYPE STREQUAL "Release")
  return()
endif()
find_package(Python3 REQUIRED COMPONENTS Interpreter)
find_program(BASH bash REQUIRED)

add_test(NAME floors COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/tools/check_floors.py)
add_test(NAME floors_selftest COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/tools/check_floors_test.py)
add_test(NAME format COMMAND ${BASH} ${PROJECT_SOURCE_DIR}/tools/check_format.sh)
set_tests_properties(floors floors_selftest format PROPERTIES LABELS checks)
