// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// What the programs that end in `_on_a_gpu` share.

#include <sqs/tensor/tensor.hpp>

#include <cuda_runtime_api.h>

#include <cmath>

/// Whether there is a CUDA device.
inline bool has_device() {
  int devices = 0;
  return cudaGetDeviceCount(&devices) == cudaSuccess && devices > 0;
}

/// |a - b| / |b|
template <int R> double difference(const sqs::tensor<float, R>& a, const sqs::tensor<float, R>& b) {
  double over = 0, under = 1e-30;
  for (sqs::idx i = 0; i < a.size(); ++i) {
    const double x = double(a.data()[i]), y = double(b.data()[i]);
    over += (x - y) * (x - y), under += y * y;
  }
  return std::sqrt(over / under);
}
