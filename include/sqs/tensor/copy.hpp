// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// Tensors from the host to a device and back.

#include <sqs/tensor/tensor.hpp>

namespace sqs {

/// `x` in device memory, in the order of the executor's work. `x` may be changed once it returns.
template <device_executor E, class T, int R> tensor<T, R, device> to_device(E& e, const tensor<T, R, host>& x) {
  if (!x) { return {}; }
  auto y = empty<T, R>(e, x.shape());
  upload(e, y.data(), x.data(), static_cast<std::size_t>(x.size()) * sizeof(T));
  return y;
}

/// `x` in memory of the host.
///
/// Execution   Waits for all work given to the executor so far.
template <device_executor E, class T, int R> tensor<T, R, host> to_host(E& e, const tensor<T, R, device>& x) {
  if (!x) { return {}; }
  auto y = make_tensor<T, R>(x.shape());
  download(e, y.data(), x.data(), static_cast<std::size_t>(x.size()) * sizeof(T));
  synchronize(e);
  return y;
}

} // namespace sqs
