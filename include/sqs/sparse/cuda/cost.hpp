// SPDX-License-Identifier: Apache-2.0
#pragma once
/// \file
/// What products on a device cost: by counts, to choose between ways to take them.

#include <sqs/core/config.hpp>

namespace sqs::sparse {

/// What a product on a device costs: counted numbers times these. Not measured: the rates of data sheets.
struct device_cost {
  idx depth = 64, columns = 64; ///< channels of the layer (of a group)
  idx element_bytes = 4;        ///< of features
  double flops_per_byte = 14;   ///< that the device does while a byte comes from memory; tensor cores: 100 and more

  /// Bytes' worth of time of multiplying rows with weights, where each row comes from memory once.
  double of_rows(double rows) const {
    return rows *
           (2 * static_cast<double>(depth * columns) / flops_per_byte + static_cast<double>(depth * element_bytes));
  }
  /// The same of rows that are multiplied without coming from memory, and of rows that only come.
  double of_products(double rows) const { return rows * 2 * static_cast<double>(depth * columns) / flops_per_byte; }
  double of_loads(double rows) const { return rows * static_cast<double>(depth * element_bytes); }
  /// The same of sums that are written and read again.
  double of_sums(double rows) const { return rows * static_cast<double>(2 * columns) * sizeof(float); }
};

} // namespace sqs::sparse
