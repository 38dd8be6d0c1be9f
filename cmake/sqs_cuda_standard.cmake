# SPDX-License-Identifier: Apache-2.0
# CMake 3.25 does not know that nvcc takes C++20, which cxx_std_20 of sqs::sqs asks for in .cu sources too.
if(CMAKE_CUDA_COMPILER_ID STREQUAL NVIDIA AND NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
endif()
