# Tests that are no C++: checks of the sources, and whole programs. Once, in Release, is enough.
if(NOT CMAKE_BUILD_TYPE STREQUAL "Release")
  return()
endif()
# .venv's has the clients of other projects where `make clients` was run.
if(EXISTS ${PROJECT_SOURCE_DIR}/.venv/bin/python)
  set(Python3_EXECUTABLE ${PROJECT_SOURCE_DIR}/.venv/bin/python)
endif()
find_package(Python3 REQUIRED COMPONENTS Interpreter)
find_program(BASH bash REQUIRED)

foreach(check floors sources)
  add_test(NAME ${check} COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/tools/check_${check}.py)
  add_test(NAME ${check}_selftest COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/tools/check_${check}_test.py)
  set_tests_properties(${check} ${check}_selftest PROPERTIES LABELS checks)
endforeach()
add_test(NAME format COMMAND ${BASH} ${PROJECT_SOURCE_DIR}/tools/check_format.sh)
set_tests_properties(format PROPERTIES LABELS checks)

# Whole programs, as a user runs them.
add_test(NAME wrong_input COMMAND Python3::Interpreter tests/wrong_input_test.py ${CMAKE_BINARY_DIR}
         WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
add_test(NAME command_line COMMAND Python3::Interpreter tests/command_line_test.py ${CMAKE_BINARY_DIR}
         WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
add_test(NAME memory COMMAND Python3::Interpreter tests/memory_test.py ${CMAKE_BINARY_DIR}
         WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
add_test(NAME data_commands COMMAND Python3::Interpreter tests/data_test.py ${CMAKE_BINARY_DIR}
         WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
add_test(NAME gguf_files COMMAND Python3::Interpreter tests/gguf_test.py ${CMAKE_BINARY_DIR}
         WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
add_test(NAME serving COMMAND Python3::Interpreter tests/serve_test.py ${CMAKE_BINARY_DIR}
         WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
add_test(NAME serving_cache COMMAND Python3::Interpreter tests/cache_test.py ${CMAKE_BINARY_DIR}
         WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
add_test(NAME structured COMMAND Python3::Interpreter tests/structured_test.py ${CMAKE_BINARY_DIR}
         WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
set_tests_properties(structured PROPERTIES SKIP_REGULAR_EXPRESSION "skipped: ")
add_test(NAME load COMMAND Python3::Interpreter tests/load_test.py ${CMAKE_BINARY_DIR}/jet models/base
         --clients 16 --seconds 8 -- --exact WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
foreach(test responses hostile_requests api_fuzz curl_examples)
  add_test(NAME ${test} COMMAND Python3::Interpreter tests/${test}_test.py ${CMAKE_BINARY_DIR}
           WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
endforeach()
set_tests_properties(api_fuzz curl_examples PROPERTIES SKIP_REGULAR_EXPRESSION "skipped: ")
# The server's page: its build, and in a browser.
add_test(NAME page_build COMMAND ${BASH} tests/page_build_test.sh WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
set_tests_properties(page_build PROPERTIES SKIP_REGULAR_EXPRESSION "skipped: ")
foreach(test chat safety runs)
  add_test(NAME page_${test} COMMAND Python3::Interpreter web/test/${test}_test.py
           WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(page_${test} PROPERTIES SKIP_REGULAR_EXPRESSION "skipped: " RESOURCE_LOCK browser)
endforeach()
if(JET_TORCH)
  add_test(NAME postnas COMMAND Python3::Interpreter tests/postnas_test.py ${CMAKE_BINARY_DIR}
           WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  # On one thread: another test runs beside it, and two small searches of two threads take longer than one after another.
  set_tests_properties(postnas PROPERTIES TIMEOUT 1500 COST 1000 ENVIRONMENT JET_THREADS=1)
  add_test(NAME many_processes COMMAND Python3::Interpreter tests/many_processes_test.py ${CMAKE_BINARY_DIR}
           WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(many_processes PROPERTIES SKIP_REGULAR_EXPRESSION "skipped: " TIMEOUT 900 COST 900)
endif()
