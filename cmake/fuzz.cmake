# jet_fuzz(WHAT LIBRARY): the fuzz target tests/fuzz/fuzz_WHAT.cc. Without JET_FUZZ it is a test that replays the corpus
# and seeded mutations of it (any compiler); with JET_FUZZ, clang's libFuzzer drives it, see tools/fuzz.sh.
option(JET_FUZZ "build the fuzz targets against libFuzzer (clang)" OFF)
add_custom_target(fuzz)

function(jet_fuzz WHAT LIBRARY)
  set(target fuzz_${WHAT})
  add_executable(${target} EXCLUDE_FROM_ALL tests/fuzz/${target}.cc)
  target_link_libraries(${target} PRIVATE ${LIBRARY})
  add_dependencies(fuzz ${target})
  if(JET_FUZZ)
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    return()
  endif()
  target_sources(${target} PRIVATE tests/fuzz/replay_main.cc)
  set_target_properties(${target} PROPERTIES EXCLUDE_FROM_ALL OFF)
  add_test(NAME ${target} COMMAND ${target} ${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${WHAT})
  set_tests_properties(${target} PROPERTIES TIMEOUT 300)  # an input that hangs the reader
endfunction()

jet_fuzz(safetensors jet_storage)
jet_fuzz(config jet_model)
jet_fuzz(gguf jet_model)
jet_fuzz(tokenizer jet_text)
jet_fuzz(template jet_text)
jet_fuzz(sentencepiece jet_text)
jet_fuzz(data jet_data)
