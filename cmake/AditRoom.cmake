# A room is a folder of src/ and one static library. It sees its own headers and those of the rooms it states, and no
# others: each room's include path holds a single link named after the room, so a wrong include does not build. The public
# headers (include/adit/) are everybody's.

# For tests that read files of the repository. A header and not a definition: two checkouts compile the other tests alike.
file(CONFIGURE OUTPUT include/tests/source_dir.h CONTENT "#pragma once\n#define ADIT_SOURCE_DIR \"${CMAKE_SOURCE_DIR}\"\n")

# adit_room(NAME DEPS room... LIBS target...)
#   src/NAME/*.cpp without *_test.cpp  -> library adit_NAME
#   src/NAME/*_test.cpp                -> executable NAME_test (GoogleTest)
function(adit_room name)
  cmake_parse_arguments(ROOM "" "" "DEPS;LIBS;TEST_DEPS" ${ARGN})
  set(dir ${CMAKE_SOURCE_DIR}/src/${name})
  set(view ${CMAKE_BINARY_DIR}/include/${name})
  file(MAKE_DIRECTORY ${view})
  file(CREATE_LINK ${dir} ${view}/${name} SYMBOLIC)

  file(GLOB sources CONFIGURE_DEPENDS ${dir}/*.cpp)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cpp$")
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")

  list(TRANSFORM ROOM_DEPS PREPEND adit_ OUTPUT_VARIABLE deps)
  if(sources)
    add_library(adit_${name} STATIC ${sources})
    set(scope PUBLIC)
  else()
    add_library(adit_${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_include_directories(adit_${name} ${scope} ${view} ${CMAKE_SOURCE_DIR}/include)
  target_link_libraries(adit_${name} ${scope} ${deps} ${ROOM_LIBS})

  if(tests AND ADIT_TESTS)
    add_executable(${name}_test ${tests})
    list(TRANSFORM ROOM_TEST_DEPS PREPEND adit_ OUTPUT_VARIABLE test_deps)
    target_link_libraries(${name}_test adit_${name} ${test_deps} GTest::gtest GTest::gmock GTest::gtest_main)
    target_include_directories(${name}_test PRIVATE ${CMAKE_BINARY_DIR}/include/tests)
    set_property(GLOBAL APPEND PROPERTY ADIT_UNIT_TESTS ${name}_test)
  endif()
endfunction()
