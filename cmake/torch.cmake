# libtorch from the PyTorch wheel of the project's virtual environment, of another Python (JET_PYTHON), or from a folder
# with its include/ and lib/ (JET_LIBTORCH). Its own CMake package is not asked: that of a wheel for CUDA wants a CUDA
# compiler, and nothing here needs one.
# jet_torch carries its include folders as system ones: its headers do not pass this project's warnings.
set(JET_LIBTORCH "" CACHE PATH "folder of libtorch; empty: that of JET_PYTHON's torch")
set(torch_root ${JET_LIBTORCH})
if(NOT torch_root)
  execute_process(COMMAND ${JET_PYTHON} -W ignore -c "import torch; print(torch.__path__[0])"
                  OUTPUT_VARIABLE torch_root OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
if(NOT EXISTS ${torch_root}/include/ATen/ATen.h)
  message(FATAL_ERROR "no libtorch in '${torch_root}': run `make setup`, set JET_PYTHON or JET_LIBTORCH, or -DJET_TORCH=OFF")
endif()

add_library(jet_torch INTERFACE)
target_include_directories(jet_torch SYSTEM INTERFACE ${torch_root}/include ${torch_root}/include/torch/csrc/api/include)
set(libraries stdc++)  # first: some wheels' libtorch.so carries a broken std::filesystem of its own
foreach(name torch torch_cpu c10 torch_cuda c10_cuda)  # the last two where it is for CUDA
  set(library ${torch_root}/lib/lib${name}.so)
  if(EXISTS ${library})
    list(APPEND libraries ${library})
  endif()
endforeach()
# No symbol of torch_cuda is named by this project, yet its operators must be there.
target_link_libraries(jet_torch INTERFACE -Wl,--push-state,--no-as-needed ${libraries} -Wl,--pop-state)
# at::parallel_for lives in a header: without this it runs on one thread.
target_compile_options(jet_torch INTERFACE -fopenmp)
target_link_options(jet_torch INTERFACE -fopenmp)
