# xgrammar, which keeps texts to a schema, where its sources are: tools/setup.sh unpacks them into .venv/src. Without it
# everything else works. Only jet/grammar/grammar_compiler.cc sees its headers.
set(JET_GRAMMAR AUTO CACHE STRING "texts kept to schemas and grammars, by xgrammar: ON, OFF, or AUTO (where it is found)")
set_property(CACHE JET_GRAMMAR PROPERTY STRINGS AUTO ON OFF)
set(JET_XGRAMMAR "" CACHE PATH "folder of xgrammar's sources; empty: the one in .venv/src, where there is one")
set(xgrammar ${JET_XGRAMMAR})
if(NOT xgrammar)
  file(GLOB xgrammar ${PROJECT_SOURCE_DIR}/.venv/src/xgrammar-*)
endif()

add_library(jet_grammar_sources INTERFACE)
if(JET_GRAMMAR AND EXISTS "${xgrammar}/include/xgrammar/xgrammar.h")
  file(GLOB sources ${xgrammar}/cpp/*.cc ${xgrammar}/cpp/support/*.cc ${xgrammar}/cpp/converter_ext/*.cc)
  list(FILTER sources EXCLUDE REGEX "/(testing|config)\\.cc$")
  # Strings of a bounded length could hold raw control characters, which JSON does not have.
  file(READ ${xgrammar}/cpp/json_schema_converter.cc text)
  string(REPLACE "int32_t character =\n          builder_.AddCharacterClass({{"
                 "int32_t character =\n          builder_.AddCharacterClass({{0, 0x1f}, {" text "${text}")
  string(REPLACE "#include \"" "#include \"${xgrammar}/cpp/" text "${text}")
  file(GENERATE OUTPUT ${CMAKE_BINARY_DIR}/xgrammar/json_schema_converter.cc CONTENT "${text}")
  list(TRANSFORM sources REPLACE ".*/json_schema_converter.cc"
                                 "${CMAKE_BINARY_DIR}/xgrammar/json_schema_converter.cc")
  add_library(jet_xgrammar STATIC ${sources} ${xgrammar}/cpp/testing.cc)
  set(xgrammar_includes ${xgrammar}/include ${xgrammar}/3rdparty/picojson ${xgrammar}/3rdparty/dlpack/include)
  target_include_directories(jet_xgrammar SYSTEM PRIVATE ${xgrammar_includes})
  # What it has to say is caught, not printed.
  target_compile_definitions(jet_xgrammar PRIVATE XGRAMMAR_LOG_CUSTOMIZE=1 XGRAMMAR_ENABLE_CPPTRACE=0
                             XGRAMMAR_ENABLE_INTERNAL_CHECK=0)
  target_compile_options(jet_xgrammar PRIVATE -w $<$<CONFIG:Release>:-O1>)
  target_link_libraries(jet_grammar_sources INTERFACE jet_xgrammar Threads::Threads)
  list(TRANSFORM xgrammar_includes PREPEND -isystem OUTPUT_VARIABLE xgrammar_options)
  set_source_files_properties(jet/grammar/grammar_compiler.cc PROPERTIES
    COMPILE_DEFINITIONS JET_XGRAMMAR COMPILE_OPTIONS "${xgrammar_options}" SKIP_UNITY_BUILD_INCLUSION ON)
elseif(JET_GRAMMAR STREQUAL "AUTO")
  message(STATUS "without xgrammar: no schemas or grammars for replies (tools/setup.sh fetches it)")
elseif(JET_GRAMMAR)
  message(FATAL_ERROR "JET_GRAMMAR: no xgrammar in '${xgrammar}': run `make setup`, set JET_XGRAMMAR, or -DJET_GRAMMAR=OFF")
endif()
