# jet-parquet, which reads Parquet for `jet data build`, where Arrow is at hand: Debian 12 has no package of it, but the
# pyarrow wheel carries libraries and headers.    .venv/bin/python -m pip install pyarrow==26.0.1
set(JET_PYARROW "" CACHE PATH "folder of the pyarrow package; empty: the one in .venv, where there is one")
set(pyarrow ${JET_PYARROW})
if(NOT pyarrow)
  file(GLOB pyarrow ${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages/pyarrow)
endif()
file(GLOB arrow_libraries ${pyarrow}/libarrow.so.* ${pyarrow}/libparquet.so.*)
if(NOT pyarrow OR NOT arrow_libraries)
  message(STATUS "pyarrow is not in .venv: jet data build will not read Parquet")
  return()
endif()

jet_program(jet-parquet SOURCES jet/cli/parquet_main.cc jet/cli/program.cc LINK jet_base ${arrow_libraries})
target_include_directories(jet-parquet SYSTEM PRIVATE ${pyarrow}/include)
