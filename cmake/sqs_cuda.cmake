# SPDX-License-Identifier: Apache-2.0
# Finds a CUDA compiler and sets SQS_HAVE_CUDA. Toolkits often sit outside PATH, hence the second look.

set(SQS_HAVE_CUDA OFF)
if(NOT SQS_CUDA STREQUAL OFF)
  if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
    find_program(SQS_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin)
    if(SQS_NVCC)
      set(CMAKE_CUDA_COMPILER "${SQS_NVCC}")
    endif()
  endif()
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 90) # one architecture: nvcc time grows with their number
  endif()
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    enable_language(CUDA)
    include(sqs_cuda_standard)
    find_package(CUDAToolkit 12.0 REQUIRED)
    set(SQS_HAVE_CUDA ON)
  elseif(SQS_CUDA STREQUAL ON)
    message(FATAL_ERROR "SQS_CUDA is ON but no CUDA compiler was found: put nvcc on PATH, set CUDACXX, "
                        "or configure with -DSQS_CUDA=OFF")
  endif()
endif()
