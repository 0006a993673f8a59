# libtorch from the PyTorch wheel of the project's virtual environment (or any that CMAKE_PREFIX_PATH names).
# jet_torch carries its include folders as system ones: its headers do not pass this project's warnings.
set(JET_PYTHON ${PROJECT_SOURCE_DIR}/.venv/bin/python CACHE FILEPATH "Python that has torch")
if(NOT Torch_DIR AND EXISTS ${JET_PYTHON})
  execute_process(COMMAND ${JET_PYTHON} -W ignore -c "import torch; print(torch.utils.cmake_prefix_path)"
                  OUTPUT_VARIABLE torch_prefix OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  list(APPEND CMAKE_PREFIX_PATH ${torch_prefix})
endif()
find_package(Torch REQUIRED)

add_library(jet_torch INTERFACE)
target_include_directories(jet_torch SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS})
target_link_libraries(jet_torch INTERFACE ${TORCH_LIBRARIES})
# at::parallel_for lives in a header: without this it runs on one thread.
target_compile_options(jet_torch INTERFACE -fopenmp)
target_link_options(jet_torch INTERFACE -fopenmp)
