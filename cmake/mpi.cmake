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
else()
  message(STATUS "without MPI: training runs in one process (Debian packages: libopenmpi-dev openmpi-bin)")
endif()
