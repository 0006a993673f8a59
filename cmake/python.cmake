# The Python package: its extension is part of this build where JET_PYTHON has nanobind, and of the wheel that
# python/pyproject.toml makes of this same project. build/python is the package as it is imported, sources by links.
#   jet_python_package(): the extension, its installation and its tests.
set(JET_PYTHON ${PROJECT_SOURCE_DIR}/.venv/bin/python CACHE FILEPATH "Python that has torch, nanobind and numpy")

if(NOT JET_SANITIZE)
  if(NOT SKBUILD)
    set(Python_EXECUTABLE ${JET_PYTHON})
    execute_process(COMMAND ${JET_PYTHON} -m nanobind --cmake_dir OUTPUT_VARIABLE nanobind_ROOT
                    OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  endif()
  find_package(Python 3.10 COMPONENTS Interpreter Development.Module QUIET)
  if(Python_FOUND)
    find_package(nanobind CONFIG QUIET)
  endif()
  if(nanobind_FOUND)
    # What goes into a shared library, too. Calls stay as direct as they are without.
    add_compile_options(-fPIC -fno-semantic-interposition)
  else()
    message(STATUS "no Python package: nanobind or Python's headers are missing (make setup)")
  endif()
endif()

function(jet_python_package)
  if(NOT nanobind_FOUND)
    return()
  endif()
  set(package ${CMAKE_BINARY_DIR}/python/jet_nemotron)
  nanobind_add_module(jet_python NOMINSIZE NB_SUPPRESS_WARNINGS
                      python/src/module.cc python/src/model.cc python/src/generate.cc)
  foreach(target jet_python nanobind-static)
    jet_quick(${target})
  endforeach()
  target_link_libraries(jet_python PRIVATE jet_eval)
  target_link_options(jet_python PRIVATE -Wl,--exclude-libs,ALL)
  set_target_properties(jet_python PROPERTIES OUTPUT_NAME _jet LIBRARY_OUTPUT_DIRECTORY ${package})

  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/python/jet_nemotron/*.py*
       ${PROJECT_SOURCE_DIR}/python/jet_nemotron/py.typed)
  file(MAKE_DIRECTORY ${package})
  foreach(source ${sources})
    get_filename_component(name ${source} NAME)
    file(CREATE_LINK ${source} ${package}/${name} SYMBOLIC)
  endforeach()
  install(TARGETS jet_python LIBRARY DESTINATION jet_nemotron COMPONENT python)
  install(TARGETS jet RUNTIME DESTINATION jet_nemotron/bin COMPONENT python)

  if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT SKBUILD)
    foreach(test package program transformers lm_eval)
      add_test(NAME python_${test} COMMAND ${JET_PYTHON} python/tests/${test}_test.py
               WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
      set_tests_properties(python_${test} PROPERTIES
                           ENVIRONMENT "PYTHONPATH=${CMAKE_BINARY_DIR}/python;PYTHONDONTWRITEBYTECODE=1")
    endforeach()
    set_tests_properties(python_program python_transformers python_lm_eval PROPERTIES SKIP_REGULAR_EXPRESSION "skipped: ")
  endif()
endfunction()
