# SPDX-License-Identifier: Apache-2.0
# The packages of sqs::sqs (required) and sqs::io (optional). Packages of the system first; only SQS_FETCH=ON downloads.

find_package(Threads REQUIRED)

# Downloads header-only project NAME as headers, and makes imported target TARGET of its folder INCLUDE.
function(sqs_fetch_headers name target include repository tag)
  include(FetchContent)
  # A SOURCE_SUBDIR that does not exist: the headers are wanted, not the other project's build.
  FetchContent_Declare(${name} GIT_REPOSITORY ${repository} GIT_TAG ${tag} GIT_SHALLOW ON SOURCE_SUBDIR none)
  FetchContent_MakeAvailable(${name})
  add_library(${target} INTERFACE IMPORTED GLOBAL)
  target_include_directories(${target} SYSTEM INTERFACE "${${name}_SOURCE_DIR}/${include}")
endfunction()

find_package(Eigen3 3.4 NO_MODULE QUIET)
if(NOT TARGET Eigen3::Eigen)
  if(NOT SQS_FETCH)
    message(FATAL_ERROR "sqs needs Eigen 3.4: install libeigen3-dev (Debian, Ubuntu), or configure with -DSQS_FETCH=ON")
  endif()
  sqs_fetch_headers(sqs_eigen Eigen3::Eigen . https://gitlab.com/libeigen/eigen.git 3.4.0)
endif()

find_package(Boost 1.71 QUIET)
if(NOT TARGET Boost::headers)
  if(NOT SQS_FETCH)
    message(FATAL_ERROR "sqs needs the Boost headers (Hana), 1.71 or newer: install libboost-dev (Debian, Ubuntu), "
                        "or configure with -DSQS_FETCH=ON")
  endif()
  sqs_fetch_headers(sqs_hana Boost::headers include https://github.com/boostorg/hana.git boost-1.74.0)
endif()

find_package(nlohmann_json 3.10 QUIET)
find_package(JPEG QUIET)
find_package(PNG QUIET)
find_package(ZLIB QUIET)
set(SQS_HAVE_IO OFF)
if(nlohmann_json_FOUND AND JPEG_FOUND AND PNG_FOUND AND ZLIB_FOUND)
  set(SQS_HAVE_IO ON)
elseif(SQS_BUILD_TESTS OR SQS_BUILD_EXAMPLES)
  message(FATAL_ERROR "the tests and examples of sqs read files: install nlohmann-json3-dev libjpeg-dev libpng-dev "
                      "zlib1g-dev (Debian, Ubuntu), or run scripts/install_packages.sh")
endif()
