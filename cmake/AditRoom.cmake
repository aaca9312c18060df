# A room is a folder of src/ and one static library. It sees its own headers and those of the rooms it states (and of the
# rooms that those state): each room's include path holds a single link named after the room. `make rooms` reads the
# includes themselves, and is stricter. The public headers (include/adit/) are everybody's.

# For tests that read files of the repository. A header and not a definition: two checkouts compile the other tests alike.
file(CONFIGURE OUTPUT include/tests/source_dir.h CONTENT "#pragma once\n#define ADIT_SOURCE_DIR \"${CMAKE_SOURCE_DIR}\"\n")

# adit_room(NAME DEPS room... LIBS target... TEST_DEPS room...)    NAME may be a path: guard/book
#   src/NAME/*.cpp without *_test.cpp  -> library adit_NAME, with _ for /
#   src/NAME/testing/                  what tests stand on (fakes, worlds, samples); its *.cpp -> library adit_NAME_testing
#   src/NAME/*_test.cpp                -> executable NAME_test (GoogleTest); TEST_DEPS are rooms that only tests include
# The tests are linked by adit_room_tests(), after all rooms: a test may look down, at rooms that stand on its own.
function(adit_room name)
  cmake_parse_arguments(ROOM "" "" "DEPS;LIBS;TEST_DEPS" ${ARGN})
  string(REPLACE "/" "_" room ${name})
  set_property(GLOBAL APPEND PROPERTY ADIT_ROOMS ${name})
  set(dir ${CMAKE_SOURCE_DIR}/src/${name})
  set(view ${CMAKE_BINARY_DIR}/include/${room})
  get_filename_component(above ${view}/${name} DIRECTORY)
  file(MAKE_DIRECTORY ${above})
  file(CREATE_LINK ${dir} ${view}/${name} SYMBOLIC)

  file(GLOB sources CONFIGURE_DEPENDS ${dir}/*.cpp)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cpp$")
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")

  string(REPLACE "/" "_" deps "${ROOM_DEPS}")
  list(TRANSFORM deps PREPEND adit_)
  if(sources)
    add_library(adit_${room} STATIC ${sources})
    set(scope PUBLIC)
  else()
    add_library(adit_${room} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_include_directories(adit_${room} ${scope} ${view} ${CMAKE_SOURCE_DIR}/include)
  target_link_libraries(adit_${room} ${scope} ${deps} ${ROOM_LIBS})

  file(GLOB support CONFIGURE_DEPENDS ${dir}/testing/*.cpp)
  list(FILTER support EXCLUDE REGEX "_test\\.cpp$")
  if(support)
    add_library(adit_${room}_testing STATIC EXCLUDE_FROM_ALL ${support})
    target_link_libraries(adit_${room}_testing PUBLIC adit_${room})
    set_property(GLOBAL APPEND PROPERTY ADIT_TESTING adit_${room}_testing)
  endif()

  file(GLOB support_tests CONFIGURE_DEPENDS ${dir}/testing/*_test.cpp)
  list(APPEND tests ${support_tests})
  if(tests AND ADIT_TESTS)
    set_property(GLOBAL APPEND PROPERTY ADIT_ROOMS_WITH_TESTS ${room})
    set_property(GLOBAL PROPERTY ADIT_TESTS_OF_${room} ${tests})
    string(REPLACE "/" "_" test_deps "${ROOM_TEST_DEPS}")
    list(TRANSFORM test_deps PREPEND adit_)
    get_property(testing GLOBAL PROPERTY ADIT_TESTING)  # of this room and those above it
    set_property(GLOBAL PROPERTY ADIT_LINKED_BY_TESTS_OF_${room} adit_${room} ${test_deps} ${testing})
  endif()
endfunction()

function(adit_room_tests)
  get_property(rooms GLOBAL PROPERTY ADIT_ROOMS_WITH_TESTS)
  foreach(room IN LISTS rooms)
    get_property(tests GLOBAL PROPERTY ADIT_TESTS_OF_${room})
    get_property(linked GLOBAL PROPERTY ADIT_LINKED_BY_TESTS_OF_${room})
    add_executable(${room}_test ${tests})
    target_link_libraries(${room}_test ${linked})
    target_link_libraries(${room}_test GTest::gtest GTest::gmock GTest::gtest_main)
    target_include_directories(${room}_test PRIVATE ${CMAKE_BINARY_DIR}/include/tests)
    set_property(GLOBAL APPEND PROPERTY ADIT_UNIT_TESTS ${room}_test)
  endforeach()
endfunction()

# adit_link_rooms_of(TARGET file...): links the rooms that the files include, and what tests stand on there.
function(adit_link_rooms_of target)
  get_property(rooms GLOBAL PROPERTY ADIT_ROOMS)
  foreach(file IN LISTS ARGN)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    file(STRINGS ${file} includes REGEX "^#include \"[a-z_/]+/")
    foreach(line IN LISTS includes)
      string(REGEX REPLACE "^#include \"([a-z_/]+)/.*" "\\1" folder "${line}")
      while(folder MATCHES "/" AND NOT folder IN_LIST rooms)
        get_filename_component(folder ${folder} DIRECTORY)
      endwhile()
      if(folder IN_LIST rooms)
        string(REPLACE "/" "_" room ${folder})
        target_link_libraries(${target} adit_${room})
        if(TARGET adit_${room}_testing)
          target_link_libraries(${target} adit_${room}_testing)
        endif()
      endif()
    endforeach()
  endforeach()
endfunction()
