# MPI for training in many processes, where it is installed; without it everything else works. Only world_mpi.cc sees
# its headers, jet_mpi is what the program links.
set(JET_MPI AUTO CACHE STRING "training in many processes by MPI: ON, OFF, or AUTO (where MPI is found)")
set_property(CACHE JET_MPI PROPERTY STRINGS AUTO ON OFF)

if(JET_MPI STREQUAL "AUTO")
  find_package(MPI COMPONENTS CXX)
elseif(JET_MPI)
  find_package(MPI REQUIRED COMPONENTS CXX)
endif()

add_library(jet_mpi INTERFACE)
set_source_files_properties(jet/train/world_mpi.cc PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
if(JET_MPI AND MPI_CXX_FOUND)
  target_link_libraries(jet_mpi INTERFACE ${MPI_CXX_LIBRARIES})
  list(TRANSFORM MPI_CXX_INCLUDE_DIRS PREPEND -isystem OUTPUT_VARIABLE mpi_options)
  set_source_files_properties(jet/train/world_mpi.cc PROPERTIES
    COMPILE_DEFINITIONS "JET_MPI;OMPI_SKIP_MPICXX;MPICH_SKIP_MPICXX" COMPILE_OPTIONS "${mpi_options}")
  # world_nccl.cc with NCCL's calls made by MPI, for tests/many_processes_test.py.
  add_executable(many_gpus tests/nccl/many_gpus.cc tests/nccl/fake_nccl.cc)
  target_include_directories(many_gpus SYSTEM PRIVATE tests/nccl ${MPI_CXX_INCLUDE_DIRS})
  target_compile_definitions(many_gpus PRIVATE JET_NCCL OMPI_SKIP_MPICXX MPICH_SKIP_MPICXX)
  target_link_libraries(many_gpus PRIVATE jet_train)
  jet_quick(many_gpus)
  jet_headers(many_gpus torch)
else()
  message(STATUS "without MPI: training runs in one process (Debian packages: libopenmpi-dev openmpi-bin)")
endif()

# NCCL between GPUs, where a libtorch for CUDA is; only world_nccl.cc sees its headers. PyTorch's wheels bring it and,
# with the wheels nvidia-cuda-crt and nvidia-cuda-cccl, the CUDA headers that it includes.
set(JET_NCCL AUTO CACHE STRING "training in many processes on GPUs by NCCL: ON, OFF, or AUTO (where it is found)")
set_property(CACHE JET_NCCL PROPERTY STRINGS AUTO ON OFF)

set_source_files_properties(jet/train/world_nccl.cc PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
if(JET_NCCL AND EXISTS ${torch_root}/lib/libc10_cuda.so)
  file(GLOB nvidia ${torch_root}/../nvidia/nccl ${torch_root}/../nvidia/cu[0-9]* ${torch_root}/../nvidia/cuda_runtime)
  find_path(JET_NCCL_INCLUDE nccl.h HINTS ${nvidia} PATH_SUFFIXES include)
  find_path(JET_CUDA_INCLUDE crt/host_config.h HINTS ${nvidia} /usr/local/cuda PATH_SUFFIXES include)
  find_path(JET_CCCL_INCLUDE nv/target HINTS ${JET_CUDA_INCLUDE} ${JET_CUDA_INCLUDE}/cccl)
  find_library(JET_NCCL_LIBRARY NAMES libnccl.so.2 nccl HINTS ${nvidia} PATH_SUFFIXES lib)
endif()
if(JET_NCCL_INCLUDE AND JET_CUDA_INCLUDE AND JET_CCCL_INCLUDE AND JET_NCCL_LIBRARY)
  target_link_libraries(jet_mpi INTERFACE ${JET_NCCL_LIBRARY})
  set_source_files_properties(jet/train/world_nccl.cc PROPERTIES COMPILE_DEFINITIONS JET_NCCL
    COMPILE_OPTIONS "-isystem;${JET_NCCL_INCLUDE};-isystem;${JET_CUDA_INCLUDE};-isystem;${JET_CCCL_INCLUDE}")
elseif(JET_NCCL AND NOT JET_NCCL STREQUAL "AUTO")
  message(FATAL_ERROR "JET_NCCL: no libtorch for CUDA, nccl.h, libnccl.so.2 or CUDA headers (crt/host_config.h, nv/target) found")
endif()
